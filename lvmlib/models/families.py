"""Families of distributions: how many numbers a network has to give for one, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib.models import distributions

__all__ = ["Bernoulli", "Categorical", "ContinuousBernoulli", "Family", "Gaussian", "Mixture"]

Head = Callable[[Tensor], td.Distribution]

_PIXELS = 3
"""The axes of an image: channels, height, width."""


class Family:
    """What a code or an image is distributed as, given what it depends on."""

    def numbers(self, latent: int) -> int:
        """How many numbers a network gives for a code of `latent` entries.

        Raises:
            ValueError: The family is one of images only.
        """
        raise ValueError(
            f"{self!r} is a distribution of images, not of codes; choose Gaussian(), Mixture(components), "
            "Categorical() or Bernoulli() for the encoder."
        )

    def codes(self, numbers: Tensor) -> td.Distribution:
        """The distribution of codes that a network's numbers stand for, (…, numbers) to event shape (latent,)."""
        raise NotImplementedError

    def image_head(self) -> Head:
        """What makes distributions of images from a network's images, (…, C, H, W) to event shape (C, H, W).

        Raises:
            ValueError: The family is one of codes only.
        """
        raise ValueError(
            f"{self!r} is a distribution of codes, not of images; choose Bernoulli(), ContinuousBernoulli() or "
            "Gaussian() for the decoder."
        )


@dataclass(frozen=True)
class Gaussian(Family):
    """Codes: a mean and a log-variance for each entry. Images: a mean for each pixel, and one variance for all.

    That of the pixels is learned with the model and depends on no code, as in `lvmlib.networks.GaussianDecoder`.
    """

    def numbers(self, latent: int) -> int:
        return 2 * latent

    def codes(self, numbers: Tensor) -> td.Distribution:
        mean, log_var = numbers.chunk(2, dim=-1)
        return distributions.gaussian(mean, log_var)

    def image_head(self) -> Head:
        return _GaussianPixels()


@dataclass(frozen=True)
class Mixture(Family):
    """Codes from a mixture of diagonal Gaussians.

    Args:
        components: How many.

    Raises:
        ValueError: There is no component.
    """

    components: int

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"A mixture of {self.components} components has nothing to draw from; give at least 1.")

    def numbers(self, latent: int) -> int:
        return self.components * (1 + 2 * latent)

    def codes(self, numbers: Tensor) -> td.Distribution:
        logits, gaussians = numbers.tensor_split([self.components], dim=-1)
        means, log_vars = gaussians.unflatten(-1, (2, self.components, -1)).unbind(-3)
        return distributions.mixture(logits, means, log_vars)


@dataclass(frozen=True)
class Categorical(Family):
    """Codes that are one category, as a one-hot vector."""

    def numbers(self, latent: int) -> int:
        return latent

    def codes(self, numbers: Tensor) -> td.Distribution:
        return distributions.one_hot(numbers)


@dataclass(frozen=True)
class Bernoulli(Family):
    """Codes: independent bits. Images: pixels that are 0 or 1; grey ones have a `log_prob` that is no density."""

    def numbers(self, latent: int) -> int:
        return latent

    def codes(self, numbers: Tensor) -> td.Distribution:
        return distributions.bits(numbers)

    def image_head(self) -> Head:
        return lambda logits: distributions.bits(logits, _PIXELS)


@dataclass(frozen=True)
class ContinuousBernoulli(Family):
    """Images of grey pixels between 0 and 1, with a density."""

    def image_head(self) -> Head:
        return lambda logits: distributions.grey(logits, _PIXELS)


class _GaussianPixels(nn.Module):
    """Means to Gaussian images with one variance, whose logarithm starts at −2.

    An optimizer that moves every parameter by about its learning rate would be too slow for the one number, which has
    as far to go as the scale of the images asks for; so the parameter is a tenth of it.
    """

    SPEED = 10

    def __init__(self) -> None:
        super().__init__()
        self.scaled_log_var = nn.Parameter(torch.tensor(-2.0 / self.SPEED))

    def forward(self, means: Tensor) -> td.Distribution:
        return distributions.gaussian(means, self.SPEED * self.scaled_log_var, _PIXELS)
