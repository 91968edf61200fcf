"""Rates, distortions and bounds against closed forms and sums over all codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib import models
from lvmlib.models.latent_variable_model import LatentVariableModel
from lvmlib.models.rate import exact_rate

SHAPE = (1, 3, 2)
LATENT = 3


def enumerable(kind: str) -> LatentVariableModel:
    """A small model over categories or bits in float64, whose prior is not uniform."""
    torch.manual_seed(1)
    prior = models.CategoricalPrior(LATENT) if kind == "categorical" else models.BitsPrior(LATENT)
    family = models.Categorical() if kind == "categorical" else models.Bernoulli()
    nn.init.normal_(prior.logits)
    model = models.LatentVariableModel(
        prior,
        models.encoder(SHAPE, LATENT, family, hidden=(8,)),
        models.decoder(LATENT, SHAPE, models.Bernoulli(), hidden=()),
    )
    for parameter in model.parameters():
        parameter.data *= 3
    return model.double().eval()


def all_codes(kind: str) -> Tensor:
    """Every code, shape (codes, 1, latent)."""
    if kind == "categorical":
        return torch.eye(LATENT, dtype=torch.float64)[:, None]
    return torch.tensor(list(product([0.0, 1.0], repeat=LATENT)), dtype=torch.float64)[:, None]


def binary(count: int) -> Tensor:
    return torch.rand(count, *SHAPE, dtype=torch.float64).round()


class Tape(td.Distribution):
    """A distribution whose draws are written down beforehand, one row a draw."""

    arg_constraints: dict[str, td.constraints.Constraint] = {}

    def __init__(self, original: td.Distribution, rows: Tensor) -> None:
        super().__init__(original.batch_shape, original.event_shape, validate_args=False)
        self.original = original
        self.left = rows

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        (count,) = sample_shape
        drawn, self.left = self.left[:count], self.left[count:]
        assert len(drawn) == count
        return drawn

    def log_prob(self, value: Tensor) -> Tensor:
        return self.original.log_prob(value)


class Given(nn.Module):
    """A part made of a function."""

    def __init__(self, answer: Callable[[Tensor], td.Distribution]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, given: Tensor) -> td.Distribution:
        return self.answer(given)


def with_posterior(model: LatentVariableModel, answer: Callable[[Tensor], td.Distribution]) -> LatentVariableModel:
    """A model of the same prior and observation model; put in later, because it only answers to the images at hand."""
    other = models.LatentVariableModel(model.prior, model.posterior, model.observation)
    other.posterior = Given(answer)
    return other


@pytest.mark.parametrize("kind", ["categorical", "bits"])
def test_rate_is_the_sum_over_all_codes(kind: str) -> None:
    model, codes, x = enumerable(kind), all_codes(kind), binary(5)
    q = model.posterior(x)
    log_q = q.log_prob(codes.expand(-1, 5, -1))
    expected = (log_q.exp() * (log_q - model.prior().log_prob(codes))).sum(0)
    torch.testing.assert_close(model.distortion_and_rate(x)[1], expected)
    torch.testing.assert_close(model.measure(x, 2)["rate"], expected.detach())


def test_rate_between_gaussians_is_the_closed_form() -> None:
    mean, log_var = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    q = td.Independent(td.Normal(mean, (0.5 * log_var).exp()), 1)
    expected = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)
    found = exact_rate(q, models.GaussianPrior(3)())
    torch.testing.assert_close(found, expected)


def test_rate_of_codes_with_two_axes_is_summed_over_both() -> None:
    mean = torch.randn(5, 2, 3)
    q, p = td.Independent(td.Normal(mean, 1.0), 2), td.Independent(td.Normal(torch.zeros(2, 3), 1.0), 2)
    torch.testing.assert_close(exact_rate(q, p), 0.5 * mean.square().sum((1, 2)))


@pytest.mark.parametrize(("prior", "posterior"), [("Gaussian", 2), ("mixture", 1), ("mixture", 2)])
def test_rate_of_mixtures_is_estimated_from_the_same_draws(prior: str, posterior: int) -> None:
    torch.manual_seed(0)
    p = models.GaussianPrior(3) if prior == "Gaussian" else models.MixturePrior(3, 4)
    encoder = models.encoder(SHAPE, 3, models.Mixture(posterior) if posterior > 1 else models.Gaussian())
    model = models.LatentVariableModel(p, encoder, models.decoder(3, SHAPE, models.Bernoulli()))
    x = torch.rand(4, *SHAPE)
    q = model.posterior(x)
    assert exact_rate(q, p()) is None
    torch.manual_seed(1)
    distortion, rate = model.distortion_and_rate(x, draws=7)
    torch.manual_seed(1)
    z = q.sample((7,))
    torch.testing.assert_close(rate, (q.log_prob(z) - p().log_prob(z)).mean(0))
    torch.testing.assert_close(distortion, -model.observation(z).log_prob(x).mean(0))


def test_rate_of_a_mixture_that_is_the_prior_is_nothing() -> None:
    torch.manual_seed(0)
    prior = models.MixturePrior(3, 4)
    copies = td.MixtureSameFamily(
        td.Categorical(logits=prior.logits.expand(3, 4)), prior().component_distribution.expand((3, 4))
    )
    decoder = models.decoder(3, SHAPE, models.Gaussian())
    model = models.LatentVariableModel(prior, Given(lambda x: copies), decoder)
    torch.testing.assert_close(
        model.distortion_and_rate(torch.rand(3, *SHAPE), 5)[1], torch.zeros(3), atol=1e-5, rtol=0
    )


def test_rate_stays_finite_where_a_probability_is_rounded_to_0_or_1() -> None:
    sure = td.Independent(td.Bernoulli(logits=torch.tensor([40.0, -200.0])), 1)
    fair = td.Independent(td.Bernoulli(logits=torch.zeros(2)), 1)
    assert exact_rate(sure, fair).item() == pytest.approx(2 * math.log(2))
    assert exact_rate(fair, sure).item() == pytest.approx(20 + 100 - 2 * math.log(2))
    likely = td.OneHotCategorical(logits=torch.tensor([0.0, -300.0]))
    even = td.OneHotCategorical(logits=torch.zeros(2))
    assert exact_rate(even, likely).item() == pytest.approx(150 - math.log(2))


@pytest.mark.parametrize("kind", ["categorical", "bits"])
def test_bound_rises_with_the_draws_from_the_elbo_towards_the_evidence(kind: str) -> None:
    """The expectation of the importance-weighted bound, over all outcomes of all its draws."""
    model, codes = enumerable(kind), all_codes(kind)
    for x in binary(2):
        log_q = model.posterior(x).log_prob(codes[:, 0]).detach()
        evidence = model.log_joint(x[None], codes).logsumexp(0).item()
        elbo = (log_q.exp() * (model.log_joint(x[None], codes)[:, 0] - log_q)).sum().item()
        bounds = [expected_bound(model, x, codes, log_q, draws) for draws in (1, 2, 3)]
        assert bounds[0] == pytest.approx(elbo, rel=1e-12)
        assert bounds == sorted(bounds) and bounds[0] < bounds[1] - 1e-3
        assert bounds[-1] < evidence


def expected_bound(model: LatentVariableModel, x: Tensor, codes: Tensor, log_q: Tensor, draws: int) -> float:
    outcomes = torch.cartesian_prod(*[torch.arange(len(codes))] * draws).reshape(-1, draws).T
    images = x.expand(outcomes.shape[1], *SHAPE)
    tape = Tape(model.posterior(images), codes[outcomes, 0])
    taped = with_posterior(model, lambda given: tape)
    probability = log_q[outcomes].sum(0).exp()
    return (probability * taped.log_likelihood(images, draws, chunk=len(images))).sum().item()


@pytest.mark.parametrize("draws", [1, 4])
def test_bound_is_the_evidence_under_the_true_posterior(draws: int) -> None:
    model, codes, x = enumerable("categorical"), all_codes("categorical"), binary(6)
    joint = model.log_joint(x, codes).detach()
    exact = with_posterior(model, lambda given: td.OneHotCategorical(logits=joint.T))
    measured = exact.measure(x, draws)
    torch.testing.assert_close(measured["log-likelihood"], joint.logsumexp(0))
    torch.testing.assert_close(exact.log_likelihood(x, draws), joint.logsumexp(0))
    if draws == 1:
        distortion, rate = exact.distortion_and_rate(x)
        torch.testing.assert_close(measured["rate"], rate.detach())
        assert distortion.shape == rate.shape == (6,)


@pytest.mark.parametrize(("draws", "chunk"), [(7, 1), (7, 10), (7, 14), (7, 1000), (1, 3), (100, 64)])
def test_chunks_change_nothing_and_bound_what_is_decoded_at_a_time(draws: int, chunk: int) -> None:
    model, x = enumerable("bits"), torch.rand(5, *SHAPE, dtype=torch.float64)
    codes = model.posterior(x).sample((draws,))
    decoded: list[int] = []

    def from_tape(images: Tensor) -> td.Distribution:
        start = next(row for row in range(5) if torch.equal(x[row], images[0]))
        return Tape(model.posterior(images), codes[:, start : start + len(images)])

    taped = with_posterior(model, from_tape)
    taped.observation.register_forward_hook(lambda module, given, _: decoded.append(given[0][..., 0].numel()))
    measured = taped.measure(x, draws, chunk=chunk)
    assert max(decoded) <= chunk and sum(decoded) == 5 * draws
    q = model.posterior(x)
    log_likelihood = model.observation(codes).log_prob(x)
    log_ratio = q.log_prob(codes) - model.prior().log_prob(codes)
    expected = {
        "distortion": -log_likelihood.mean(0),
        "rate": log_ratio.mean(0),
        "elbo": (log_likelihood - log_ratio).mean(0),
        "log-likelihood": (log_likelihood - log_ratio).exp().mean(0).log(),
    }
    assert measured.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(measured[name], values.detach(), msg=name)


class Corners(td.Normal):
    """A Gaussian whose noise takes every combination of ±1 once: exact for what is quadratic in the noise."""

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        axes = self.batch_shape[-1]
        signs = torch.tensor(list(product([-1.0, 1.0], repeat=axes)), dtype=self.loc.dtype)
        assert sample_shape == (len(signs),)
        return self.loc + self.scale * signs[:, None]


@pytest.mark.parametrize("rate_weight", [0.0, 0.5, 1.0, 4.0])
def test_path_derivative_is_the_gradient_of_the_closed_form(rate_weight: float) -> None:
    """A linear decoder with Gaussian pixels: E‖x − Wz − b‖² = ‖x − Wμ − b‖² + Σ σ²‖w‖²."""
    torch.manual_seed(0)
    linear = models.decoder(LATENT, SHAPE, models.Gaussian(), hidden=()).double()
    encoder = models.encoder(SHAPE, LATENT, models.Gaussian(), hidden=(4,)).double()
    encoder.head = lambda numbers: td.Independent(Corners(numbers[..., :LATENT], numbers[..., LATENT:].exp()), 1)
    model = models.LatentVariableModel(models.GaussianPrior(LATENT).double(), encoder, linear)
    x = torch.randn(5, *SHAPE, dtype=torch.float64)
    distortion, rate = model.distortion_and_rate(x, draws=2**LATENT)
    found = torch.autograd.grad((distortion + rate_weight * rate).sum(), list(model.parameters()))

    mean, log_scale = encoder.network(x).chunk(2, -1)
    weight, bias = linear.network[0].weight, linear.network[0].bias
    square = (x.flatten(1) - mean @ weight.T - bias).square().sum(-1)
    square = square + ((2 * log_scale).exp() * weight.square().sum(0)).sum(-1)
    variance = linear(mean).variance.flatten(1)[:, 0]
    exact_distortion = square / (2 * variance) + 3 * torch.log(2 * math.pi * variance)
    exact = (mean.square() + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(-1) / 2
    expected = torch.autograd.grad((exact_distortion + rate_weight * exact).sum(), list(model.parameters()))
    torch.testing.assert_close(distortion, exact_distortion)
    torch.testing.assert_close(rate, exact)
    torch.testing.assert_close(found, expected)


def test_building_a_model_draws_nothing_and_leaves_every_mode_as_it_was() -> None:
    encoder = models.encoder(SHAPE, LATENT, models.Gaussian(), dropout=0.5).eval()
    decoder = models.decoder(LATENT, SHAPE, models.Bernoulli(), dropout=0.5)
    before = torch.get_rng_state()
    model = models.LatentVariableModel(models.GaussianPrior(LATENT), encoder, decoder)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in encoder.modules())
    assert all(module.training for module in decoder.modules()) and model.training
