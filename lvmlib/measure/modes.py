"""Which modes of a known mixture a generator reaches."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lvmlib.mixtures import GaussianMixture

_NEAR = 3
"""Standard deviations within which a sample is of high quality."""
_ENOUGH = 0.1
"""Of an even share of all samples, for a mode to be covered."""


@dataclass(frozen=True)
class ModeCoverage:
    """What :func:`mode_coverage` found.

    Attributes:
        modes: How many modes are covered.
        high_quality: Share of the samples near a mode, between 0 and 1.
        counts: High-quality samples on every mode of the mixture, in its order.
    """

    modes: int
    high_quality: float
    counts: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.modes} of {len(self.counts)} modes, {100 * self.high_quality:.0f} % high-quality samples"


def mode_coverage(samples: Tensor, mixture: GaussianMixture) -> ModeCoverage:
    """How many modes of a mixture a generator covers, and how many of its samples are near one.

    Srivastava et al., *VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning*, 2017, section 5: a
    sample is of high quality if it lies within three standard deviations of the nearest mode. Of the mixture's own
    samples in the plane, 1 − exp(−9/2) = 98.9 % do. There, one such sample is enough for its mode to be captured, which
    noise all over the plane manages too; here a mode is covered if it holds at least a tenth of an even share of all
    samples: of 2,500 samples and eight modes, 32.

    Args:
        samples: Shape (n, dims), on any device; one that is not finite is near no mode.
        mixture: What they should be distributed as.

    Raises:
        ValueError: The samples have another shape, or there are none.
    """
    dims = mixture.means.shape[1]
    if samples.ndim != 2 or samples.shape[1] != dims or not len(samples):
        raise ValueError(f"The samples have shape {tuple(samples.shape)}; pass (n, {dims}) with at least one sample.")
    points = samples.detach().double().cpu()
    distance, mode = (points[:, None] - mixture.means.cpu().double()).norm(dim=-1).min(1)
    near = distance <= _NEAR * mixture.std
    counts = mode[near].bincount(minlength=len(mixture.means))
    enough = counts >= max(1.0, _ENOUGH * len(samples) / len(counts))
    return ModeCoverage(int(enough.sum()), int(near.sum()) / len(samples), tuple(counts.tolist()))
