"""Training with and without an estimator: gradients by enumeration, optimizers, clipping, checkpoints."""

from __future__ import annotations

import copy
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib import load, models, seed_all
from lvmlib.models import training
from lvmlib.models.latent_variable_model import LatentVariableModel

SHAPE = (1, 4, 3)
LATENT = 3
IMAGES = 6
WEIGHTS = [0.0, 0.5, 1.0, 3.0]


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVM_DEVICE", "cpu")


def small(kind: str = "categorical", **options: Any) -> LatentVariableModel:
    torch.manual_seed(0)
    prior, family = {
        "Gaussian": (models.GaussianPrior(LATENT), models.Gaussian()),
        "mixture": (models.MixturePrior(LATENT, 2), models.Mixture(2)),
        "categorical": (models.CategoricalPrior(LATENT), models.Categorical()),
        "bits": (models.BitsPrior(LATENT), models.Bernoulli()),
    }[kind]
    encoder = models.encoder(SHAPE, LATENT, family, hidden=(5,), **options)
    return models.LatentVariableModel(
        prior, encoder, models.decoder(LATENT, SHAPE, models.Bernoulli(), hidden=(5,), **options)
    )


def binary() -> Tensor:
    return torch.rand(IMAGES, *SHAPE, generator=torch.Generator().manual_seed(3)).round()


def all_codes(kind: str) -> Tensor:
    if kind == "categorical":
        return torch.eye(LATENT)[:, None]
    return torch.tensor(list(product([0.0, 1.0], repeat=LATENT)))[:, None]


def score_function(q: td.Distribution, log_joint: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The plain estimator, from one draw."""
    z = q.sample()
    log_q, joint = q.log_prob(z), log_joint(z)
    return ((joint - log_q).detach() * log_q + joint).mean(), x.new_zeros(())


def its_expectation(codes: Tensor) -> Any:
    """The plain estimator, its expectation taken over all codes instead of a draw."""

    def estimator(q: td.Distribution, log_joint: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        z = codes.expand(-1, len(x), -1)
        log_q, joint = q.log_prob(z), log_joint(z)
        surrogate = (joint - log_q).detach() * log_q + joint
        return (log_q.exp().detach() * surrogate).sum(0).mean(), x.new_zeros(())

    return estimator


def one_step(model: LatentVariableModel, x: Tensor, **options: Any) -> Any:
    """Train on one batch; its gradients are left in place."""
    return models.train(model, x, epochs=1, batch_size=len(x), progress=False, **options)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("rate_weight", WEIGHTS)
@pytest.mark.parametrize("kind", ["categorical", "bits"])
def test_estimator_is_handed_what_makes_the_weighted_bound_of_its_bound(kind: str, rate_weight: float) -> None:
    model, x, codes = small(kind), binary(), all_codes(kind)
    exact = copy.deepcopy(model)
    q = exact.posterior(x)
    log_q = q.log_prob(codes.expand(-1, IMAGES, -1))
    rate = log_q - exact.prior().log_prob(codes)
    loss = (log_q.exp() * (rate_weight * rate - exact.observation(codes).log_prob(x))).sum(0).mean()
    loss.backward()
    one_step(model, x, estimator=its_expectation(codes), rate_weight=rate_weight)
    expected = gradients(exact)
    found = gradients(model)
    if rate_weight == 0:
        assert not found.pop("prior.logits").any() and not expected.pop("prior.logits").any()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate_weight", WEIGHTS)
def test_path_derivative_descends_distortion_plus_weighted_rate(rate_weight: float) -> None:
    # copies of one image, so that the order of the batch does not matter
    model, x = small("Gaussian"), binary()[:1].repeat(IMAGES, 1, 1, 1)
    exact = copy.deepcopy(model)
    torch.manual_seed(5)
    distortion, rate = exact.distortion_and_rate(x, draws=2)
    (distortion + rate_weight * rate).mean().backward()

    def reseed(module: nn.Module, given: Any) -> None:
        torch.manual_seed(5)

    model.posterior.register_forward_pre_hook(reseed)
    history = one_step(model, x, draws=2, rate_weight=rate_weight)
    torch.testing.assert_close(gradients(model), gradients(exact), rtol=1e-4, atol=1e-5)
    assert history["distortion"][0] == pytest.approx(distortion.mean().item(), rel=1e-5)
    assert history["rate"][0] == pytest.approx(rate.mean().item(), rel=1e-5)
    assert history["loss"][0] == pytest.approx((distortion + rate_weight * rate).mean().item(), rel=1e-5)


class Recorder:
    """Stands in for an optimizer class and keeps what is made of it."""

    def __init__(self, original: type[torch.optim.Optimizer]) -> None:
        self.original = original
        self.made: list[torch.optim.Optimizer] = []

    def __call__(self, *arguments: Any, **options: Any) -> torch.optim.Optimizer:
        self.made.append(self.original(*arguments, **options))
        return self.made[-1]


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recorder]:
    found = {name: Recorder(getattr(training, name)) for name in ("Adam", "RMSprop")}
    for name, recorder in found.items():
        monkeypatch.setattr(training, name, recorder)
    return found


class Baseline(nn.Module):
    """A control variate with something to learn and something to remember."""

    remembered: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("remembered", torch.tensor(0.0))

    def estimate(self, q: td.Distribution, log_joint: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        z = q.sample()
        log_q, joint = q.log_prob(z), log_joint(z)
        reward = (joint - log_q).detach()
        self.remembered += reward.mean()
        surrogate = ((reward - self.level.detach()) * log_q + joint).mean()
        return surrogate, (reward - self.level).square().mean()


def held(optimizers: list[torch.optim.Optimizer]) -> list[int]:
    return [id(one) for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]]


def test_three_rmsprop_for_an_estimator_hold_every_parameter_once(recorders: dict[str, Recorder]) -> None:
    model, baseline = small(), Baseline()
    one_step(model, binary(), estimator=baseline.estimate, control_variates=baseline)
    assert len(recorders["RMSprop"].made) == 3 and not recorders["Adam"].made
    parts = [
        [*model.prior.parameters(), *model.observation.parameters()],
        model.posterior.parameters(),
        [baseline.level],
    ]
    for optimizer, part in zip(recorders["RMSprop"].made, parts, strict=True):
        assert held([optimizer]) == [id(parameter) for parameter in part]


def test_two_adam_for_the_path_derivative(recorders: dict[str, Recorder]) -> None:
    model = small("Gaussian")
    one_step(model, binary())
    assert len(recorders["Adam"].made) == 2 and not recorders["RMSprop"].made
    assert sorted(held(recorders["Adam"].made)) == sorted(id(parameter) for parameter in model.parameters())


def test_what_parts_share_is_moved_once_and_what_is_fixed_never(recorders: dict[str, Recorder]) -> None:
    model, baseline = small(), Baseline()
    model.prior.requires_grad_(False)
    model.posterior.also = model.observation
    baseline.also = model.posterior
    one_step(model, binary(), estimator=baseline.estimate, control_variates=[baseline])
    parameters = held(recorders["RMSprop"].made)
    learned = {id(one) for one in [*model.parameters(), baseline.level] if one.requires_grad}
    assert set(parameters) == learned and len(parameters) == len(learned)


@pytest.mark.parametrize("kind", ["Gaussian", "categorical"])
def test_every_parameter_that_learns_moves_in_one_step(kind: str) -> None:
    model, baseline = small(kind), Baseline()
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    estimator = {} if kind == "Gaussian" else {"estimator": baseline.estimate, "control_variates": baseline}
    one_step(model, binary(), **estimator)
    assert all(not torch.equal(before[name], one) for name, one in model.named_parameters())
    assert (baseline.level.item() != 0) == (kind != "Gaussian")


def test_surrogate_moves_the_model_only_and_loss_the_control_variates_only() -> None:
    """An estimator whose two results reach into everything."""
    plain, entangled, baseline = small(), small(), Baseline()
    expectation = its_expectation(all_codes("categorical"))

    def leaky(q: td.Distribution, log_joint: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        surrogate, _ = expectation(q, log_joint, x)
        return surrogate + 7 * baseline.level, 3 * baseline.level + 1000 * surrogate

    one_step(plain, binary(), estimator=expectation)
    one_step(entangled, binary(), estimator=leaky, control_variates=baseline)
    torch.testing.assert_close(gradients(entangled), gradients(plain))
    assert baseline.level.grad == 3


def test_dropout_is_off_when_measuring_and_on_when_training() -> None:
    model, baseline = small(dropout=0.5), Baseline()
    modes: list[bool] = []
    dropout = next(module for module in model.posterior.modules() if isinstance(module, nn.Dropout))
    dropout.register_forward_hook(lambda module, *_: modes.append(module.training))
    variates_modes: list[bool] = []

    def estimator(q: td.Distribution, log_joint: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        variates_modes.append(baseline.training)
        return baseline.estimate(q, log_joint, x)

    x = binary()
    models.train(model, x, x, estimator=estimator, control_variates=baseline, epochs=2, batch_size=3, progress=False)
    # two steps and one measuring an epoch
    assert modes == [True, True, False] * 2 and variates_modes == [True] * 4
    assert not any(module.training for module in [*model.modules(), baseline])


def test_measures_the_development_images() -> None:
    model, x = small("bits"), binary()
    decoded: list[int] = []
    model.observation.register_forward_hook(
        lambda module, codes, _: None if module.training else decoded.append(codes[0][..., 0].numel())
    )
    history = models.train(
        model, x, x, estimator=score_function, epochs=4, every=2, dev_draws=5, batch_size=4, progress=False
    )
    assert set(history.names) == {
        "surrogate", "control-variate loss", "dev/elbo", "dev/distortion", "dev/rate", "dev/log-likelihood"
    }  # fmt: skip
    assert [math.isnan(nats) for nats in history["dev/elbo"]] == [True, False, True, False]
    for epoch in (1, 3):
        elbo, distortion, rate = (history[f"dev/{name}"][epoch] for name in ("elbo", "distortion", "rate"))
        assert elbo == pytest.approx(-distortion - rate, rel=1e-5)
    assert decoded == [5 * IMAGES] * 2
    assert history["dev/rate"][3] == pytest.approx(model.measure(x, 1)["rate"].mean().item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["Gaussian", "categorical"])
def test_clipping_shortens_the_gradient_and_keeps_its_direction(kind: str) -> None:
    free, clipped = small(kind), small(kind)
    estimator = {} if kind == "Gaussian" else {"estimator": its_expectation(all_codes(kind))}
    for model, clip in ((free, None), (clipped, 0.01)):
        torch.manual_seed(1)
        history = one_step(model, binary(), clip=clip, **estimator)
    whole = torch.cat([gradient.flatten() for gradient in gradients(free).values()])
    short = torch.cat([gradient.flatten() for gradient in gradients(clipped).values()])
    assert history["gradient norm"][0] == pytest.approx(whole.norm().item(), rel=1e-5)
    torch.testing.assert_close(short, 0.01 * whole / whole.norm())


def test_control_variates_are_clipped_by_themselves() -> None:
    model, baseline = small(), Baseline()
    one_step(model, binary(), estimator=baseline.estimate, control_variates=baseline, clip=0.5)
    assert baseline.level.grad.abs().item() == pytest.approx(0.5, rel=1e-5)


def run(seed: int, epochs: int = 2, **options: Any) -> tuple[LatentVariableModel, Baseline, Any]:
    model, baseline = small(dropout=0.2), Baseline()
    generator = seed_all(seed)
    history = models.train(
        model, binary(), binary(), estimator=baseline.estimate, control_variates=baseline, epochs=epochs, batch_size=4,
        generator=generator, progress=False, **options,
    )  # fmt: skip
    return model, baseline, history


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def test_training_is_determined_by_its_seeds() -> None:
    model, baseline, history = run(1)
    again, baseline_again, history_again = run(1)
    other, _, _ = run(2)
    assert same(model, again) and same(baseline, baseline_again) and not same(model, other)
    assert {name: history[name] for name in history.names} == {name: history_again[name] for name in history.names}


def test_the_generator_alone_decides_the_order_of_the_batches() -> None:
    def trained(stream: int, order: int) -> LatentVariableModel:
        model = small()
        torch.manual_seed(stream)
        generator = torch.Generator().manual_seed(order)
        models.train(
            model, binary(), estimator=its_expectation(all_codes("categorical")), epochs=2, batch_size=2,
            generator=generator, progress=False,
        )  # fmt: skip
        return model

    assert same(trained(1, 1), trained(2, 1)) and not same(trained(1, 1), trained(1, 2))


def test_measuring_does_not_change_the_training() -> None:
    assert same(run(1)[0], run(1, every=2)[0]) and same(run(1)[0], run(1, dev_draws=3)[0])


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, baseline, history = run(1, epochs=3)
    run(1, epochs=1, checkpoint=tmp_path / "half")
    resumed, baseline_resumed, history_resumed = run(9, epochs=3, checkpoint=tmp_path / "half")
    assert same(whole, resumed) and same(baseline, baseline_resumed)
    assert baseline.remembered != 0 and history["surrogate"] == history_resumed["surrogate"]


@pytest.mark.parametrize(
    "returned",
    [torch.tensor(0.0), (torch.zeros(IMAGES), torch.tensor(0.0)), (torch.tensor(0.0), 0.0), (torch.tensor(0.0),) * 3],
)
def test_an_estimator_that_returns_something_else_is_refused(returned: Any) -> None:
    with pytest.raises(TypeError, match=r"The estimator does not return \(surrogate, loss\), two 0-d tensors"):
        one_step(small(), binary(), estimator=lambda q, log_joint, x: returned)


@pytest.mark.parametrize("kind", ["mixture", "categorical", "bits"])
def test_codes_without_gradient_need_an_estimator(kind: str) -> None:
    with pytest.raises(ValueError, match=r"draws carry no gradient, .* give train\(estimator=…\)"):
        one_step(small(kind), binary())


@pytest.mark.parametrize("wrong", [{"rate_weight": -1.0}, {"draws": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rate_weight=.* and draws=.*; give at least 0 and 1"):
        one_step(small("Gaussian"), binary(), **wrong)


def test_finds_the_templates_that_the_images_are_copies_of() -> None:
    """As many categories as templates: at best an image costs which of them it is, log 3 nats."""
    templates = torch.tensor([[[[1.0, 1, 0, 0]] * 3], [[[0.0, 0, 1, 1]] * 3], [[[0.0, 1, 1, 0]] * 3]]).mT
    x = templates.repeat(20, 1, 1, 1)
    torch.manual_seed(0)
    decoder = models.decoder(LATENT, SHAPE, models.Bernoulli(), hidden=())
    encoder = models.encoder(SHAPE, LATENT, models.Categorical(), hidden=())
    # from anywhere, two categories may share a template for ever
    decoder.network[0].weight.data = (templates - 0.5).flatten(1).T
    encoder.network[1].weight.data = (templates - 0.5).flatten(1)
    model = models.LatentVariableModel(models.CategoricalPrior(LATENT), encoder, decoder)
    history = models.train(
        model, x, x, estimator=its_expectation(all_codes("categorical")), epochs=40, batch_size=10, lr=0.05,
        every=40, progress=False,
    )  # fmt: skip
    assert history["dev/elbo"][-1] == pytest.approx(-math.log(3), abs=0.05)


def test_an_image_set_trains_by_path_derivatives() -> None:
    torch.manual_seed(0)
    train, dev = load("mnist", size=12, count=128, test_count=32)
    for family in (models.Bernoulli(), models.ContinuousBernoulli(), models.Gaussian()):
        model = models.LatentVariableModel(
            models.MixturePrior(2, 3),
            models.encoder((1, 12, 12), 2, models.Gaussian(), hidden=(16,)),
            models.decoder(2, (1, 12, 12), family, hidden=(16,)),
        )
        untrained = model.measure(dev.images, 1)["elbo"].mean()
        history = models.train(model, train, dev, epochs=8, lr=5e-3, progress=False)
        assert history["dev/elbo"][-1] > untrained
        assert history["loss"][-1] < history["loss"][0]
