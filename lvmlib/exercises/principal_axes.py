"""Questioning principal components, whose signs are free: only what does not depend on them is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame, kind_of, several
from lvmlib.probe import Ask, Draw, is_plain

NAMES = ("scores", "directions", "variances")
SPREAD = 1.6
"""Neighbouring components differ at least by this factor in variance, so that their directions are well defined."""


@dataclass(frozen=True)
class Cloud:
    """Points (count, dimensions), and a place from which the signs of their principal directions can be told.

    `lookout` is a vector (dimensions,), in float64, whose product with each principal direction is 1 or −1.
    """

    points: Tensor
    lookout: Tensor


def cloud(
    draw: Draw,
    count: int,
    dimensions: int,
    *,
    centre: float = 1.0,
    size: float = 1.0,
    idle: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Cloud:
    """Points with sample variances that are well apart, the most there can be.

    Args:
        centre: how far from zero the mean of a coordinate lies, at least.
        size: standard deviation of the least component, roughly.
        idle: a coordinate that is the same for all points.
    """
    used = [axis for axis in range(dimensions) if axis != idle]
    rank = min(count - 1, len(used))
    # The first column is constant, and what is orthogonal to it has mean zero.
    columns = torch.cat([torch.ones(count, 1).double(), draw.uniform(count, rank, dtype=torch.float64)], 1)
    scores = _orthonormal(columns)[:, 1:]
    axes = torch.zeros(dimensions, rank, dtype=torch.float64)
    axes[used] = _orthonormal(draw.uniform(len(used), rank, dtype=torch.float64))
    ratios = SPREAD * draw.uniform(rank, low=1, high=1.5, dtype=torch.float64)
    deviations = size * (ratios.cumprod(0) * (count - 1)).sqrt()
    deviations = deviations[torch.randperm(rank, generator=draw.generator)]
    side = 2 * draw.bits(dimensions, dtype=torch.float64) - 1
    mean = side * centre * draw.uniform(dimensions, low=1, high=2, dtype=torch.float64)
    return Cloud((mean + (scores * deviations) @ axes.mT).to(dtype), axes.sum(1))


def _orthonormal(columns: Tensor) -> Tensor:
    """Gram and Schmidt's columns, by plain arithmetic: a library's factorisation may choose other signs elsewhere."""
    found: list[Tensor] = []
    for column in columns.mT:
        for _ in range(2):
            for other in found:
                column = column - (column @ other) * other
        found.append(column / column.square().sum().sqrt())
    return torch.stack(found, 1)


def ask_components(
    ask: Ask,
    question: str,
    cloud: Cloud,
    k: int,
    *,
    size: float = 1.0,
    rtol: float | None = None,
    atol: float | None = None,
    edge: bool = False,
) -> None:
    """Ask for the first k components of a cloud, and write down what no choice of signs can change.

    Args:
        size: what the cloud was made with; a tolerance is a share of it.
        rtol: relative tolerance, if not the one of the points' dtype.
        atol: absolute tolerance of a coordinate in units of `size`, likewise.
    """
    if edge:
        ask.answers.edges.append(question)
    x = cloud.points
    passed = x.clone()
    # A randomised factorisation of full rank is exact.
    result = ask.attempt(question, ask.function, passed, k, may_draw=True, value_only=True)
    if not torch.equal(passed, x):
        blame(ask, question, "changed its argument `x` in place; work on a new tensor")
    parts = several(ask, question, result, NAMES)
    if parts is None:
        return
    count, dimensions = x.shape
    for name, part, shape in zip(NAMES, parts, ((count, k), (k, dimensions), (k,)), strict=True):
        fault = _misshapen(name, part, shape, x)
        if fault:
            blame(ask, question, fault)
    if question in ask.answers.faults:
        return
    scores, directions, variances = (part.detach().double() for part in parts)
    default = (1e-6, 1e-6) if x.dtype == torch.float64 else (1e-3, 2e-4)
    rtol, atol = default[0] if rtol is None else rtol, default[1] if atol is None else atol
    ask.record(question, "a variance", variances, rtol, atol * size**2)
    # A product rather than a sign: it tells a direction of another length, and does not jump.
    signs = directions @ cloud.lookout
    ask.record(question, "a coordinate of a direction (up to its sign)", directions * signs[:, None], rtol, atol)
    ask.record(question, "a score times its direction's sign", scores * signs, rtol, atol * size)


def _misshapen(name: str, part: Any, shape: tuple[int, ...], x: Tensor) -> str | None:
    if not isinstance(part, Tensor):
        return f"returned {kind_of(part)} as {name}; make it a tensor"
    if tuple(part.shape) != shape:
        promise = {"scores": "(N, k)", "directions": "(k, D), a direction in each row", "variances": "(k,)"}[name]
        hint = "; it is transposed" if tuple(part.shape) == shape[::-1] else ""
        if name == "scores" and len(part) == x.shape[1] and not hint:
            hint = "; axis 0 of x is that of the points"
        return f"{name} has shape {tuple(part.shape)}; it should be {shape}, that is {promise}{hint}"
    if not is_plain(part) or not part.is_floating_point():
        return f"returned {name} of {part.dtype}; an ordinary dense tensor of floats is wanted"
    return None
