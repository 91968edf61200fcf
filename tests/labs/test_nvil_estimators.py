"""The estimators of lab 04 under all that they can draw, against gradients that are not estimated."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from lvmlib.exercises.batch_surrogate import Variates
from lvmlib.exercises.discrete_model import DiscreteModel
from lvmlib.exercises.expected_gradients import IN_JOINT, IN_Q, OFFSET, Moments, weigh
from lvmlib.exercises.hybrid_mixture import PARTS, MixtureModel
from lvmlib.exercises.tapes import LIMIT, Tape, bits, categorical, log_table, moments, one_hot, tapes
from lvmlib.grading.judges import find
from lvmlib.probe import Draw

FAMILIES = {"numbers": categorical, "one-hot vectors": one_hot, "bits": bits}
DOUBLE = {"dtype": torch.float64}


def model_of(family=categorical, outcomes: int = 4, **how) -> DiscreteModel:
    return DiscreteModel(Draw(3), family, outcomes, **DOUBLE, **how)


def found(model: DiscreteModel, draws: int, surrogate: Callable[..., Tensor]) -> dict[str, Moments]:
    """Exact moments of the gradients of surrogate(q, log_joint)."""
    probabilities, gradients = [], []
    for tape in tapes(model.outcomes, draws):
        value = surrogate(model.q(tape), model.log_joint)
        gradients.append(dict(zip(model.parameters, differentiated(value, *model.parameters.values()), strict=True)))
        probabilities.append(tape.probability(model.probabilities()))
        assert tape.drawn == draws
    return weigh(probabilities, gradients)


def differentiated(value: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)


def of_elbo(model: DiscreteModel) -> dict[str, Tensor]:
    """The gradient of the ELBO, a sum over all outcomes; of a batch, of the ELBOs' mean."""
    q = model.q(Tape([0]))
    points = q.points.reshape(-1, *[1] * len(q.batch_shape), *q.event_shape)
    log_joint = model.log_joint(points.expand(-1, *q.batch_shape, *q.event_shape)).movedim(0, -1)
    log_q = log_table(q)
    elbo = (log_q.exp() * (log_joint - log_q)).sum(-1).mean()
    return dict(zip(model.parameters, differentiated(elbo, *model.parameters.values()), strict=True))


def assert_unbiased(model: DiscreteModel, estimate: dict[str, Moments]) -> None:
    for name, gradient in of_elbo(model).items():
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(estimate[name].mean, gradient.flatten(), rtol=0, atol=1e-9 * (1 + abs(model.offset)))


@pytest.mark.parametrize("family", FAMILIES)
def test_tapes_hold_every_sequence_once_and_their_probabilities_sum_to_one(family: str) -> None:
    make, logits = FAMILIES[family], torch.tensor([0.3, -0.7], dtype=torch.float64)
    outcomes = {"bits": 4}.get(family, 2)
    table = log_table(make(logits, Tape([0]))).exp()[None]
    together, chances = [], []
    for tape in tapes(outcomes, 3):
        q = make(logits, tape)
        z = q.sample((3,))
        assert z.shape == (3, *q.event_shape) and tape.drawn == 3
        together.append(z.flatten().tolist())
        chances.append(tape.probability(table))
        assert chances[-1].item() == pytest.approx(q.log_prob(z).sum().exp().item())
    assert len({tuple(z) for z in together}) == outcomes**3
    assert sum(chances).item() == pytest.approx(1)


def test_a_distribution_on_a_tape_is_torchs_in_all_but_its_draws() -> None:
    logits, tape = torch.tensor([[0.5, -1.0, 0.0], [2.0, 0.0, 1.0]]), Tape([2, 0, 1])
    q = categorical(logits, tape)
    assert isinstance(q, td.Categorical)
    assert torch.equal(q.entropy(), td.Categorical(logits=logits).entropy())
    assert q.sample().tolist() == [2, 0]
    assert q.expand((3, 2)).sample().tolist() == [[1, 2], [0, 1], [2, 0]]
    assert tape.drawn == 8
    with pytest.raises(NotImplementedError, match=r"draw it with q.sample\(\)"):
        q.rsample()


def test_a_loop_that_draws_without_end_is_stopped() -> None:
    q = one_hot(torch.zeros(3), Tape([0]))
    with pytest.raises(RuntimeError, match="the loop has no end"):
        for _ in range(LIMIT + 1):
            q.sample()


def test_moments_of_a_die() -> None:
    mean, variance = moments(torch.full((6,), 1 / 6), torch.arange(1.0, 7)[:, None])
    assert (mean.item(), variance.item()) == pytest.approx((3.5, 35 / 12))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_the_score_function_surrogate_leads_along_the_gradient_of_the_elbo(samples: int, family: str) -> None:
    surrogate = find("score-function-surrogate").reference
    model = model_of(FAMILIES[family])
    assert_unbiased(model, found(model, samples, lambda q, log_joint: surrogate(q, log_joint, samples)))


@pytest.mark.parametrize("samples", [2, 3])
def test_the_variance_falls_with_the_number_of_samples(samples: int) -> None:
    surrogate = find("score-function-surrogate").reference
    one, several = (found(model_of(), s, lambda q, f, s=s: surrogate(q, f, s)) for s in (1, samples))
    for name in (IN_Q, IN_JOINT):
        torch.testing.assert_close(several[name].variance, one[name].variance / samples)


def test_a_constant_in_the_rewards_adds_its_square_times_the_score_functions() -> None:
    """Var(r + c) + Var(r − c) − 2 Var(r) = 2c² E|∇ log q|², which is what variances are measured in."""
    surrogate = find("score-function-surrogate").reference

    def variance(offset: float) -> Tensor:
        model = model_of(offset=offset)
        return found(model, 1, lambda q, log_joint: surrogate(q, log_joint, 1))[IN_Q].variance.sum()

    added = variance(OFFSET) + variance(-OFFSET) - 2 * variance(0)
    torch.testing.assert_close(added, 2 * model_of().units(1)[IN_Q])
    torch.testing.assert_close(model_of().units(3)[IN_Q], model_of().units(1)[IN_Q] / 3)


def test_the_variance_of_the_path_is_that_of_independent_draws() -> None:
    surrogate = find("score-function-surrogate").reference
    estimate = found(model_of(), 2, lambda q, log_joint: surrogate(q, log_joint, 2))
    torch.testing.assert_close(estimate[IN_JOINT].variance.sum(), model_of().units(2)[IN_JOINT])


@pytest.mark.parametrize("samples", [2, 3])
def test_the_mean_of_a_batch_that_holds_the_sample_shrinks_the_gradient(samples: int) -> None:
    def shrunk(q, log_joint):
        z = q.sample((samples,))
        reward = (log_joint(z) - q.log_prob(z)).detach()
        return ((reward - reward.mean()) * q.log_prob(z)).mean()

    mean = found(model_of(), samples, shrunk)[IN_Q].mean
    torch.testing.assert_close(mean, (1 - 1 / samples) * of_elbo(model_of())[IN_Q].flatten())


@pytest.mark.parametrize("offset", [0.0, OFFSET])
def test_the_self_critic_is_unbiased(offset: float) -> None:
    model = model_of(outcomes=5, offset=offset)
    assert_unbiased(model, found(model, 2, find("self-critic").reference))


def left_out(samples: int) -> Callable[..., Tensor]:
    """The leave-one-out estimator with the path of log_joint; rewards keep their graph, as they may."""

    def surrogate(q, log_joint):
        z = q.sample((samples,))
        log_q, log_p = q.log_prob(z)[:, None], log_joint(z)[:, None]
        return find("leave-one-out").reference(log_q, log_p - log_q).squeeze() + log_p.mean()

    return surrogate


@pytest.mark.parametrize("samples", [2, 3])
def test_leaving_one_out_is_unbiased(samples: int) -> None:
    assert_unbiased(model_of(), found(model_of(), samples, left_out(samples)))


def test_a_constant_in_the_rewards_matters_neither_to_the_self_critic_nor_to_leaving_one_out() -> None:
    for draws, surrogate in ((2, find("self-critic").reference), (3, left_out(3))):
        plain, shifted = (found(model_of(offset=offset), draws, surrogate)[IN_Q] for offset in (0.0, OFFSET))
        torch.testing.assert_close(shifted.mean, plain.mean, rtol=0, atol=1e-9)
        torch.testing.assert_close(shifted.variance, plain.variance, rtol=0, atol=1e-7)


def test_leaving_one_of_two_out_is_the_self_critic_in_both_orders() -> None:
    model, critic = model_of(), find("self-critic").reference
    for tape in tapes(model.outcomes, 2):
        orders = [critic(model.q(Tape(order)), model.log_joint) for order in (tape.numbers, tape.numbers[::-1])]
        both = differentiated(sum(orders) / 2, *model.parameters.values())
        one = differentiated(left_out(2)(model.q(tape), model.log_joint), *model.parameters.values())
        torch.testing.assert_close(both, one)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("constant", [0.0, 40.0])
def test_nvil_is_unbiased_whatever_the_baseline_of_x(constant: float, family: str) -> None:
    model = model_of(FAMILIES[family], batch=2)
    slope = torch.tensor([0.7, -1.3], dtype=torch.float64)
    losses = []

    def surrogate(q, log_joint):
        variates = Variates(model.x, slope, constant=constant)
        value, loss = find("nvil-surrogate").reference(q, log_joint, variates, model.x)
        assert not any(part.any() for part in differentiated(loss, *model.parameters.values()))
        losses.append(differentiated(loss, variates.weight)[0])
        return value

    assert_unbiased(model, found(model, 2, surrogate))
    chances = torch.stack([tape.probability(model.probabilities()) for tape in tapes(model.outcomes, 2)])
    assert torch.stack(losses) @ chances == pytest.approx(mean_reward(model) + model.x[:, 0].mean().item())


def mean_reward(model: DiscreteModel) -> float:
    """The mean of the ELBOs, as draws see it."""
    value = 0.0
    for tape in tapes(model.outcomes, len(model.x)):
        q = model.q(tape)
        z = q.sample()
        value += tape.probability(model.probabilities()) * (model.log_joint(z) - q.log_prob(z)).mean().detach()
    return float(value)


def test_nvil_of_an_empty_chain_is_the_score_function_surrogate() -> None:
    model = model_of(batch=1)
    for tape in tapes(model.outcomes, 1):
        nothing = lambda reward, x: (reward, torch.zeros_like(reward))  # noqa: E731
        nvil, loss = find("nvil-surrogate").reference(model.q(tape), model.log_joint, nothing, model.x)
        plain = find("score-function-surrogate").reference(model.q(Tape(tape.numbers)), model.log_joint, 1)
        pairs = (differentiated(value, *model.parameters.values()) for value in (nvil, plain))
        torch.testing.assert_close(*pairs)
        assert loss == 0


def mixture_model(components: int, *, squared: bool) -> MixtureModel:
    return MixtureModel(Draw(5), components, squared=squared, **DOUBLE)


def estimated(model: MixtureModel) -> list[Tensor]:
    """The mean gradient of the surrogate under all draws."""
    parameters = list(model.parameters.values())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    surrogate = find("hybrid-mixture").reference
    for component, eps, weight in model.draws():
        value = surrogate(*(getattr(model, part) for part in PARTS), model.log_joint, component, eps)
        for sum_so_far, gradient in zip(total, differentiated(value, *parameters), strict=True):
            sum_so_far += weight * gradient
    return total


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("components", [1, 2, 3])
def test_the_hybrid_leads_along_the_gradient_of_an_integral(components: int, squared: bool) -> None:
    model = mixture_model(components, squared=squared)
    z = torch.linspace(-15, 15, 20_001, dtype=torch.float64)
    selector, inside = td.Categorical(logits=model.logits), td.Normal(model.means, model.log_scales.exp())
    log_q = td.MixtureSameFamily(selector, inside).log_prob(z)
    elbo = torch.trapezoid(log_q.exp() * (model.log_joint(z) - log_q), z)
    exact = torch.autograd.grad(elbo, list(model.parameters.values()))
    for mean, gradient in zip(estimated(model), exact, strict=True):
        torch.testing.assert_close(mean, gradient, rtol=2e-4, atol=1e-4)


def test_the_hybrid_of_one_component_is_a_gaussian_in_closed_form() -> None:
    """Of −(wz − b)² and a Gaussian of entropy log σ + …, the ELBO is −(wμ − b)² − w²σ² + log σ + …."""
    model = mixture_model(1, squared=True)
    slope, place = model.decoder
    scale = model.log_scales.exp()
    elbo = -((slope * model.means - place) ** 2) - (slope * scale) ** 2 + model.log_scales
    exact = differentiated(elbo.sum(), *model.parameters.values())
    for mean, gradient in zip(estimated(model), exact, strict=True):
        torch.testing.assert_close(mean, gradient, rtol=0, atol=1e-6)


def test_the_weights_of_a_mixtures_draws_are_those_of_its_components_and_of_a_standard_normal() -> None:
    model = mixture_model(3, squared=True)
    draws = model.draws()
    for power, moment in ((0, 1), (1, 0), (2, 1), (4, 3)):
        assert sum(d.weight * d.eps**power for d in draws).item() == pytest.approx(moment, abs=1e-5)
    of_first = sum(d.weight for d in draws if d.component == 0)
    assert of_first.item() == pytest.approx(model.logits.softmax(0)[0].item())


def test_the_units_of_a_mixture_are_the_score_functions_square() -> None:
    model = mixture_model(2, squared=True)
    squares = dict.fromkeys(PARTS, 0.0)
    for component, eps, weight in model.draws():
        parts = [getattr(model, part) for part in PARTS]
        logits, means, log_scales = parts
        z = (means + log_scales.exp() * eps)[component].detach()
        log_q = logits.log_softmax(0)[component] + td.Normal(means, log_scales.exp()).log_prob(z)[component]
        for part, gradient in zip(PARTS, differentiated(log_q, *parts), strict=True):
            squares[part] += weight * gradient.square().sum()
    wanted = [OFFSET**2 * square.item() for square in squares.values()]
    assert [unit.item() for unit in model.units().values()] == pytest.approx(wanted, rel=1e-6)
    assert math.isfinite(sum(wanted))
