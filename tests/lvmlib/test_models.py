"""Every model that the kit's parts make, in one table; and what is no model, refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib import models
from lvmlib.models.rate import exact_rate

LATENT = 4

PRIORS = {
    "Gaussian": lambda: models.GaussianPrior(LATENT),
    "mixture": lambda: models.MixturePrior(LATENT, components=3),
    "categorical": lambda: models.CategoricalPrior(LATENT),
    "bits": lambda: models.BitsPrior(LATENT),
}
POSTERIORS = {
    "Gaussian": models.Gaussian(),
    "mixture": models.Mixture(components=2),
    "categorical": models.Categorical(),
    "bits": models.Bernoulli(),
}
OBSERVATIONS = {
    "Bernoulli": models.Bernoulli(),
    "continuous Bernoulli": models.ContinuousBernoulli(),
    "Gaussian": models.Gaussian(),
}
REAL = {"Gaussian", "mixture"}
"""Priors and posteriors over real numbers go together in any way; the others only with their like."""

SENSIBLE = [(p, q) for p, q in product(PRIORS, POSTERIORS) if p == q or {p, q} <= REAL]
SENSELESS = [(p, q) for p, q in product(PRIORS, POSTERIORS) if (p, q) not in SENSIBLE]
SHAPES = [(1, 5, 3), (3, 9, 12), (2, 8, 16), (1, 1, 1)]
NETWORKS: dict[str, dict[str, Any]] = {
    "feed-forward": {"hidden": (7,), "dropout": 0.1},
    "linear": {"hidden": ()},
    "convolutional": {"hidden": (6,), "convolutional": True, "features": 32},
}
TABLE = [
    pytest.param(
        prior,
        posterior,
        observation,
        network,
        SHAPES[row % len(SHAPES)],
        id=f"{prior}-{posterior}-{observation}-{network}",
    )
    for row, ((prior, posterior), observation, network) in enumerate(product(SENSIBLE, OBSERVATIONS, NETWORKS))
]


def build(
    prior: str, posterior: str, observation: str, network: str = "linear", shape: tuple[int, int, int] = (1, 5, 3)
) -> models.LatentVariableModel:
    torch.manual_seed(0)
    return models.LatentVariableModel(
        PRIORS[prior](),
        models.encoder(shape, LATENT, POSTERIORS[posterior], **NETWORKS[network]),
        models.decoder(LATENT, shape, OBSERVATIONS[observation], **NETWORKS[network]),
    ).eval()


@pytest.mark.parametrize(("prior", "posterior", "observation", "network", "shape"), TABLE)
def test_every_model(prior: str, posterior: str, observation: str, network: str, shape: tuple[int, int, int]) -> None:
    model = build(prior, posterior, observation, network, shape)
    assert (model.code_shape, model.image_shape) == ((LATENT,), shape)
    check_shapes(model, torch.rand(3, 4, *shape))
    check_one_image(model)
    check_samples(model, prior, observation)
    check_every_parameter_learns(model, torch.rand(8, *shape))
    check_extremes(model)


def check_shapes(model: models.LatentVariableModel, x: Tensor) -> None:
    """Two batch axes everywhere, and the same numbers as with one."""
    q = model.posterior(x)
    assert (q.batch_shape, q.event_shape) == ((3, 4), (LATENT,))
    z = q.sample((2,))
    likelihood = model.observation(z)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((2, 3, 4), model.image_shape)
    assert likelihood.mean.shape == likelihood.sample().shape == (2, 3, 4, *model.image_shape)
    joint = model.log_joint(x, z)
    assert joint.shape == q.log_prob(z).shape == (2, 3, 4)
    flat_x, flat_z = x.flatten(0, 1), z.flatten(1, 2)
    close(model.log_joint(flat_x, flat_z), joint.flatten(1))
    close(model.posterior(flat_x).log_prob(flat_z), q.log_prob(z).flatten(1))
    for term in (*model.distortion_and_rate(x, draws=2), *model.measure(x, 3).values(), model.log_likelihood(x, 3)):
        assert term.shape == (3, 4) and term.isfinite().all()
    close(model.log_joint(x, z[:, :1, :1]), model.log_joint(x, z[:, :1, :1].expand_as(z)))


def check_one_image(model: models.LatentVariableModel) -> None:
    x = torch.rand(model.image_shape)
    assert model.posterior(x).batch_shape == ()
    assert model.log_joint(x, model.sample_codes(5)).shape == (5,)
    assert model.log_likelihood(x, 2).shape == ()
    assert model.log_likelihood(x[None], 2).shape == (1,)


def check_samples(model: models.LatentVariableModel, prior: str, observation: str) -> None:
    codes = model.sample_codes(6)
    assert codes.shape == (6, LATENT) and codes.dtype == torch.float32
    if prior not in REAL:
        assert ((codes == 0) | (codes == 1)).all()
    if prior == "categorical":
        assert (codes.sum(-1) == 1).all()
    images, decoded = model.sample(6), model.posterior_samples(torch.rand(2, *model.image_shape), draws=5)
    assert images.shape == (6, *model.image_shape) and decoded.shape == (5, 2, *model.image_shape)
    assert not images.requires_grad and not decoded.requires_grad
    drawn = model.observation(codes).sample()
    if observation != "Gaussian":
        assert all(pixels.min() >= 0 and pixels.max() <= 1 for pixels in (images, decoded, drawn))
    if observation == "Bernoulli":
        assert ((drawn == 0) | (drawn == 1)).all()


def check_every_parameter_learns(model: models.LatentVariableModel, x: Tensor) -> None:
    """By path derivatives where they exist, and otherwise with the reward as a constant factor of log q."""
    q = model.posterior(x)
    z = q.rsample((3,)) if q.has_rsample else q.sample((3,))
    reward = model.log_joint(x, z) - q.log_prob(z)
    surrogate = reward if q.has_rsample else reward + reward.detach() * q.log_prob(z)
    surrogate.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    model.zero_grad()


def check_extremes(model: models.LatentVariableModel) -> None:
    """Values and gradients are finite, whatever a network, a parameter or a data set comes up with."""
    real = model.prior().support is not td.constraints.one_hot and not isinstance(model.prior, models.BitsPrior)
    codes = 1e4 * torch.randn(5, LATENT) if real else torch.cat([torch.eye(LATENT), model.sample_codes(1)])
    corners = torch.stack([torch.zeros(model.image_shape), torch.ones(model.image_shape)])
    images = torch.cat([corners, torch.rand(2, *model.image_shape)])
    if isinstance(model.observation.head, nn.Module):
        images = torch.cat([images, 1e4 * images])
    numbers_of_codes, numbers_of_images = numbers(model.posterior, images[0]), numbers(model.observation, codes[0])
    for extreme in extremes(numbers_of_codes):
        q = model.posterior.head(extreme)
        assert_finite(extreme, q.log_prob(codes), q.log_prob(q.sample()), exact_rate(q, model.prior()))
    for extreme in extremes(numbers_of_images):
        likelihood = model.observation.head(extreme)
        assert_finite(extreme, likelihood.log_prob(images), likelihood.mean)
    q = model.posterior.head(numbers_of_codes)
    for parameter in [*model.prior.parameters(), *getattr(model.observation.head, "parameters", list)()]:
        for extreme in extremes(parameter):
            parameter.data = extreme.detach()
            likelihood = model.observation.head(numbers_of_images)
            assert_finite(
                parameter, model.prior().log_prob(codes), likelihood.log_prob(images), exact_rate(q, model.prior())
            )


def numbers(conditional: models.Conditional, given: Tensor) -> Tensor:
    """What the network gives, before a distribution is made of it."""
    with torch.no_grad():
        return conditional.network(given[None])[0]


def extremes(like: Tensor) -> list[Tensor]:
    """Leaves of one shape: nothing, next to nothing, and huge numbers of one sign, the other, and both."""
    both = torch.ones(like.numel())
    both[::2] = -1
    scales = [0.0, 1e-8, 1e3, -1e3, 1e8, -1e8]
    rows = [torch.full_like(both, scale) for scale in scales] + [1e3 * both, -1e3 * both, 1e8 * both]
    return [row.reshape(like.shape).requires_grad_() for row in rows]


def assert_finite(leaf: Tensor, *values: Tensor | None) -> None:
    for value in values:
        if value is None:
            continue
        assert value.isfinite().all()
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True, allow_unused=True)
            assert gradient is None or gradient.isfinite().all()


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("prior", "posterior"), SENSELESS)
def test_priors_and_posteriors_over_different_codes_are_refused(prior: str, posterior: str) -> None:
    kinds = {"Gaussian": "real numbers", "mixture": "real numbers", "categorical": "one-hot vectors", "bits": "bits"}
    sentence = f"^The posterior is over {kinds[posterior]} and the prior over {kinds[prior]}, so that"
    with pytest.raises(ValueError, match=sentence) as refusal:
        build(prior, posterior, "Bernoulli")
    one_sentence(refusal)


class Returns(nn.Module):
    """A part that returns the same whatever it is given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *inputs: Tensor) -> Any:
        return self.answer


def fair(*shape: int) -> td.Distribution:
    return td.Independent(td.Bernoulli(logits=torch.zeros(shape)), 1)


def model_of(**parts: nn.Module) -> models.LatentVariableModel:
    """Four bits and images of (1, 5, 3), with some parts exchanged."""
    usual = {
        "prior": models.BitsPrior(4),
        "posterior": models.encoder((1, 5, 3), 4, models.Bernoulli()),
        "observation": models.decoder(4, (1, 5, 3), models.Bernoulli()),
    }
    return models.LatentVariableModel(**(usual | parts))


REFUSED = {
    "another number of latents": (
        lambda: model_of(posterior=models.encoder((1, 5, 3), 6, models.Bernoulli())),
        r"The posterior is over codes of shape \(6,\) and the prior over codes of shape \(4,\)",
    ),
    "a decoder of longer codes": (
        lambda: model_of(observation=models.decoder(5, (1, 5, 3), models.Bernoulli())),
        r"The observation model was given codes of shape \(2, 3, 4\) and failed: .* conditioned on \(5,\)",
    ),
    "an encoder of other images": (
        lambda: model_of(posterior=models.encoder((1, 3, 5), 4, models.Bernoulli())),
        r"The posterior was given images of shape \(3, 1, 5, 3\) and failed",
    ),
    "a network as decoder": (lambda: model_of(observation=nn.Linear(4, 15)), "The observation model returned Tensor"),
    "a network that does not fit": (lambda: model_of(observation=nn.Linear(5, 15)), "mat1 and mat2"),
    "a posterior that forgets its batch": (
        lambda: model_of(posterior=Returns(fair(4))),
        r"The posterior .* batch shape \(\) where \(3,\) belongs",
    ),
    "a posterior of separate bits": (
        lambda: model_of(posterior=Returns(td.Bernoulli(logits=torch.zeros(3, 4)))),
        r"The posterior .* batch shape \(3, 4\) where \(3,\) belongs; .*td.Independent",
    ),
    "a prior with a batch": (lambda: model_of(prior=Returns(fair(2, 4))), r"The prior was given nothing and returned"),
    "a prior without entries": (lambda: models.GaussianPrior(0), "The prior has latent=0"),
    "a mixture prior of nothing": (lambda: models.MixturePrior(2, 0), "The prior has components=0"),
    "a mixture of nothing": (lambda: models.Mixture(0), "A mixture of 0 components"),
    "grey codes": (
        lambda: models.encoder((1, 5, 3), 4, models.ContinuousBernoulli()),
        r"ContinuousBernoulli\(\) is a distribution of images, not of codes",
    ),
    "categorical images": (
        lambda: models.decoder(4, (1, 5, 3), models.Categorical()),
        r"Categorical\(\) is a distribution of codes, not of images",
    ),
    "images from a mixture": (
        lambda: models.decoder(4, (1, 5, 3), models.Mixture(2)),
        r"Mixture\(components=2\) is a distribution of codes, not of images",
    ),
    "images without channels": (lambda: models.encoder((28, 28), 4, models.Gaussian()), r"image_shape=\(28, 28\)"),
    "a layer without units": (lambda: models.decoder(4, (1, 5, 3), models.Gaussian(), hidden=(8, 0)), "hidden="),
    "dropout of nothing": (
        lambda: models.encoder((1, 5, 3), 4, models.Gaussian(), hidden=(), dropout=0.5),
        r"dropout=0.5 with hidden=\(\)",
    ),
    "dropout of everything": (lambda: models.encoder((1, 5, 3), 4, models.Gaussian(), dropout=1.0), "dropout=1.0"),
    "images of another size": (
        lambda: models.encoder((1, 5, 3), 4, models.Gaussian())(torch.rand(2, 1, 3, 5)),
        r"The inputs have shape \(2, 1, 3, 5\), but this distribution is conditioned on \(1, 5, 3\)",
    ),
    "no draw": (lambda: model_of().log_likelihood(torch.rand(2, 1, 5, 3), 0), "draws=0"),
    "no image": (lambda: model_of().log_likelihood(torch.rand(0, 1, 5, 3), 1), "0 images"),
    "no chunk": (lambda: model_of().log_likelihood(torch.rand(2, 1, 5, 3), 1, chunk=0), "chunk=0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_model_is_refused_with_a_sentence(what: str) -> None:
    attempt, sentence = REFUSED[what]
    with pytest.raises(ValueError, match=sentence) as refusal:
        attempt()
    one_sentence(refusal)


def one_sentence(refusal: pytest.ExceptionInfo[Exception]) -> None:
    text = str(refusal.value)
    assert "\n" not in text and len(text) < 300


@pytest.mark.parametrize("family", [models.Gaussian, "gaussian", None])
def test_a_family_is_an_object(family: Any) -> None:
    with pytest.raises(TypeError, match=r"give an object such as Gaussian\(\)"):
        models.encoder((1, 5, 3), 4, family)
    with pytest.raises(TypeError, match=r"give an object such as Gaussian\(\)"):
        models.decoder(4, (1, 5, 3), family)


@pytest.mark.parametrize("learned", [True, False])
def test_priors_favour_no_code_at_first_and_learn_only_if_told(learned: bool) -> None:
    category = models.CategoricalPrior(4, learned=learned)
    bits = models.BitsPrior(3, learned=learned)
    mixture = models.MixturePrior(2, 5, learned=learned)
    torch.testing.assert_close(category().mean, torch.full((4,), 0.25))
    torch.testing.assert_close(bits().mean, torch.full((3,), 0.5))
    torch.testing.assert_close(mixture().mixture_distribution.probs, torch.full((5,), 0.2))
    torch.testing.assert_close(mixture().component_distribution.variance, torch.ones(5, 2))
    assert len(mixture.means.unique()) == 10
    for prior in (category, bits, mixture):
        assert [parameter.requires_grad for parameter in prior.parameters()] == [learned] * len([*prior.parameters()])
    standard = models.GaussianPrior(3)
    assert not [*standard.parameters()]
    torch.testing.assert_close(standard().mean, torch.zeros(3))
    torch.testing.assert_close(standard().variance, torch.ones(3))


def test_log_variance_is_that_of_the_code_where_it_is_moderate_and_bounded_elsewhere() -> None:
    log_var = torch.tensor([-1e9, -40.0, -2.0, -0.1, 0.0, 0.1, 2.0, 40.0, 1e9])
    found = models.Gaussian().codes(torch.cat([torch.zeros(9), log_var])).variance.log()
    torch.testing.assert_close(found[2:7], log_var[2:7], rtol=6e-3, atol=1e-6)
    assert (found.diff() > 0).all() and found.abs().max() <= 20.001


def test_a_mixture_family_puts_its_numbers_in_the_order_logits_means_log_variances() -> None:
    logits, means, log_vars = torch.tensor([0.0, 1.0]), torch.randn(2, 3), torch.zeros(2, 3)
    found = models.Mixture(2).codes(torch.cat([logits, means.flatten(), log_vars.flatten()]))
    torch.testing.assert_close(found.mixture_distribution.probs, logits.softmax(0))
    torch.testing.assert_close(found.component_distribution.mean, means)
    torch.testing.assert_close(found.component_distribution.variance, torch.ones(2, 3))
