"""Priors p(z): modules without an input that return a distribution of codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib.models import distributions

__all__ = ["BitsPrior", "CategoricalPrior", "GaussianPrior", "MixturePrior"]


class GaussianPrior(nn.Module):
    """The standard Gaussian; nothing is learned.

    Args:
        latent: Entries of a code.

    Raises:
        ValueError: There is no entry.
    """

    mean: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        _refuse_nothing(latent=latent)
        self.register_buffer("mean", torch.zeros(latent))

    def forward(self) -> td.Distribution:
        """N(0, I), event shape (latent,)."""
        return distributions.gaussian(self.mean, torch.zeros_like(self.mean))


class MixturePrior(nn.Module):
    """A mixture of diagonal Gaussians: equal weights at first, means drawn from N(0, I), variances of 1.

    Args:
        latent: Entries of a code.
        components: How many Gaussians.
        learned: Whether weights, means and variances are learned with the model.

    Raises:
        ValueError: There is no entry, or no component.
    """

    def __init__(self, latent: int, components: int, *, learned: bool = True) -> None:
        super().__init__()
        _refuse_nothing(latent=latent, components=components)
        self.logits = nn.Parameter(torch.zeros(components), requires_grad=learned)
        self.means = nn.Parameter(torch.randn(components, latent), requires_grad=learned)
        self.log_vars = nn.Parameter(torch.zeros(components, latent), requires_grad=learned)

    def forward(self) -> td.Distribution:
        """A `MixtureSameFamily`, event shape (latent,)."""
        return distributions.mixture(self.logits, self.means, self.log_vars)


class _Discrete(nn.Module):
    """Logits (latent,), all 0 at first."""

    def __init__(self, latent: int, *, learned: bool = True) -> None:
        super().__init__()
        _refuse_nothing(latent=latent)
        self.logits = nn.Parameter(torch.zeros(latent), requires_grad=learned)


class CategoricalPrior(_Discrete):
    """Categories as one-hot vectors, equally probable at first.

    Args:
        latent: How many categories.
        learned: Whether their probabilities are learned with the model.

    Raises:
        ValueError: There is no category.
    """

    def forward(self) -> td.Distribution:
        """A `OneHotCategorical`, event shape (latent,)."""
        return distributions.one_hot(self.logits)


class BitsPrior(_Discrete):
    """Independent bits, fair at first.

    Args:
        latent: How many bits.
        learned: Whether their probabilities are learned with the model.

    Raises:
        ValueError: There is no bit.
    """

    def forward(self) -> td.Distribution:
        """Independent Bernoulli variables, event shape (latent,)."""
        return distributions.bits(self.logits)


def _refuse_nothing(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"The prior has {name}={count}; give at least 1.")
