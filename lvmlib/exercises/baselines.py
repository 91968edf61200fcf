"""Questioning the use of a learned baseline: what it subtracts, and who learns from whom."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lvmlib.exercises.several_tensors import ask_tensors
from lvmlib.exercises.training_steps import with_drawn_weights
from lvmlib.probe import Ask, Draw, gradients

NAMES = ("advantage", "loss")


class Table(nn.Module):
    """A baseline whose weights are its answers, one for each of the observations that it knows, in any order.

    Args:
        known: observations, shape (n, …), no two alike.
        values: its answers to them, shape (n,).
    """

    known: Tensor

    def __init__(self, known: Tensor, values: Tensor):
        super().__init__()
        self.register_buffer("known", known.flatten(1).clone())
        self.values = nn.Parameter(values.unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        """Answers to observations (batch, …), each like one that is known, shape (batch, 1)."""
        distances = (x.flatten(1)[:, None] - self.known).square().sum(-1)
        return self.values[distances.argmin(1)]


def image_baseline(draw: Draw, shape: Sequence[int]) -> nn.Module:
    """Images (batch, *shape) to one number each, (batch, 1), by a convolution that needs them as images."""
    channels, height, width = shape
    features = 3 * (height - 1) * (width - 1)
    layers = nn.Conv2d(channels, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(features, 1)
    return with_drawn_weights(draw, nn.Sequential(*layers))


def vector_baseline(draw: Draw, inputs: int) -> nn.Module:
    """Vectors (batch, inputs) to one number each, (batch, 1)."""
    return with_drawn_weights(draw, nn.Sequential(nn.Linear(inputs, 4), nn.Tanh(), nn.Linear(4, 1)))


def ask_baseline(
    ask: Ask, question: str, baseline: nn.Module, reward: Tensor, x: Tensor, *, edge: bool = False
) -> None:
    """Ask for the advantage and the loss of a batch, and for where their gradients go.

    The reward hangs on a graph here, so that a loss that leads into it shows.
    """
    if edge:
        ask.answers.edges.append(question)
    weights = list(baseline.parameters())
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    before = [weight.detach().clone() for weight in weights]
    source = reward.clone().requires_grad_()
    arguments = {"baseline": baseline, "reward": source * 1.0, "x": x.clone()}
    parts = ask_tensors(ask, question, arguments, NAMES, afterwards=lambda: _disturbed(baseline, weights, before))
    if parts is None:
        return
    for name, part in zip(NAMES, parts, strict=True):
        ask.record(question, name, part)
    advantage, loss = parts
    for quantity, part, leaves in (
        ("gradient of the loss in the baseline's weights", loss, weights),
        ("gradient of the advantage in the baseline's weights", advantage, weights),
        ("gradient of the loss in the reward", loss, [source]),
    ):
        found = ask.attempt(question, gradients, part, leaves, doing="differentiated")
        if found is not None:
            # Large terms cancel in a gradient, and leave rounding errors of their own size.
            atol = (1e-6 if reward.dtype == torch.float64 else 2e-5) * max(1.0, float(reward.abs().max()))
            ask.record(question, quantity, torch.cat([gradient.flatten() for gradient in found]), atol=atol)


def _disturbed(baseline: nn.Module, weights: Sequence[nn.Parameter], before: Sequence[Tensor]) -> str | None:
    if not all(map(torch.equal, weights, before)):
        return "moved the baseline's weights; the optimizer does that later, from the loss"
    if any(weight.grad is None or not (weight.grad == 1).all() for weight in weights):
        return "changed the gradients stored in the baseline; return the loss, and call no backward() here"
    if not all(weight.requires_grad for weight in weights):
        return "left the baseline frozen; detach what it returned instead"
    if not baseline.training:
        return "left the baseline in eval mode; it was in train mode and should be so afterwards"
    return None


def rewards(draw: Draw, count: int, *, around: float = -4.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """One reward for each observation, some above and some below what a baseline says."""
    return draw.uniform(count, low=around - math.pi, high=around + math.pi, dtype=dtype)
