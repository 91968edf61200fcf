"""Questioning one step of RMSprop: a step by itself, several in a row, and what eps does where it matters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lvmlib.exercises.several_tensors import ask_tensors
from lvmlib.probe import Ask, Draw

NAMES = ("p", "v")


def ask_rmsprop_steps(
    ask: Ask,
    question: str,
    start: tuple[Tensor, Tensor],
    gradients: Sequence[Tensor],
    rates: tuple[float, float, float],
    *,
    edge: bool = False,
) -> None:
    """Ask for one step after another and write down p and v after each; every step starts where the last one ended.

    Args:
        start: p and v before the first step.
        gradients: one for each step.
        rates: lr, decay and eps.
    """
    p, v = start
    for step, gradient in enumerate(gradients, start=1):
        at = question if len(gradients) == 1 else f"{question}, step {step}"
        if edge:
            ask.answers.edges.append(at)
        lr, decay, eps = rates
        arguments = {"p": p, "gradient": gradient, "v": v, "lr": lr, "decay": decay, "eps": eps}
        moved = ask_tensors(ask, at, arguments, NAMES)
        if moved is None:
            return
        for name, tensor in zip(NAMES, moved, strict=True):
            ask.record(at, name, tensor)
        if any(tensor.shape != p.shape for tensor in moved):
            return
        p, v = (tensor.detach().clone() for tensor in moved)


def where_both_conventions_agree(draw: Draw, eps: float, decay: float, *shape: int) -> tuple[Tensor, Tensor]:
    """A gradient and an old v after which √v + eps and √(v + eps) are the same number, however large eps is.

    That is so where the new √v is (1 − eps)/2.
    """
    new = ((1 - eps) / 2) ** 2
    largest = (new / (1 - decay)) ** 0.5
    size = largest * draw.uniform(*shape, low=0.2, high=0.9, dtype=torch.float64)
    sign = 2 * draw.bits(*shape, dtype=torch.float64) - 1
    return (sign * size).float(), ((new - (1 - decay) * size**2) / decay).float()
