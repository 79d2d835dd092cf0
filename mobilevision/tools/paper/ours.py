"""Our figure beside the paper's: counted now, or read off a run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from mobilevision.cost import Cost, LayerCost
from mobilevision.cost.layers import FULL
from mobilevision.tools.paper.reading import Column, Row, Table

if TYPE_CHECKING:
    from omegaconf import DictConfig

Value = float | int | str


def our_figure(table: Table, row: Row, column: Column) -> Value | None:
    """What we count for a cell; None where there is nothing to count, or a run is needed.

    Returns:
        An exact count, a share in percent, or a description of a layer.
    """
    source = table.source(row, column)
    if source in ("given", "metric") or (found := row_cost(table, row)) is None:
        return None
    if row.layer is not None:
        return _described(_computing(found)[row.layer], source)
    rows = [each for each in found.layers if row.within in each.name and row.kind in (None, each.kind)]
    if source == "parameters":
        return found.parameters
    key = source.removesuffix("_share")
    mine: int = sum(getattr(each, key) for each in rows)
    return 100 * mine / sum(getattr(each, key) for each in found.layers) if key != source else mine


def row_cost(table: Table, row: Row) -> Cost | None:
    """What the model of a row costs, or None where the row has no model."""
    if row.model is not None:
        from mobilevision.tools.paper.others import other_cost

        return other_cost(row.model)
    own = row.config or row.sources or row.kind is not None or row.layer is not None
    return _counted((*table.config, *row.config), table.outputs) if own else None


@cache
def composed(overrides: tuple[str, ...]) -> DictConfig:
    """The config of a row; several rows share one."""
    from mobilevision.config.compose import compose

    return compose(overrides, complete=False)


@cache
def _counted(overrides: tuple[str, ...], outputs: int | None) -> Cost:
    from mobilevision.tools.costs.classes import known_of
    from mobilevision.tools.costs.counting import cost_of

    cfg = composed(overrides)
    return cost_of(cfg, **known_of(cfg, outputs)._asdict()).cost


def _computing(cost: Cost) -> list[LayerCost]:
    return [each for each in cost.layers if each.mult_adds]


def _described(layer: LayerCost, source: str) -> str:
    """A layer in the words of the paper's Table 1."""
    if source == "input":
        return "x".join(
            map(str, [*layer.inputs[1:], layer.inputs[0]] if len(layer.inputs) > 1 else [1, 1, *layer.inputs])
        )
    if layer.kind == FULL:
        return "s1" if source == "stride" else f"{layer.inputs[0]}x{layer.shape[0]}"
    if source == "stride":
        return f"s{round(layer.inputs[-1] / layer.shape[-1])}"
    kernel = layer.kind.rpartition(" ")[2]
    return f"{kernel}x{layer.shape[0]} dw" if " dw " in layer.kind else f"{kernel}x{layer.inputs[0]}x{layer.shape[0]}"
