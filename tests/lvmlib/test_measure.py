"""Measures where their value is known: modes covered, digits recognised, Fréchet distances, neighbours."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from lvmlib import load, measure
from lvmlib.classifier import load_classifier
from lvmlib.measure import frechet_distance, mode_coverage, nearest, recognised
from lvmlib.measure.digits import features
from lvmlib.mixtures import ring

NAN = float("nan")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    train, test = load("mnist")
    return train.images.cpu(), test.images.cpu(), test.labels.cpu()


def test_the_mixture_itself_covers_all_its_modes() -> None:
    found = mode_coverage(ring().sample(10_000, generator=seeded()), ring())
    assert found.modes == 8
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.005)
    assert sum(found.counts) == round(10_000 * found.high_quality)
    assert str(found) == "8 of 8 modes, 99 % high-quality samples"


def test_one_mode_is_one_mode_and_a_stray_sample_is_none() -> None:
    samples = ring().means[3].cpu() + 0.02 * torch.randn(2000, 2, generator=seeded())
    samples[0] = ring().means[6].cpu()
    found = mode_coverage(samples, ring())
    assert (found.modes, found.high_quality) == (1, 1.0)
    assert found.counts == (0, 0, 0, 1999, 0, 0, 1, 0)


def test_noise_covers_no_mode_though_it_hits_all() -> None:
    noise = 6 * torch.rand(20_000, 2, generator=seeded()) - 3
    found = mode_coverage(noise, ring())
    discs_share = 8 * math.pi * 0.15**2 / 36
    assert found.modes == 0 and min(found.counts) > 0
    assert found.high_quality == pytest.approx(discs_share, abs=0.004)


def test_a_mode_is_covered_from_a_tenth_of_an_even_share() -> None:
    def covered(on_second: int) -> int:
        share = torch.arange(1000) < on_second
        return mode_coverage(torch.where(share[:, None], means[1], means[0]), ring(modes=2)).modes

    means = ring(modes=2).means.cpu()
    assert [covered(49), covered(50), covered(950), covered(951)] == [1, 2, 2, 1]


def test_the_edge_is_at_three_standard_deviations() -> None:
    outwards = torch.tensor([[2.149, 0.0], [2.151, 0.0], [0.0, 1.851], [0.0, 1.849]])
    assert mode_coverage(outwards, ring()).high_quality == 0.5


def test_what_is_not_finite_is_near_no_mode() -> None:
    samples = ring().means.cpu().clone()
    samples[:4] = torch.tensor([[NAN, 0.0], [math.inf, 0.0], [0.0, -math.inf], [NAN, NAN]])
    assert mode_coverage(samples, ring()).high_quality == 0.5
    assert mode_coverage(torch.full((5, 2), NAN), ring()).modes == 0


def test_digits_are_recognised_for_what_they_are(digits) -> None:
    _, images, labels = digits
    found = recognised(images)
    assert 0.95 < found.share < 1 and found.classes == 10
    ones = recognised(images[labels == 1])
    assert ones.counts[1] > 0.95 * sum(ones.counts)
    assert sum(ones.counts) == round(ones.share * int((labels == 1).sum()))


def test_the_share_is_that_of_a_look_at_all_images_at_once(digits) -> None:
    images = (digits[1][:1000] + 0.3 * torch.randn(1000, 1, 28, 28, generator=seeded())).clamp(0, 1)
    many = torch.cat([images, images.flip(0), images[:345]])
    confidence, guess = load_classifier("mnist").cpu()(many).softmax(1).max(1)
    found = recognised(many)
    assert found.share == pytest.approx((confidence > 0.9).double().mean().item(), abs=0.001)
    assert found.counts == pytest.approx(guess[confidence > 0.9].bincount(minlength=10).tolist(), abs=2)
    assert str(found) == f"{100 * found.share:.0f} % recognised with over 0.9 confidence, {found.classes} of 10 classes"


def test_broken_images_are_not_recognised_and_no_graph_is_kept(digits) -> None:
    images = digits[1][:10].clone()
    images[:5] = NAN
    assert recognised(images.requires_grad_()).share <= 0.5
    assert not features(images[5:]).requires_grad


def gaussian(count: int, mean: float, scale: float, dims: int = 4, seed: int = 0) -> Tensor:
    return mean + scale * torch.randn(count, dims, generator=seeded(seed), dtype=torch.float64)


def as_they_are(x: Tensor) -> Tensor:
    return x


def test_the_distance_between_known_gaussians() -> None:
    # |m₁ − m₂|² + Σ (σ₁ − σ₂)² over 4 independent features
    real, generated = gaussian(100_000, 0, 1), gaussian(200_000, 0.5, 3, seed=1)
    found = frechet_distance(real, generated, features=as_they_are)
    assert found.value == pytest.approx(4 * 0.5**2 + 4 * (3 - 1) ** 2, rel=0.01)
    assert found.count == 100_000


def by_singular_values(x: Tensor, y: Tensor) -> float:
    """Of centred data X and Y, the trace of (cov X · cov Y)^½ is the sum of the singular values of X Yᵀ / (n − 1)."""
    gap, (x, y) = (x.mean(0) - y.mean(0)).square().sum(), (x - x.mean(0), y - y.mean(0))
    shared = torch.linalg.matrix_norm(x @ y.T, "nuc")
    return float(gap + (x.square().sum() + y.square().sum() - 2 * shared) / (len(x) - 1))


def test_the_distance_on_digits_is_the_mean_over_disjoint_sets_with_students_interval(digits) -> None:
    train, test, _ = digits
    real, generated = test[:300], (train[:900] + 0.1 * torch.rand(900, 1, 28, 28, generator=seeded())).clamp(0, 1)
    found = frechet_distance(real, generated)
    each = [by_singular_values(features(real), features(part)) for part in generated.split(300)]
    low, high = scipy.stats.t.interval(0.95, 2, np.mean(each), scipy.stats.sem(each))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(each), max(low, 0), high), rel=1e-4)


def test_worse_images_are_farther_away(digits) -> None:
    train, test, _ = digits
    labels = load("mnist")[0].labels.cpu()
    noise = 0.2 * torch.randn(train.shape, generator=seeded())
    floor, noisy, blurred, half = (
        frechet_distance(test[:500], worse[:1500])
        for worse in (
            train,
            (train + noise).clamp(0, 1),
            torch.nn.functional.avg_pool2d(train, 3, 1, 1),
            train[labels < 5],
        )
    )
    for worse in (noisy, blurred, half):
        assert worse.low > 5 * floor.high


def test_fewer_images_are_farther_away_so_counts_must_be_equal(digits) -> None:
    train, test, _ = digits
    few, many = (frechet_distance(test[:count], train[: 3 * count]) for count in (100, 1000))
    assert few.low > many.high


def test_the_interval_covers_the_mean_over_many_sets() -> None:
    real = gaussian(100, 0, 1)
    truth = frechet_distance(real, gaussian(100 * 1000, 0.3, 1.3, seed=1), features=as_they_are).value
    intervals = [
        frechet_distance(real, gaussian(500, 0.3, 1.3, seed=seed), features=as_they_are) for seed in range(2, 202)
    ]
    covered = sum(found.low <= truth <= found.high for found in intervals)
    assert scipy.stats.binom.cdf(covered, 200, 0.95) > 1e-4 and scipy.stats.binom.sf(covered - 1, 200, 0.95) > 1e-4


def test_a_set_is_at_no_distance_from_itself() -> None:
    x = gaussian(50, 1, 2)
    found = frechet_distance(x, x.repeat(3, 1), features=as_they_are)
    assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-6)


def test_an_estimate_reads_as_an_interval() -> None:
    assert str(measure.Estimate(12.34, 11.89, 12.74, 1000)) == "12.3 [11.9, 12.7] on 1,000 images"
    assert str(measure.Estimate(1472.3, 1470.1, 1474.4, 10_000)) == "1,472 [1,470, 1,474] on 10,000 images"


def test_neighbours_are_the_nearest_of_all() -> None:
    images, among = torch.rand(600, 1, 5, 4, generator=seeded()), torch.rand(700, 1, 5, 4, generator=seeded(1))
    distances = (images[:, None] - among).square().flatten(2).sum(-1)
    assert torch.equal(nearest(images, among), distances.argmin(1))


def test_an_image_is_nearest_to_itself_among_near_copies() -> None:
    among = 100 + 1e-3 * torch.rand(300, 1, 8, 8, generator=seeded())
    assert torch.equal(nearest(among, among), torch.arange(300))
    assert nearest(among[:0], among).shape == (0,)


def digits_like(*shape: int, fill: float = 0.5) -> Tensor:
    return torch.full(shape, fill)


def with_nan() -> Tensor:
    images = digits_like(200, 1, 28, 28)
    images[3, 0, 0, 0] = NAN
    return images


FAILURES = {
    "samples": (lambda: mode_coverage(torch.zeros(4, 3), ring()), r"samples have shape \(4, 3\); pass \(n, 2\)"),
    "no samples": (lambda: mode_coverage(torch.zeros(0, 2), ring()), r"samples have shape \(0, 2\); pass"),
    "no digits": (lambda: recognised(digits_like(0, 1, 28, 28)), "no images to recognise; pass at least one"),
    "no digits' shape": (
        lambda: recognised(digits_like(5, 784)),
        r"classifier takes images of shape \(batch, 1, 28, 28",
    ),
    "tanh": (lambda: recognised(digits_like(5, 1, 28, 28, fill=-1.0)), r"pixels from -1 to -1, .* \(images \+ 1\) / 2"),
    "bytes": (lambda: features(digits_like(5, 1, 28, 28).byte() + 255), "pixels from 255 to 255, .* images / 255"),
    "sizes": (
        lambda: frechet_distance(digits_like(100, 1, 28, 28), digits_like(200, 1, 32, 32)),
        r"shape \(100, 1, 28, 28\) and generated ones \(200, 1, 32, 32\); pass images of one size",
    ),
    "one set": (
        lambda: frechet_distance(digits_like(1000, 1, 28, 28), digits_like(1000, 1, 28, 28)),
        "1,000 real and 1,000 generated images; pass a whole multiple of the real ones, at least twice as many",
    ),
    "a rest": (
        lambda: frechet_distance(digits_like(100, 1, 28, 28), digits_like(250, 1, 28, 28)),
        "100 real and 250 generated images; pass a whole multiple",
    ),
    "too few": (
        lambda: frechet_distance(digits_like(64, 1, 28, 28), digits_like(128, 1, 28, 28)),
        "64 real images, too few to estimate how 64 features vary together; pass at least 65, better 1,000",
    ),
    "nothing": (
        lambda: frechet_distance(digits_like(0, 1, 28, 28), digits_like(0, 1, 28, 28)),
        "0 real and 0 generated images; pass",
    ),
    "NaN": (
        lambda: frechet_distance(digits_like(100, 1, 28, 28), with_nan()),
        "1 of 200 generated images hold NaN or infinite values; find out why",
    ),
    "neighbours": (
        lambda: nearest(digits_like(2, 4), digits_like(2, 5)),
        r"shape \(2, 4\) and those to look among \(2, 5",
    ),
    "among none": (lambda: nearest(digits_like(2, 4), digits_like(0, 4)), "at least one to look among"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_be_measured_is_said_in_one_sentence(failure: str) -> None:
    attempt, sentence = FAILURES[failure]
    with pytest.raises(ValueError, match=sentence) as caught:
        attempt()
    assert "\n" not in str(caught.value)


def test_importing_measures_imports_neither_torchmetrics_nor_scipy() -> None:
    code = "import sys, lvmlib, lvmlib.measure; lvmlib.measure.frechet_distance; "
    code += "print([name for name in ('torchmetrics', 'scipy', 'matplotlib') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_measure_lists_what_it_has_and_nothing_else() -> None:
    assert dir(measure) == measure.__all__ == sorted(measure.__all__)
    assert all(callable(getattr(measure, name)) for name in dir(measure))
    with pytest.raises(AttributeError, match="has no attribute 'inception_score'"):
        measure.inception_score  # noqa: B018
