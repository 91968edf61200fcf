"""Toy distributions whose density or shape is known: mixtures of Gaussians, a ring of them, a Swiss roll."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lvmlib.profile import profile

__all__ = ["GaussianMixture", "ring", "swiss_roll"]


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Equally probable round Gaussians of one standard deviation.

    Attributes:
        means: Of the modes, shape (modes, dims).
        std: The standard deviation of every mode along every axis.

    Raises:
        ValueError: The means have another shape, or the standard deviation is not positive.
    """

    means: Tensor
    std: float

    def __post_init__(self) -> None:
        if self.means.ndim != 2 or 0 in self.means.shape:
            raise ValueError(
                f"The means have shape {tuple(self.means.shape)}; pass (modes, dims) with at least one each."
            )
        if not (0 < self.std < math.inf):
            raise ValueError(f"The standard deviation is {self.std}; pass a positive number.")

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Independent draws on the device of the means, shape (count, dims).

        Args:
            count: How many.
            generator: Where random numbers come from, on any device; without it, from torch's own stream.
        """
        device = self.means.device if generator is None else generator.device
        modes = torch.randint(len(self.means), (count,), generator=generator, device=device)
        noise = torch.randn(count, self.means.shape[1], generator=generator, device=device, dtype=self.means.dtype)
        return self.means[modes.to(self.means.device)] + self.std * noise.to(self.means.device)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density in nats.

        Args:
            x: Points, shape (n, dims), on any device.

        Returns:
            One number a point, shape (n,).

        Raises:
            ValueError: The points have another shape.
        """
        modes, dims = self.means.shape
        if x.ndim != 2 or x.shape[1] != dims:
            raise ValueError(
                f"The points have shape {tuple(x.shape)}; pass (n, {dims}), as the mixture has {dims} axes."
            )
        squares = (x[:, None] - self.means.to(x)).square().sum(-1)
        constant = math.log(modes) + dims * (math.log(self.std) + 0.5 * math.log(2 * math.pi))
        return (squares / (-2 * self.std**2)).logsumexp(1) - constant


def ring(modes: int = 8, radius: float = 2.0, std: float = 0.05) -> GaussianMixture:
    """Gaussians around a circle, mode k at the angle 2πk / modes; on the profile's device.

    The test of Metz, Poole, Pfau & Sohl-Dickstein, *Unrolled Generative Adversarial Networks*, 2017, section 3.1: a
    generator that covers few of the modes has collapsed.

    Args:
        modes: How many Gaussians.
        radius: Of the circle.
        std: The standard deviation of each.

    Raises:
        ValueError: There is no mode, or the standard deviation is not positive.
    """
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / max(modes, 1)
    means = radius * torch.stack([angles.cos(), angles.sin()], 1)
    return GaussianMixture(means.float().to(profile.device), std)


def swiss_roll(count: int, *, noise: float = 0.05, generator: torch.Generator | None = None) -> Tensor:
    """Points on a spiral of 1½ turns, with Gaussian noise around it; on the profile's device.

    Marsland, *Machine Learning: An Algorithmic Perspective*, 2009, chapter 6, without its depth: the angle t is uniform
    between 1.5π and 4.5π, and the point (t cos t, t sin t) · 2 / 4.5π, so that all lie between about −2 and 2.

    Args:
        count: How many points.
        noise: Standard deviation around the spiral along either axis.
        generator: Where random numbers come from, on any device; without it, from torch's own stream.

    Returns:
        Shape (count, 2).
    """
    device = None if generator is None else generator.device
    angles = 1.5 * math.pi * (1 + 2 * torch.rand(count, generator=generator, device=device))
    spiral = torch.stack([angles.cos(), angles.sin()], 1) * (angles / (2.25 * math.pi))[:, None]
    jitter = noise * torch.randn(count, 2, generator=generator, device=device)
    return (spiral + jitter).to(profile.device)
