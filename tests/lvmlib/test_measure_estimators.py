"""Bias and variance of gradient estimators, where both are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from lvmlib.measure import GradientMoments, gradient_moments

LOGITS = torch.tensor([0.4, -0.9, 1.3, 0.0, -0.2, 0.7], dtype=torch.float64)
LOG_JOINT = torch.tensor([-7.0, -3.5, -6.0, -4.2, -9.0, -5.1], dtype=torch.float64)


def log_joint(z: Tensor) -> Tensor:
    return LOG_JOINT[z]


def one_hot_log_joint(z: Tensor) -> Tensor:
    return z @ LOG_JOINT


def q() -> td.Categorical:
    return td.Categorical(logits=LOGITS)


def plain(samples: int, baseline: float = 0.0):
    def surrogate(q, log_joint):
        z = q.sample((samples,))
        log_q = q.log_prob(z)
        return ((log_joint(z) - log_q - baseline).detach() * log_q).mean()

    return surrogate


def left_out(samples: int):
    def surrogate(q, log_joint):
        z = q.sample((samples,))
        log_q = q.log_prob(z)
        reward = (log_joint(z) - log_q).detach()
        return (reward - reward.mean()) @ log_q / (samples - 1)

    return surrogate


def own_mean(q, log_joint):
    z = q.sample((2,))
    reward = (log_joint(z) - q.log_prob(z)).detach()
    return ((reward - reward.mean()) * q.log_prob(z)).mean()


def by_hand(baseline: float = 0.0) -> tuple[Tensor, Tensor]:
    """Of one draw the gradient is (r − b)(e_k − p): its mean and its variance."""
    p = LOGITS.softmax(0)
    gradients = (LOG_JOINT - p.log() - baseline)[:, None] * (torch.eye(6, dtype=torch.float64) - p)
    mean = p @ gradients
    return mean, p @ (gradients - mean).square()


def test_the_moments_of_one_draw_are_those_worked_out_by_hand() -> None:
    for baseline in (0.0, -5.0):
        found = gradient_moments(plain(1, baseline), q(), log_joint)
        mean, variance = by_hand(baseline)
        torch.testing.assert_close((found.mean, found.variance), (mean, variance))
        torch.testing.assert_close(found.exact, by_hand()[0])
        assert found.draws == 1
        assert found.total_variance == pytest.approx(variance.sum().item())


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_samples_are_counted_and_share_the_variance(samples: int) -> None:
    found = gradient_moments(plain(samples), q(), log_joint)
    assert found.draws == samples
    assert found.bias == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(found.variance, by_hand()[1] / samples)


def test_a_biased_estimator_shows_its_bias() -> None:
    found = gradient_moments(own_mean, q(), log_joint)
    assert found.bias == pytest.approx(0.5)
    assert "bias 50.0 %" in str(found) and "with 2 draws" in str(found)


def test_a_constant_in_the_rewards_is_nothing_to_a_baseline_of_the_others() -> None:
    found, shifted = (gradient_moments(left_out(3), q(), lambda z, c=c: log_joint(z) + c) for c in (0, -300))
    torch.testing.assert_close(found.variance, shifted.variance)
    assert max(found.bias, shifted.bias) < 1e-10


def test_no_baseline_is_always_the_better_one() -> None:
    """Where rewards are centred already, a baseline that is itself an estimate only adds to the variance."""
    rewards = LOG_JOINT - LOGITS.log_softmax(0)
    best = (by_hand(b)[1].sum().item() for b in torch.linspace(-8, -2, 601).tolist())
    centre = torch.linspace(-8, -2, 601)[torch.tensor(list(best)).argmin()].item()
    assert rewards.min() < centre < rewards.max()
    plain_found, left_out_found = (
        gradient_moments(surrogate, q(), lambda z: log_joint(z) - centre) for surrogate in (plain(2), left_out(2))
    )
    assert left_out_found.total_variance > plain_found.total_variance


def test_one_hot_codes_and_batches_of_one_give_the_same() -> None:
    wanted = gradient_moments(plain(2), q(), log_joint)
    one_hot = gradient_moments(plain(2), td.OneHotCategorical(logits=LOGITS), one_hot_log_joint)
    batch = gradient_moments(plain(2), td.OneHotCategorical(logits=LOGITS[None]), one_hot_log_joint)
    for found in (one_hot, batch):
        torch.testing.assert_close(found.mean.reshape(6), wanted.mean)
        torch.testing.assert_close(found.variance.reshape(6), wanted.variance)
    assert batch.exact.shape == (1, 6)


def test_the_elbos_of_a_batch_are_averaged_and_one_call_draws_for_each() -> None:
    logits = torch.stack([LOGITS[:3], LOGITS[3:]])
    both = gradient_moments(plain(1), td.OneHotCategorical(logits=logits), lambda z: z @ LOG_JOINT[:3])
    each = [gradient_moments(plain(1), td.OneHotCategorical(logits=row), lambda z: z @ LOG_JOINT[:3]) for row in logits]
    assert both.draws == 2
    torch.testing.assert_close(both.exact, torch.stack([one.exact for one in each]) / 2)
    torch.testing.assert_close(both.mean, both.exact)
    torch.testing.assert_close(both.variance, torch.stack([one.variance for one in each]) / 4)


def test_bits_are_tried_in_all_combinations() -> None:
    def joint(z: Tensor) -> Tensor:
        return (z * LOG_JOINT[:3]).sum(-1) + z.prod(-1)

    logits = LOGITS[:3].clone().requires_grad_()
    found = gradient_moments(plain(1), td.Independent(td.Bernoulli(logits=logits), 1), joint)
    p = logits.sigmoid()
    entropy = td.Bernoulli(logits=logits).entropy().sum()
    (exact,) = torch.autograd.grad((p * LOG_JOINT[:3]).sum() + p.prod() + entropy, logits)
    torch.testing.assert_close(found.exact, exact)
    torch.testing.assert_close(found.mean, exact)


def test_a_path_through_the_probabilities_counts_and_a_constant_has_no_gradient() -> None:
    entropy = gradient_moments(lambda q, f: q.entropy() + (q.probs * LOG_JOINT).sum(), q(), log_joint)
    assert entropy.draws == 0
    torch.testing.assert_close(entropy.mean, entropy.exact)
    assert not entropy.variance.any()
    constant = gradient_moments(lambda q, f: f(q.sample()), q(), log_joint)
    assert constant.bias == 1 and not constant.mean.any()


def test_q_is_left_as_it_was_and_torchs_stream_too() -> None:
    logits = LOGITS.float().requires_grad_()
    before = torch.get_rng_state()
    found = gradient_moments(plain(2), td.Categorical(logits=logits), log_joint)
    assert logits.grad is None and torch.equal(before, torch.get_rng_state())
    assert isinstance(found, GradientMoments) and not found.exact.requires_grad


def test_too_many_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="One estimate draws 7 times one of 6 outcomes, which makes 279,936"):
        gradient_moments(plain(7), q(), log_joint)


def test_draws_that_depend_on_what_was_drawn_are_refused() -> None:
    def again(q, log_joint):
        z = q.sample()
        return q.log_prob(z if z > 3 else q.sample())

    with pytest.raises(ValueError, match="drew 2 outcomes in one call and 1 in another; give it a fixed number"):
        gradient_moments(again, q(), log_joint)


def test_other_distributions_and_other_results_are_refused() -> None:
    with pytest.raises(TypeError, match="pass a Categorical"):
        gradient_moments(plain(1), td.Normal(0.0, 1.0), log_joint)
    with pytest.raises(TypeError, match="it should return a tensor"):
        gradient_moments(lambda q, f: 1.0, q(), log_joint)
