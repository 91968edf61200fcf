"""The density of grey values between 0 and 1 that a logit tilts to one end."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.types import _size

__all__ = ["ContinuousBernoulli"]

_NEAR = 0.1
"""Below this |logit| the series are exact to the last digit of float64, and the closed forms are 0 / 0 in the limit."""


class ContinuousBernoulli(td.Distribution):
    """p(x) ∝ exp(l·x) on [0, 1], for logits l of any size.

    Loaiza-Ganem & Cunningham, *The Continuous Bernoulli*, 2019, equation 1. The density is written as that of an
    exponential variable with rate |l|, cut off at 1: the distance of x from the end of the interval that the logit
    points to. That keeps its digits in float32 where the way through probabilities loses them.

    Args:
        logits: Any shape, which becomes the batch shape.
        validate_args: As for every distribution of torch.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: object = None) -> ContinuousBernoulli:
        return ContinuousBernoulli(self.logits.expand(batch_shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Of the grey values, in [0, 1]."""
        logits = self.logits
        near, far = _apart(logits)
        size = far.abs()
        distance = 1 / size + (-size).exp() / torch.expm1(-size)
        series = 0.5 + logits / 12 - logits**3 / 720 + logits**5 / 30240
        return torch.where(near, series, torch.where(far > 0, 1 - distance, distance))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, positive where the density exceeds 1.

        Args:
            value: Grey values in [0, 1], a shape that broadcasts with the logits.
        """
        if self._validate_args:
            self._validate_sample(value)
        logits = self.logits
        near, far = _apart(logits)
        size = far.abs()
        distance = torch.where(far > 0, 1 - value, value)
        closed = size.log() - torch.log(-torch.expm1(-size)) - size * distance
        # far from 0 the powers would overflow, and their gradient with them, though nothing asks for them
        small = torch.where(near, logits, 0)
        series = small * (value - 0.5) - small**2 / 24 + small**4 / 2880 - small**6 / 181440
        return torch.where(near, series, closed)

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draws by the inverse of the distribution function, shape (*sample_shape, *batch_shape); without gradient."""
        with torch.no_grad():
            logits = self.logits.expand(self._extended_shape(torch.Size(sample_shape)))
            size = logits.abs().clamp(min=1e-6)
            distance = -torch.log1p(torch.rand_like(logits) * torch.expm1(-size)) / size
            return torch.where(logits > 0, 1 - distance, distance)


def _apart(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Which logits are near 0, and the others with a 1 in their place.

    `torch.where` drops a value, but multiplies its gradient by 0: an infinite one would come back as NaN.
    """
    near = logits.abs() < _NEAR
    return near, torch.where(near, 1, logits)
