"""The oracles of lab 06 against identities that they do not use themselves."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch import distributions as td

from lvmlib.exercises import inpainting, langevin_law, mixture_steps
from lvmlib.exercises.adaptive_steps import where_both_conventions_agree
from lvmlib.exercises.key import PUBLIC_SEEDS
from lvmlib.grading.judges import SEEDS_A_VERDICT, find
from lvmlib.probe import Draw

double = {"dtype": torch.float64}


def toy_log_joint(theta: Tensor, z: Tensor, x: Tensor) -> Tensor:
    return (td.Normal(theta, 1.0).log_prob(z) + td.Normal(z, 1.0).log_prob(x[:, None])).sum(0)


def test_gradients_of_the_toy_model_are_those_of_its_log_density() -> None:
    torch.manual_seed(0)
    theta, z, x = torch.randn((), **double), torch.randn(3, 5, **double), torch.randn(3, **double)
    in_theta = torch.autograd.functional.jacobian(lambda t: toy_log_joint(t, z, x), theta)
    in_z = torch.autograd.functional.jacobian(lambda cloud: toy_log_joint(theta, cloud, x).sum(), z)
    assert torch.allclose(find("grad-theta").reference(theta, z, x), in_theta, rtol=0, atol=1e-12)
    assert torch.allclose(find("grad-particles").reference(theta, z, x), in_z, rtol=0, atol=1e-12)


def test_a_step_of_pgd_adds_noise_to_a_step_along_the_gradient_of_the_free_energy() -> None:
    torch.manual_seed(0)
    theta, z, x = torch.randn((), **double), torch.randn(3, 5, **double), torch.randn(3, **double)
    noise, step = torch.randn(3, 5, **double), find("pgd-step").reference
    leaves = theta.clone().requires_grad_(), z.clone().requires_grad_()
    in_theta, in_z = torch.autograd.grad(toy_log_joint(*leaves, x).mean(), leaves)
    moved, cloud = step(theta, z, x, 0.1, noise)
    assert moved.item() == pytest.approx((theta + 0.1 * in_theta).item(), abs=1e-12)
    # Each particle has a share of 1/N in the mean.
    assert torch.allclose(cloud, z + 0.1 * 5 * in_z + 0.2**0.5 * noise, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 5, 30])
@pytest.mark.parametrize("particles", [1, 3])
def test_without_noise_pgd_blows_up_just_above_the_largest_stable_step(dims: int, particles: int) -> None:
    torch.manual_seed(0)
    step, limit = find("pgd-step").reference, find("stable-step").reference(dims)
    x = torch.randn(dims, **double)

    def distance(step_size: float) -> float:
        theta, z = torch.randn((), **double), torch.randn(dims, particles, **double)
        for _ in range(3000):
            theta, z = step(theta, z, x, step_size, torch.zeros_like(z))
        return (theta - x.mean()).abs().item()

    assert distance(0.99 * limit) < 1e-6
    assert not distance(1.01 * limit) < 1e6


@pytest.mark.parametrize("dims", [1, 7, 1000, 10**6])
def test_the_largest_stable_step_belongs_to_the_largest_eigenvalue(dims: int) -> None:
    pull = torch.tensor([[dims, -dims], [-1, 2]], **double)
    limit = find("stable-step").reference(dims)
    assert limit == pytest.approx(2 / torch.linalg.eigvals(pull).real.max().item(), rel=1e-9)


def test_minibatches_of_every_size_are_right_on_average() -> None:
    torch.manual_seed(0)
    estimate, table = find("minibatch-gradient").reference, torch.randn(6, 2, 3, **double)
    for size in range(1, 7):
        estimates = [estimate(lambda image: table[image], list(batch), 6) for batch in combinations(range(6), size)]
        assert torch.allclose(torch.stack(estimates).mean(0), table.sum(0), rtol=0, atol=1e-12)


def test_rmsprop_climbs_as_torch_does() -> None:
    torch.manual_seed(0)
    target, rates = torch.randn(4, **double), {"lr": 0.05, "eps": 1e-8}
    parameter = torch.nn.Parameter(torch.zeros(4, **double))
    optimizer = torch.optim.RMSprop([parameter], alpha=0.9, maximize=True, **rates)
    p, v = torch.zeros(4, **double), torch.zeros(4, **double)
    for _ in range(50):
        parameter.grad = target - parameter.detach()
        optimizer.step()
        p, v = find("rmsprop-step").reference(p, target - p, v, rates["lr"], 0.9, rates["eps"])
        assert torch.allclose(p, parameter.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("eps", [0.4, 0.5, 0.6])
def test_a_large_eps_is_asked_about_where_both_conventions_agree(eps: float) -> None:
    gradient, v = where_both_conventions_agree(Draw(3), eps, 0.7, 5)
    assert (v > 0).all() and gradient.abs().min() > 0.01
    new = 0.7 * v + 0.3 * gradient**2
    assert torch.allclose(new.sqrt() + eps, (new + eps).sqrt(), rtol=0, atol=1e-6)


MOVING = [walk for walk in langevin_law.walks(Draw(5)) if walk.steps]


@pytest.mark.parametrize("walk", MOVING, ids=lambda walk: walk.question)
def test_the_law_of_langevin_is_that_of_a_linear_map_of_the_noise(walk: langevin_law.Walk) -> None:
    latent = walk.z0.shape[1]

    def end(noise: Tensor) -> Tensor:
        z = walk.z0[:1].double()
        for step in range(walk.steps):
            z = z + walk.step_size * walk.gradient(z) + math.sqrt(2 * walk.step_size) * noise[step]
        return z[0]

    silence = torch.zeros(walk.steps, latent, **double)
    mean, covariance = langevin_law.RIGHT.moments(walk)
    assert torch.allclose(end(silence), mean[0], rtol=0, atol=1e-9)
    moved = torch.stack([end(unit.reshape(silence.shape)) - mean[0] for unit in torch.eye(silence.numel(), **double)])
    assert torch.allclose(moved.mT @ moved, covariance, rtol=0, atol=1e-9)


def test_langevin_is_tried_by_so_few_tests_that_a_right_submission_passes(monkeypatch) -> None:
    tests = 0

    def counted(test: Callable[..., bool]) -> Callable[..., bool]:
        def run(*arguments: Any) -> bool:
            nonlocal tests
            tests += 1
            return test(*arguments)

        return run

    for name in ("has_mean_zero", "has_variance_one"):
        monkeypatch.setattr(langevin_law, name, counted(getattr(langevin_law, name)))
    found = find("langevin")
    assert found.verdict(found.answers(found.reference, 3), 3) is None
    # Beside these, every walk has one of its distribution function.
    tests += len(langevin_law.walks(Draw(3)))
    seeds = len(PUBLIC_SEEDS) + SEEDS_A_VERDICT
    assert tests * seeds * langevin_law.FALSE_ALARM <= 1e-6


def test_one_chain_that_lies_on_its_mean_is_found_among_thousands() -> None:
    walk = MOVING[0]
    z = langevin(walk)
    assert langevin_law._against_law(z, walk) is None
    z[4321] = langevin_law.RIGHT.moments(walk)[0][4321].float()
    assert "a chain has no noise" in (langevin_law._against_law(z, walk) or "")


def langevin(walk: langevin_law.Walk) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return find("langevin").reference(walk.z0, walk.gradient, walk.step_size, walk.steps, generator)


def test_long_chains_have_the_covariance_of_the_density_up_to_the_step_size() -> None:
    walk = langevin_law.walks(Draw(5))[3]
    covariance = langevin_law.RIGHT.moments(walk._replace(steps=200, step_size=0.2))[1]
    precision = walk.precision.double()
    assert torch.allclose(covariance, torch.linalg.inv(precision - 0.1 * precision @ precision), rtol=0, atol=1e-9)


def test_the_best_starts_have_the_least_losses() -> None:
    torch.manual_seed(0)
    losses = torch.randn(5, 7, **double)
    codes = torch.stack([losses, torch.arange(5.0, **double)[:, None].expand(5, 7)], 2)
    best = find("best-start").reference(losses, codes)
    assert torch.equal(best[:, 0], losses.min(0).values)
    assert torch.equal(best[:, 1].long(), losses.min(0).indices)


def hidden(latent: int) -> dict[str, Any]:
    return inpainting.partly_hidden(Draw(latent), 6, latent, 4, 0.3, dtype=torch.float64)


@pytest.mark.parametrize("latent", [1, 3, 6, 8])
def test_the_code_of_an_inpainting_is_the_mean_of_a_conditional_gaussian(latent: int) -> None:
    given = hidden(latent)
    W, observed, precision = given["W"], given["observed"], torch.zeros(latent + 6, latent + 6, **double)
    # log p(z, x) is quadratic in both together; its precision tells how z is distributed once some of x is known.
    precision[:latent, :latent] = torch.eye(latent, **double) + W.mT @ W / 0.3
    precision[:latent, latent:] = -W.mT / 0.3
    precision[latent:, :latent] = -W / 0.3
    precision[latent:, latent:] = torch.eye(6, **double) / 0.3
    joint = torch.linalg.inv(precision)
    seen = latent + observed.nonzero()[:, 0]
    gain = joint[:latent][:, seen] @ torch.linalg.inv(joint[seen][:, seen])
    z, completed = find("inpaint").reference(*given.values())
    assert torch.allclose(z, gain @ (given["x"] - given["b"])[observed], rtol=0, atol=1e-9)
    assert torch.equal(completed[observed], given["x"][observed])
    assert torch.allclose(completed[~observed], (W @ z + given["b"])[~observed], rtol=0, atol=1e-12)


@pytest.mark.parametrize("filling", [math.nan, math.inf, -math.inf])
def test_an_inpainting_knows_nothing_of_hidden_entries(filling: float) -> None:
    given = hidden(3)
    blinded = given | {"x": given["x"].masked_fill(~given["observed"], filling)}
    for one, other in zip(*(find("inpaint").reference(*case.values()) for case in (given, blinded)), strict=True):
        assert torch.equal(one, other)


def test_hidden_entries_are_filled_in_turn_and_observed_ones_are_numbers() -> None:
    strange = (math.inf, 1000.0)
    given = inpainting.partly_hidden(Draw(4), 7, 2, 4, 0.3, hidden=strange)
    assert given["x"][~given["observed"]].tolist() == [math.inf, 1000.0, math.inf]
    assert given["x"][given["observed"]].abs().max() <= 3


def gaussians() -> dict[str, Tensor]:
    return {name: part.double() for name, part in mixture_steps.mixture(Draw(2), 40, 3, 2).items()}


def test_an_em_step_is_scikit_learns() -> None:
    given = gaussians()
    weights = given["weights"] / given["weights"].sum()
    model = GaussianMixture(
        3,
        max_iter=1,
        reg_covar=0,
        weights_init=weights.numpy(),
        means_init=given["means"].numpy(),
        precisions_init=torch.linalg.inv(given["covs"]).numpy(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(given["z"].numpy())
    found = find("gmm-em-step").reference(given["z"], weights, given["means"], given["covs"])
    for ours, theirs in zip(found, (model.weights_, model.means_, model.covariances_), strict=True):
        assert torch.allclose(ours, torch.from_numpy(theirs), rtol=0, atol=1e-10)


def test_an_em_step_keeps_the_moments_of_the_data_and_the_likelihood_never_falls() -> None:
    z, *mixture = gaussians().values()
    before = -math.inf
    for _ in range(30):
        mixture = list(find("gmm-em-step").reference(z, *mixture))
        weights, means, covs = mixture
        assert torch.allclose(weights @ means, z.mean(0), rtol=0, atol=1e-12)
        second = (weights[:, None, None] * (covs + means[:, :, None] * means[:, None])).sum(0)
        assert torch.allclose(second, z.T @ z / len(z), rtol=0, atol=1e-12)
        model = td.MixtureSameFamily(td.Categorical(weights), td.MultivariateNormal(means, covs))
        likelihood = model.log_prob(z).mean().item()
        assert likelihood >= before - 1e-12
        before = likelihood
