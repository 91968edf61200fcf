"""Toy distributions: densities against torch's own, and samples by their law."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from lvmlib.mixtures import GaussianMixture, ring, swiss_roll


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("modes", "dims", "std"), [(1, 1, 0.3), (8, 2, 0.05), (3, 5, 2.0)])
def test_log_prob_is_that_of_torchs_mixture(modes: int, dims: int, std: float) -> None:
    means = torch.randn(modes, dims, generator=seeded(), dtype=torch.float64)
    theirs = MixtureSameFamily(Categorical(torch.ones(modes).double()), Independent(Normal(means, std), 1))
    near = means.repeat(20, 1) + std * torch.randn(20 * modes, dims, generator=seeded(1))
    far = 100 * torch.randn(20, dims, generator=seeded(2), dtype=torch.float64)
    for x in (near, far):
        torch.testing.assert_close(GaussianMixture(means, std).log_prob(x), theirs.log_prob(x))


def test_log_prob_can_be_climbed() -> None:
    x = torch.tensor([[1.9, 0.0]], requires_grad=True)
    ring().log_prob(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[(2.0 - 1.9) / 0.05**2, 0.0]]), rtol=1e-3, atol=1e-3)


def test_samples_are_even_over_the_modes_and_normal_around_each() -> None:
    mixture = ring(modes=5, std=0.1)
    samples = mixture.sample(20_000, generator=seeded()).cpu()
    distances, mode = torch.cdist(samples, mixture.means.cpu()).min(1)
    counts = mode.bincount(minlength=5).double()
    # χ² with 4 degrees of freedom passes 33.4 once in a million
    assert ((counts - 4000) ** 2 / 4000).sum() < 33.4
    noise = (samples - mixture.means.cpu()[mode]) / 0.1
    assert noise.mean(0).abs().max() < 5 / math.sqrt(20_000)
    assert (noise.T.cov() - torch.eye(2)).abs().max() < 5 * math.sqrt(2 / 20_000)
    assert ((distances / 0.1) <= 3).double().mean() == pytest.approx(1 - math.exp(-4.5), abs=0.004)


def test_a_seed_repeats_samples_and_leaves_torchs_stream_alone() -> None:
    before = torch.get_rng_state()
    assert torch.equal(ring().sample(7, generator=seeded(3)), ring().sample(7, generator=seeded(3)))
    assert torch.equal(swiss_roll(7, generator=seeded(3)), swiss_roll(7, generator=seeded(3)))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(ring().sample(7), ring().sample(7))


def test_a_ring_stands_where_its_angles_say() -> None:
    means = ring(modes=8, radius=2.0).means.cpu()
    expected = [(2 * math.cos(2 * math.pi * k / 8), 2 * math.sin(2 * math.pi * k / 8)) for k in range(8)]
    torch.testing.assert_close(means, torch.tensor(expected))


def test_a_swiss_roll_is_a_spiral_of_one_and_a_half_turns() -> None:
    x, y = swiss_roll(2000, noise=0.0, generator=seeded()).cpu().double().T
    radius = torch.hypot(x, y)
    angle = radius * 2.25 * math.pi
    torch.testing.assert_close(torch.stack([x, y]), radius * torch.stack([angle.cos(), angle.sin()]), atol=1e-5, rtol=0)
    assert 2 / 3 <= radius.min() < 0.67 and 1.99 < radius.max() <= 2
    # uniform in the angle: Kolmogorov and Smirnov's distance passes this bound once in a million
    uniform = (angle.sort().values / math.pi - 1.5) / 3
    assert (uniform - (torch.arange(2000) + 0.5) / 2000).abs().max() < 2.7 / math.sqrt(2000)


def test_noise_of_a_swiss_roll_is_in_the_units_of_the_points() -> None:
    clean, noisy = (swiss_roll(5000, noise=noise, generator=seeded()).cpu() for noise in (0.0, 0.2))
    assert (noisy - clean).std(0).tolist() == pytest.approx([0.2, 0.2], rel=0.05)


FAILURES = {
    "means": (lambda: GaussianMixture(torch.zeros(3), 1.0), r"means have shape \(3,\); pass \(modes, dims\)"),
    "no modes": (lambda: ring(modes=0), r"means have shape \(0, 2\); pass"),
    "std": (lambda: ring(std=0.0), "standard deviation is 0.0; pass a positive number"),
    "NaN": (lambda: ring(std=float("nan")), "standard deviation is nan; pass a positive number"),
    "points": (lambda: ring().log_prob(torch.zeros(4, 3)), r"points have shape \(4, 3\); pass \(n, 2\)"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_is_wrong_is_said_in_one_sentence(failure: str) -> None:
    attempt, sentence = FAILURES[failure]
    with pytest.raises(ValueError, match=sentence):
        attempt()
