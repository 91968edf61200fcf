"""The oracles of lab 04 against identities that they do not use themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count, product

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib.exercises import conditional_gaussian
from lvmlib.exercises.baselines import Table
from lvmlib.exercises.chains import members_of
from lvmlib.exercises.running_rewards import History
from lvmlib.exercises.running_scale import RIGHT, WRONG, Account
from lvmlib.grading.judges import Judge, find
from lvmlib.probe import Draw

double = {"dtype": torch.float64}


def mixture() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, means and scales of three components in the plane."""
    logits = torch.tensor([0.5, 3.0, 1.5], **double)
    means = torch.tensor([[-1.0, 0.0], [2.0, 1.0], [0.5, -2.0]], **double)
    scales = torch.tensor([[0.5, 1.0], [0.8, 0.6], [1.2, 0.7]], **double)
    return logits, means, scales


def grid() -> tuple[Tensor, Tensor, Tensor]:
    """An axis, all points of the plane over it, and the area of a cell."""
    axis = torch.linspace(-12, 12, 481, **double)
    return axis, torch.cartesian_prod(axis, axis), (axis[1] - axis[0]) ** 2


def test_a_mixture_integrates_to_one_and_so_do_its_coordinates() -> None:
    log_prob = find("mixture-log-prob").reference
    logits, means, scales = mixture()
    axis, plane, cell = grid()
    density = log_prob(plane, logits, means, scales).exp()
    assert (density.sum() * cell).item() == pytest.approx(1, abs=1e-12)
    first = density.reshape(len(axis), len(axis)).sum(1) * cell.sqrt()
    alone = log_prob(axis[:, None], logits, means[:, :1], scales[:, :1]).exp()
    assert torch.allclose(first, alone, rtol=0, atol=1e-12)


def test_the_score_of_a_mixture_has_mean_zero_in_every_parameter() -> None:
    _, plane, cell = grid()
    parameters = [parameter.requires_grad_() for parameter in mixture()]
    log_prob = find("mixture-log-prob").reference(plane, *parameters)
    for gradient in torch.autograd.grad((log_prob.detach().exp() * cell * log_prob).sum(), parameters):
        assert torch.allclose(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def bernoulli_mixture(codes: int = 3, pixels: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """All images, the logarithm of a prior that is not uniform, and logits."""
    torch.manual_seed(0)
    images = torch.tensor(list(product([0.0, 1.0], repeat=pixels)), **double)
    return images, torch.randn(codes, **double).log_softmax(0), 2 * torch.randn(codes, pixels, **double)


def test_all_images_sum_to_one_and_their_posteriors_average_to_the_prior() -> None:
    images, log_prior, logits = bernoulli_mixture()
    log_p, log_posterior = find("marginal-and-posterior").reference(images, log_prior, logits)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.allclose(log_p.exp() @ log_posterior.exp(), log_prior.exp(), rtol=0, atol=1e-12)
    assert torch.allclose(log_posterior.exp().sum(1), torch.ones(len(images), **double), rtol=0, atol=1e-12)


def test_the_marginal_is_what_multiplying_and_adding_probabilities_gives() -> None:
    images, log_prior, logits = bernoulli_mixture()
    log_p, log_posterior = find("marginal-and-posterior").reference(images, log_prior, logits)
    for image, found, posterior in zip(images.tolist(), log_p.tolist(), log_posterior.tolist(), strict=True):
        joint = []
        for weight, row in zip(log_prior.tolist(), logits.tolist(), strict=True):
            on = [1 / (1 + math.exp(-logit)) for logit in row]
            joint.append(math.exp(weight) * math.prod(p if x else 1 - p for p, x in zip(on, image, strict=True)))
        assert found == pytest.approx(math.log(sum(joint)), abs=1e-12)
        assert posterior == pytest.approx([math.log(part / sum(joint)) for part in joint], abs=1e-12)


def test_the_naive_bound_is_below_log_p_by_the_kl_of_the_prior_to_the_posterior() -> None:
    images, _, logits = bernoulli_mixture(codes=4)
    counts = torch.tensor([1, 2, 3, 2])
    log_prior = (counts / counts.sum()).double().log()
    codes = torch.arange(4).repeat_interleave(counts)
    likelihoods = td.Independent(td.Bernoulli(logits=logits[codes]), 1).log_prob(images[:, None]).T
    log_p, log_posterior = find("marginal-and-posterior").reference(images, log_prior, logits)
    gap = (log_prior.exp() * (log_prior - log_posterior)).sum(1)
    bound = find("naive-bound").reference(likelihoods)
    assert torch.allclose(bound, log_p - gap, rtol=0, atol=1e-12)


def batches(*sizes: int) -> list[Tensor]:
    torch.manual_seed(1)
    return [-30 + 5 * torch.randn(size, **double) for size in sizes]


def test_what_is_subtracted_is_a_geometric_sum_of_means() -> None:
    centred, decay, rewards = find("centred-reward").reference(0.7), 0.7, batches(3, 5, 1, 4)
    means = [reward.mean().item() for reward in rewards]
    for t, reward in enumerate(rewards):
        modified, loss = centred(reward)
        m = sum((1 - decay) * decay ** (t - 1 - i) * means[i] for i in range(t))
        assert torch.allclose(modified, reward - m, rtol=0, atol=1e-5)
        assert not loss.any() and loss.shape == reward.shape


def mean_gradient(judged: Callable[..., nn.Module], decay: float, batch: int) -> tuple[Tensor, Tensor]:
    """The gradient of E[f(z)] that a batch's score function gives on average over all outcomes, and the true one."""
    probabilities = torch.tensor([0.5, 0.3, 0.2], **double)
    values = torch.tensor([-3.0, 1.0, 7.0], **double)
    scores = torch.eye(3, **double) - probabilities
    total = torch.zeros(3, **double)
    for outcome in product(range(3), repeat=batch):
        control_variate = judged(decay)
        control_variate(torch.full((4,), 10.0, **double))
        reward, _ = control_variate(values[list(outcome)])
        total += probabilities[list(outcome)].prod() * (reward[:, None] * scores[list(outcome)]).mean(0)
    return total, (probabilities * values) @ scores


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_mean_of_earlier_batches_leaves_the_gradient_and_that_of_this_one_shrinks_it(batch: int) -> None:
    judge, decay = find("centred-reward"), 0.6
    found, true = mean_gradient(judge.reference, decay, batch)
    assert torch.allclose(found, true, rtol=0, atol=1e-6)
    sentence = next(wrong for wrong in judge.wrong if "shrinks the gradient" in wrong)
    shrunk, _ = mean_gradient(judge.wrong[sentence], decay, batch)
    assert torch.allclose(shrunk, (1 - (1 - decay) / batch) * true, rtol=0, atol=1e-6)


def test_rewards_of_one_spread_are_in_the_end_divided_by_it() -> None:
    scaled, reward = find("scaled-reward").reference(0.5), torch.tensor([-20.0, 10.0, 40.0, 10.0])
    assert torch.equal(scaled(reward)[0], reward)
    for _ in range(60):
        modified, loss = scaled(reward)
    assert modified.square().mean().sub(modified.mean() ** 2).item() == pytest.approx(1, abs=1e-5)
    for _ in range(60):
        quiet, _ = scaled(reward / 1000)
    assert torch.equal(quiet, reward / 1000)
    assert not loss.any()


def following(account: Account) -> Callable[[float], nn.Module]:
    """A control variate that divides as this account says."""

    class Divided(nn.Module):
        def __init__(self, decay: float):
            super().__init__()
            self.decay, self.seen = decay, []

        def get_extra_state(self) -> list[Tensor]:
            return list(self.seen)

        def set_extra_state(self, state: list[Tensor]) -> None:
            self.seen = list(state)

        def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
            self.seen.append(reward.detach())
            *_, divisor = account.divisors(History("", self.decay, self.seen))
            return reward / divisor, torch.zeros_like(reward)

    return Divided


def verdict(judge: Judge, function: Callable[..., object], seed: int = 5) -> str | None:
    return judge.verdict(judge.answers(function, seed), seed)


@pytest.mark.parametrize("account", RIGHT)
def test_the_law_of_scaled_rewards_takes_every_account_of_their_spread(account: Account) -> None:
    assert verdict(find("scaled-reward"), following(account)) is None


@pytest.mark.parametrize("sentence", WRONG)
def test_the_law_of_scaled_rewards_names_what_is_none(sentence: str) -> None:
    without_floor = [account for account in RIGHT if not account.keeps_floor]
    for account in (without_floor[0], without_floor[-1]):
        assert verdict(find("scaled-reward"), following(replace(account, **WRONG[sentence]))) is not None
    assert verdict(find("scaled-reward"), following(replace(RIGHT[0], **WRONG[sentence]))) == sentence


def test_an_account_must_not_change_from_one_history_to_the_next() -> None:
    made = count()

    def changing(decay: float) -> nn.Module:
        """A running standard deviation in the first history, and the root of a running variance in the others."""
        return following(RIGHT[8 if next(made) else 0])(decay)

    assert "were divided by" in (verdict(find("scaled-reward"), changing) or "")


def test_a_baseline_that_minimises_its_loss_is_the_mean_reward_of_each_observation() -> None:
    baseline_advantage = find("learned-baseline").reference
    baseline, x = nn.Linear(3, 1, bias=False), torch.eye(3)
    rewards = torch.tensor([[-1.0, 4.0, 2.0], [3.0, 0.0, 2.0]])
    for _ in range(100):
        loss = sum(baseline_advantage(baseline, reward, x)[1].sum() for reward in rewards)
        (gradient,) = torch.autograd.grad(loss, baseline.weight)
        baseline.weight.data -= 0.1 * gradient
    assert torch.allclose(baseline.weight[0], rewards.mean(0), atol=1e-5)
    advantages = torch.stack([baseline_advantage(baseline, reward, x)[0] for reward in rewards])
    assert torch.allclose(advantages.mean(0), torch.zeros(3), atol=1e-5)
    assert not advantages.requires_grad


def test_a_chain_of_chains_is_one_chain_and_an_empty_one_changes_nothing() -> None:
    chain = find("chain").reference
    reward, x = torch.randn(4), torch.rand(4, 1, 2, 3)
    make = members_of(Draw(0), "asas")
    a, b, c, d = make()
    nested, loss = chain([chain([a, b]), chain([]), chain([c, d])])(reward, x)
    flat, flat_loss = chain(make())(reward, x)
    assert torch.allclose(nested, flat)
    assert torch.allclose(loss, flat_loss)
    assert torch.equal(chain([])(reward, x)[0], reward)


def test_a_chain_of_a_centred_and_a_scaled_reward_standardises() -> None:
    centred, scaled = find("centred-reward").reference, find("scaled-reward").reference
    chain = find("chain").reference([centred(0.5), scaled(0.5)])
    reward = torch.tensor([-320.0, -280.0, -300.0, -300.0])
    for _ in range(80):
        modified, _ = chain(reward, None)
    assert modified.mean().item() == pytest.approx(0, abs=1e-4)
    assert modified.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_a_gaussian_with_a_floor_is_a_density_where_its_network_is_sure() -> None:
    network = find("gaussian-cpd").reference((2, 3), 4, 5)
    nn.init.constant_(network.head.bias, -200.0)
    q = network(torch.randn(7, 4))
    log_prob = q.log_prob(q.mean)
    assert log_prob.isfinite().all()
    scale = q.stddev
    assert torch.allclose(log_prob, -(scale.log() + 0.5 * math.log(2 * math.pi)).sum((1, 2)))


def test_the_law_of_gaussian_networks_does_not_depend_on_their_first_weights() -> None:
    judge = find("gaussian-cpd")

    def loud(*plan: object) -> nn.Module:
        network = judge.reference(*plan)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(3)
        return network

    assert [verdict(judge, loud, seed) for seed in range(5)] == [None] * 5


@pytest.mark.parametrize("seed", range(3))
def test_sizes_that_are_asked_for_are_told_apart(seed: int) -> None:
    for plan in conditional_gaussian.plans(Draw(seed)):
        others = {plan.inputs, *plan.outcome, math.prod(plan.outcome), 2 * math.prod(plan.outcome)}
        assert plan.hidden not in others


def test_a_table_knows_its_observations_in_any_order_and_one_by_one() -> None:
    known, values = torch.rand(5, 1, 2, 3, generator=torch.Generator().manual_seed(0)), torch.arange(5.0)
    table = Table(known, values)
    assert torch.equal(table(known.flip(0)), values.flip(0)[:, None])
    assert torch.equal(table(known[3:4]), torch.tensor([[3.0]]))
