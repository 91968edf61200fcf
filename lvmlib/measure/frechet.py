"""The distance between two sets of images, with an interval around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lvmlib.measure.digits import features as digit_features

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % confidence interval.

    Attributes:
        value: The estimate.
        low, high: The ends of the interval.
        count: Images in each of the sets that were compared.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}] on {self.count:,} images"


def frechet_distance(
    real: Tensor,
    generated: Tensor,
    *,
    features: Callable[[Tensor], Tensor] = digit_features,
) -> Estimate:
    """Fréchet distance between the features of real and of generated images: the FID, on features of digits.

    Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, 2017, section 3,
    with the 64 features of the ready MNIST classifier instead of Inception's, so the numbers compare with none on other
    features. The estimate is too large by an amount that shrinks with the number of images and depends on the model
    (Chong & Forsyth, *Effectively Unbiased FID and Inception Score*, 2020), so compare only values on equally many:
    the generated images are cut into sets of exactly as many as there are real ones, no image is used twice, and the
    estimate is the mean over these sets, with the interval of Student's t.

    The real images are the same for every set, and the interval does not count their being a sample; with others, the
    values of all models move together. Real images that the model did not see, `frechet_distance(test.images,
    train.images)`, tell what a perfect generator scores.

    Args:
        real: Images in [0, 1], shape (count, 1, 28, 28), on any device, for example the test images.
        generated: Images likewise, twice as many or another whole multiple.
        features: Another function from images, shape (count, …), to features, shape (count, width).

    Raises:
        ValueError: Images have another shape, hold NaN, or are not as many as needed: more than features.
    """
    count, sets = len(real), _sets(real, generated)
    seen = features(real)
    if count <= seen.shape[1]:
        raise ValueError(
            f"There are {count} real images, too few to estimate how {seen.shape[1]} features vary together; "
            f"pass at least {seen.shape[1] + 1}, better 1,000."
        )
    distances = torch.tensor([_distance(seen, features(part)) for part in generated.split(count)], dtype=torch.float64)
    value, margin = float(distances.mean()), _student(sets - 1) * float(distances.std()) / math.sqrt(sets)
    return Estimate(value, max(0.0, value - margin), value + margin, count)


def _sets(real: Tensor, generated: Tensor) -> int:
    """How many sets as large as the real one the generated images make."""
    if real.shape[1:] != generated.shape[1:]:
        shapes = f"{tuple(real.shape)} and generated ones {tuple(generated.shape)}"
        raise ValueError(f"Real images have shape {shapes}; pass images of one size.")
    sets, rest = divmod(len(generated), max(len(real), 1))
    if sets < 2 or rest:
        raise ValueError(
            f"There are {len(real):,} real and {len(generated):,} generated images; pass a whole multiple of the real "
            "ones, at least twice as many, so that sets of equal size can be compared."
        )
    for name, images in (("real", real), ("generated", generated)):
        broken = int((~images.detach().flatten(1).isfinite().all(1)).sum())
        if broken:
            raise ValueError(f"{broken:,} of {len(images):,} {name} images hold NaN or infinite values; find out why.")
    return sets


def _distance(real: Tensor, generated: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    # The features are there already, and float64 needs the CPU: some devices have none.
    known = nn.Identity()
    known.num_features = real.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=known)
    metric.update(real.detach().cpu().double(), real=True)
    metric.update(generated.detach().cpu().double(), real=False)
    return max(0.0, float(metric.compute()))


def _student(freedom: int) -> float:
    """How many standard errors the interval reaches to either side."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + _LEVEL) / 2))


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
