"""The oracles of lab 03 against identities that they do not use themselves."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import distributions as td

from lvmlib.exercises.vae import _corners, _linear_gaussian
from lvmlib.grading.judges import find


def test_the_elbo_at_the_true_posterior_is_log_p() -> None:
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(5, 3, dtype=torch.float64)).Q * torch.tensor([0.3, 1.0, 2.0])
    bias = torch.randn(5, dtype=torch.float64)
    x = torch.randn(4, 5, dtype=torch.float64)
    precision = 1 + 4 * weight.T @ weight  # diagonal off the 1s: the columns are orthogonal and the noise is I/4
    variance = 1 / precision.diagonal()
    mean = 4 * (x - bias) @ weight * variance
    eps = _corners(3).expand(-1, 4, -1).double()
    covariance = weight @ weight.T + 0.25 * torch.eye(5, dtype=torch.float64)
    log_p = td.MultivariateNormal(bias, covariance).log_prob(x)

    elbo = find("elbo").reference
    at_posterior = elbo(x, mean, variance.log().expand_as(mean), _linear_gaussian(weight, bias), eps)
    assert torch.allclose(at_posterior, log_p, rtol=0, atol=1e-12)

    elsewhere = td.Independent(td.Normal(mean + 0.3, (2 * variance).sqrt()), 1)
    posterior = td.Independent(td.Normal(mean, variance.sqrt().expand_as(mean)), 1)
    bound = elbo(x, mean + 0.3, (2 * variance).log().expand_as(mean), _linear_gaussian(weight, bias), eps)
    assert torch.allclose(bound, log_p - td.kl_divergence(elsewhere, posterior), rtol=0, atol=1e-12)


def test_squared_error_and_beta_are_a_gaussian_with_half_beta_as_variance() -> None:
    gaussian_nll = find("gaussian-nll").reference
    x, mean = torch.randn(2, 3, 7, dtype=torch.float64)
    beta = torch.tensor(1.7, dtype=torch.float64)
    sse = (x - mean).square().sum(1)
    difference = beta * gaussian_nll(x, mean, beta / 2) - sse
    assert torch.allclose(difference, difference[0].expand(3), rtol=0, atol=1e-12)


def test_bernoulli_likelihoods_of_all_images_sum_to_one() -> None:
    logits = 3 * torch.randn(1, 8, dtype=torch.float64)
    images = torch.tensor(list(product([0.0, 1.0], repeat=8)), dtype=torch.float64)
    nll = find("bernoulli-nll").reference(logits.expand(256, -1), images)
    assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("logit", [-9.0, -1.0, -0.04, 0.0, 1e-3, 2.5, 30.0])
def test_continuous_bernoulli_integrates_to_one(logit: float) -> None:
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    logits = torch.tensor(logit, dtype=torch.float64)
    log_density = x * logits - torch.nn.functional.softplus(logits) + find("continuous-bernoulli").reference(logits)
    assert torch.trapezoid(log_density.exp(), x).item() == pytest.approx(1, abs=1e-8)


def test_the_importance_weighted_bound_is_tight_for_constant_weights() -> None:
    bound = find("importance-weighted-bound").reference(torch.full((7, 2), -3.5))
    assert bound.tolist() == pytest.approx([-3.5, -3.5])


def test_kl_divergence_of_hand_worked_gaussians() -> None:
    kl = find("kl-divergence").reference
    mean, log_var = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)], [0.0, 0.0]])
    assert kl(mean, log_var).tolist() == pytest.approx([0.5 + 0.5 * (4 - 1 - math.log(4)), 0])
