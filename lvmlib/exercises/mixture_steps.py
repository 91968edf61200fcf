"""Questioning one EM step of a Gaussian mixture with full covariances: a step by itself, and several in a row."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmlib.exercises.several_tensors import ask_tensors
from lvmlib.probe import Ask, Draw

NAMES = ("weights", "means", "covs")


def mixture(
    draw: Draw, points: int, components: int, dimensions: int, *, apart: float = 2.0, offset: float = 0.0
) -> dict[str, Tensor]:
    """Points in no clear order, and a mixture that is not fitted to them, whose components overlap.

    Args:
        apart: how far the components' means are from `offset`, at most; a component has a standard deviation near 1.
        offset: where all of it lies, in every dimension.
    """
    shares = draw.uniform(components, low=0.3, high=1.5, dtype=torch.float64)
    factors = draw.uniform(components, dimensions, dimensions, low=-1.1, high=1.1, dtype=torch.float64)
    covs = factors @ factors.mT + 0.4 * torch.eye(dimensions, dtype=torch.float64)
    return {
        "z": (offset + draw.uniform(points, dimensions, low=-3, high=3, dtype=torch.float64)).float(),
        "weights": (shares / shares.sum()).float(),
        "means": (offset + draw.uniform(components, dimensions, low=-apart, high=apart, dtype=torch.float64)).float(),
        "covs": covs.float(),
    }


def far_point(draw: Draw, points: int, components: int, dimensions: int) -> dict[str, Tensor]:
    """A mixture's points, the first of which is some hundred standard deviations away from every component."""
    found = mixture(draw, points, components, dimensions)
    direction = 2 * draw.bits(dimensions) - 1
    # Components of different size, so that one of them clearly explains the far point best.
    spread = (1 + torch.arange(components) / 2)[:, None, None]
    found["z"][0] = draw.integer(120, 140) * direction
    return found | {"covs": spread * (found["covs"] / 4 + torch.eye(dimensions))}


def ask_steps(
    ask: Ask,
    question: str,
    arguments: dict[str, Tensor],
    *,
    steps: int = 1,
    rtol: float | None = None,
    atol: float | None = None,
    edge: bool = True,
) -> None:
    """Ask for one EM step after another, each from what the last one gave; write down every mixture.

    Args:
        rtol: relative tolerance, if not the one of the points' dtype.
        atol: absolute tolerance, likewise; within it, 1e-6 may be added to a variance, as scikit-learn does.
    """
    default = (1e-5, 1e-5) if arguments["z"].dtype == torch.float64 else (1e-3, 2e-4)
    for step in range(1, steps + 1):
        at = question if steps == 1 else f"{question}, step {step}"
        if edge:
            ask.answers.edges.append(at)
        parts = ask_tensors(ask, at, arguments, NAMES)
        if parts is None:
            return
        for name, part in zip(NAMES, parts, strict=True):
            ask.record(at, name, part, default[0] if rtol is None else rtol, default[1] if atol is None else atol)
        if any(part.shape != arguments[name].shape for name, part in zip(NAMES, parts, strict=True)):
            return
        arguments = arguments | {name: part.detach().clone() for name, part in zip(NAMES, parts, strict=True)}
