"""Questioning the in-painting of an observation under a linear generator: hidden entries may be anything, even NaN."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame, kind_of, several
from lvmlib.probe import Ask, Draw, is_plain, same

NAMES = ("z", "completed")
TOLERANCE = 1e-2
"""Absolute and relative; an iterative search trembles by about as much, and every mistake is further away."""

ROUNDING = 1e-4
"""How far a completed entry may lie from Wz + b for the z that is returned with it, in float32."""


def partly_hidden(
    draw: Draw,
    dimensions: int,
    latent: int,
    seen: int,
    variance: float,
    *,
    hidden: Sequence[float] = (),
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """A linear generator and an observation of which `seen` entries, anywhere, are known.

    Args:
        hidden: what stands where nothing was observed, one after another; without it numbers like the others.
    """
    observed = torch.zeros(dimensions, dtype=torch.bool)
    observed[torch.randperm(dimensions, generator=draw.generator)[:seen]] = True
    x = draw.uniform(dimensions, low=-3, high=3, dtype=dtype)
    if hidden:
        x[~observed] = torch.tensor(list(islice(cycle(hidden), dimensions - seen)), dtype=dtype)
    return {
        "W": draw.uniform(dimensions, latent, low=-1.2, high=1.2, dtype=dtype),
        "b": _away_from_zero(draw, dimensions, dtype),
        "x": x,
        "observed": observed,
        "variance": variance,
    }


def _away_from_zero(draw: Draw, count: int, dtype: torch.dtype) -> Tensor:
    return (2 * draw.bits(count, dtype=dtype) - 1) * draw.uniform(count, low=0.5, high=1.5, dtype=dtype)


def ask_inpainting(ask: Ask, question: str, arguments: dict[str, Any], *, edge: bool = True) -> None:
    """Ask for the code and the completed observation; a search may start where it likes, at random too."""
    if edge:
        ask.answers.edges.append(question)
    passed = {name: value.clone() if isinstance(value, Tensor) else value for name, value in arguments.items()}
    result = ask.attempt(question, ask.function, *passed.values(), may_draw=True, value_only=True)
    for name, value in arguments.items():
        if isinstance(value, Tensor) and not same(value, passed[name]):
            blame(ask, question, f"changed its argument `{name}` in place; work on a new tensor")
    parts = several(ask, question, result, NAMES)
    if parts is None:
        return
    x, observed = arguments["x"], arguments["observed"]
    for name, part, shape in zip(NAMES, parts, ((arguments["W"].shape[1],), tuple(x.shape)), strict=True):
        fault = _misshapen(name, part, shape, parts)
        if fault:
            blame(ask, question, fault)
    if question in ask.answers.faults:
        return
    z, completed = parts
    if x[~observed].isfinite().all() and not z.isfinite().all():
        bad = z[~z.isfinite()][0].item()
        blame(ask, question, f"z is {bad}: your search diverges; take a smaller step")
        return
    ask.record(question, "z", z, TOLERANCE, TOLERANCE)
    ask.record(question, "completed, where observed,", completed[observed], 0, 0)
    ask.record(question, "completed, where hidden,", completed[~observed], TOLERANCE, TOLERANCE)
    decoded = arguments["W"].double() @ z.detach().double() + arguments["b"].double()
    apart = (completed.detach() - decoded)[~observed].round(decimals=5) + 0.0
    ask.record(question, "completed − (Wz + b) for the z returned, where hidden,", apart, 0, ROUNDING)


def _misshapen(name: str, part: Any, shape: tuple[int, ...], parts: tuple[Any, ...]) -> str | None:
    if not isinstance(part, Tensor):
        return f"returned {kind_of(part)} as {name}; a tensor is wanted"
    if not is_plain(part) or not part.is_floating_point():
        return f"returned a {name} of {part.dtype}; an ordinary dense tensor of floats is wanted"
    if tuple(part.shape) == shape:
        return None
    promise = {"z": "(K,), one code", "completed": "(D,), all entries of x"}[name]
    other = parts[NAMES.index(name) - 1]
    swapped = isinstance(other, Tensor) and tuple(other.shape) == shape
    hint = "; z comes first, then completed" if swapped else ""
    return f"{name} has shape {tuple(part.shape)}; it should be {shape}, that is {promise}{hint}"
