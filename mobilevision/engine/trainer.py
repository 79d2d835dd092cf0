"""Lightning's Trainer, as ``trainer=`` configures it: the one place that makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.engine.build import instantiate
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from pytorch_lightning import Callback, Trainer


def make_trainer(
    cfg: DictConfig,
    callbacks: Sequence[Callback],
    *,
    checkpoints: bool = False,
    logger: Any = False,
    changes: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Trainer:
    """``Trainer(...)`` with the keys of the node ``trainer``, of a training, an evaluation or a fine-tuning alike.

    Args:
        cfg: the run's config; ``trainer.max_time`` is not Lightning's to keep (see ``training/time_budget.py``).
        callbacks: in the order in which they are called.
        checkpoints: whether one of them saves checkpoints.
        logger: the tracker; False for none.
        changes: values in place of the config's; keys that the config's Trainer does not have are left out.
        **arguments: further ones, as objects.

    Raises:
        UserError: values that do not go together, in one line.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    node: Any = OmegaConf.to_container(cfg.trainer, resolve=True)
    node.update(node.pop("kwargs", None) or {})
    node.pop("max_time", None)
    node |= {key: value for key, value in (changes or {}).items() if key in node}
    try:
        trainer: Trainer = instantiate(
            node,
            callbacks=list(callbacks),
            logger=logger,
            enable_checkpointing=checkpoints,
            enable_progress_bar=False,  # ours is a callback
            **arguments,
        )
    except (MisconfigurationException, ValueError) as error:
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from error
    return trainer
