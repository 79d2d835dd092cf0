"""What of an ONNX graph the accelerators of ONNX Runtime take, by their published lists, and why they leave the rest.

The CPU runs what they leave. Nothing is tried here: a phone may take less than a list says, never more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from mobilevision.deploy.formats.onnx_runtimes import MISSING, OPEN, Runtime, runtimes
from mobilevision.deploy.formats.onnx_sizes import Sized, elements, with_sizes

BATCH = "--batch 1"
SUPPRESSION = "--raw, or head.one_to_one=true of PicoDet"
FLOAT = "--quantize float32"
"""What an export takes so that an accelerator takes more of it."""

_INSIDE = "holds graphs of its own, which are not looked into"


def placement(model: Any, *, apart: bool = False) -> dict[str, dict[str, Any]] | None:
    """By runtime, what it takes of a graph.

    Constants, and nodes that depend on nothing else, do not count: ONNX Runtime works them out when it loads a file.

    Args:
        model: an ``onnx.ModelProto``; it is left as it is.
        apart: work sizes out in a process of its own, as a stranger's file wants it.

    Returns:
        Of each the ``nodes`` that there are, those ``taken``, the ``pieces`` that these come in (None of a runtime that
        takes them one by one), the share of ``mult_adds`` in them (None where sizes are not known) and what is
        ``left``: by reason (``why``) the ``operators`` and how many of each, with the option that may ``help``.
        None where the sizes cannot be worked out.
    """
    sized = with_sizes(model, apart=apart)
    if sized is None:
        return None
    graph = Sized(model, sized)
    return {each.name: _taken(graph, each) for each in runtimes()}


def _taken(graph: Sized, runtime: Runtime) -> dict[str, Any]:
    taken = [False] * len(graph.nodes)
    left: dict[tuple[str, str | None], Counter[str]] = {}
    for place, node in enumerate(graph.nodes):
        inside = any(each.HasField("g") or each.graphs for each in node.attribute)
        why = _INSIDE if inside else runtime.refusal(node, graph)
        taken[place] = why is None
        if why is not None:
            left.setdefault((why, _help(why, node, graph, runtime)), Counter())[node.op_type] += 1
    costs = [_mult_adds(node, graph) for node in graph.nodes]
    whole = None if None in costs else sum(cost or 0 for cost in costs)
    share = sum(cost or 0 for cost, there in zip(costs, taken, strict=True) if there) / whole if whole else None
    return {
        "nodes": len(graph.nodes),
        "taken": sum(taken),
        "pieces": _pieces(graph, taken) if runtime.in_pieces else None,
        "mult_adds": None if share is None else round(share, 4),
        "left": [
            {"why": why, "operators": dict(found.most_common()), **({"help": help} if help else {})}
            for (why, help), found in sorted(left.items(), key=lambda each: -each[1].total())
        ],
    }


def _help(why: str, node: Any, graph: Sized, runtime: Runtime) -> str | None:
    """What an export takes against it; None where nothing is known to."""
    if why == OPEN and graph.open_batch:
        return BATCH
    suppresses = node.op_type == "NonMaxSuppression" or why == OPEN
    if suppresses and runtime.in_pieces and any(each.op_type == "NonMaxSuppression" for each in graph.nodes):
        return SUPPRESSION
    near = [graph.maker(name) for name in node.input]
    quantised = node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.op_type.startswith("QLinear")
    beside = why != MISSING and any(each is not None and each.op_type == "DequantizeLinear" for each in near)
    return FLOAT if quantised or beside else None


def reason(left: Mapping[str, Any], most: int) -> str:
    """One reason for what is left, in words: ``TopK 2, Where 1: no such operator``."""
    operators = list(left["operators"].items())
    more = f" and {len(operators) - most} more" if len(operators) > most else ""
    return ", ".join(f"{name[:60]} {count}" for name, count in operators[:most]) + f"{more}: {left['why']}"


def _pieces(graph: Sized, taken: Sequence[bool]) -> int:
    """In how many runs of nodes a graph goes to the accelerator: each is a way there and back.

    Nodes are taken up in the order in which they can run. One that the CPU has to run, and that needs what the piece
    gives, waits until no other node can join that piece (as ONNX Runtime's partitioning does).
    """
    follow = [[user for name in node.output for user in graph.users.get(name, ())] for node in graph.nodes]
    waiting = [0] * len(graph.nodes)
    for users in follow:
        for user in users:
            waiting[user] += 1
    ready = deque(place for place, count in enumerate(waiting) if not count)
    later: deque[int] = deque()
    pieces, size, border = 0, 0, set[int]()
    while ready or later:
        if not ready:
            pieces += bool(size)
            size, ready, later = 0, later, deque()
            border.clear()
        place = ready.popleft()
        if taken[place]:
            size += 1
            border.update(follow[place])
        elif place in border:
            later.append(place)
            continue
        for user in follow[place]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return pieces + bool(size)


def _mult_adds(node: Any, graph: Sized) -> int | None:
    """Of an image; 0 of a node that is no matrix product, None where sizes are not known."""
    if (place := _WEIGHTS.get(node.op_type)) is None:
        return 0
    if len(node.input) <= place or not node.output:
        return None
    given, weights, made = (graph.sides.get(name) for name in (node.input[0], node.input[place], node.output[0]))
    if given is None or weights is None or made is None or not weights:
        return None
    if node.op_type in ("MatMul", "Gemm"):
        turned = any(each.name == "transA" and each.i for each in node.attribute)
        times: tuple[int | None, ...] = (given[0] if turned else given[-1],) if given else (None,)
    else:
        times = weights[1:]
    over = given if node.op_type == "ConvTranspose" else made
    sides = (1 if over and over[0] is None else over[0] if over else 1, *over[1:], *times)
    return None if None in sides else elements(sides)


_WEIGHTS: Mapping[str, int] = {"Conv": 1, "ConvTranspose": 1, "QLinearConv": 3, "Gemm": 1, "MatMul": 1}
"""Operators that multiply, and where their weights stand."""
