"""A joint distribution p(x, z) with an approximate posterior q(z | x)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.distributions import constraints

from lvmlib.models.rate import exact_rate
from lvmlib.random_state import preserved_random_state

__all__ = ["LatentVariableModel"]

CHUNK = 1024
"""Images that are decoded at a time where their number grows with the draws."""

_KINDS = {
    constraints.real: "real numbers",
    constraints.one_hot: "one-hot vectors",
    constraints.boolean: "bits",
}


class LatentVariableModel(nn.Module):
    """p(z), p(x | z) and q(z | x), and what follows from the three.

    `model.prior()`, `model.posterior(x)` and `model.observation(z)` are distributions of torch. Any module that returns
    one will do as a part.

    Args:
        prior: () → batch shape (), event shape (latent,).
        posterior: Images (*batch, *image) → batch shape (*batch), event shape (latent,).
        observation: Codes (…, latent) with any axes in front → the same batch shape, event shape (*image).

    Attributes:
        code_shape: The prior's event shape.
        image_shape: The observation model's event shape, of which the images in this documentation are.

    Raises:
        ValueError: The three do not fit together: a part cannot take what another one draws, or the posterior is over
            codes of another shape or another kind than the prior.
    """

    def __init__(self, prior: nn.Module, posterior: nn.Module, observation: nn.Module) -> None:
        super().__init__()
        self.prior = prior
        self.posterior = posterior
        self.observation = observation
        with preserved_random_state(), _evaluating(self), torch.no_grad():
            self.code_shape, self.image_shape = _fitting_shapes(prior, posterior, observation)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) = log p(z) + log p(x | z), in nats.

        Args:
            x: Images (*batch, *image).
            z: Codes (…, *batch, latent), with any sample axes in front. A batch axis of length 1 is decoded once and
                paired with every image.

        Returns:
            Shape (…, *batch).
        """
        return self.prior().log_prob(z) + self.observation(z).log_prob(x)

    @torch.no_grad()
    def sample_codes(self, count: int) -> Tensor:
        """Codes from the prior, shape (count, latent)."""
        return self.prior().sample((count,))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Images from the prior, shape (count, *image): for each of `count` codes the mean of p(x | z)."""
        return self.observation(self.sample_codes(count)).mean

    @torch.no_grad()
    def posterior_samples(self, x: Tensor, draws: int) -> Tensor:
        """Reconstructions: for several codes of each image the mean of p(x | z).

        Args:
            x: Images (*batch, *image), on any device.
            draws: Codes an image, drawn from q(z | x).

        Returns:
            Shape (draws, *batch, *image).
        """
        return self.observation(self.posterior(x.to(self.device)).sample((draws,))).mean

    def distortion_and_rate(self, x: Tensor, draws: int = 1) -> tuple[Tensor, Tensor]:
        """The two terms of −ELBO = distortion + rate, in nats.

        Gradients pass through the codes if `posterior(x).has_rsample`. Otherwise the gradient in the posterior's
        parameters is not the ELBO's: it lacks that they change which codes are drawn.

        Args:
            x: Images (*batch, *image), on any device.
            draws: Codes an image.

        Returns:
            E_q[−log p(x | z)], estimated from the draws, and KL(q(z | x) ‖ p(z)), exact unless a mixture of Gaussians
            is involved, and otherwise estimated from the same draws; each of shape (*batch).
        """
        x = x.to(self.device)
        q, prior = self.posterior(x), self.prior()
        z = q.rsample((draws,)) if q.has_rsample else q.sample((draws,))
        distortion = -self.observation(z).log_prob(x).mean(0)
        rate = exact_rate(q, prior)
        return distortion, (q.log_prob(z) - prior.log_prob(z)).mean(0) if rate is None else rate

    def log_likelihood(self, x: Tensor, draws: int, *, chunk: int = CHUNK) -> Tensor:
        """Importance-weighted lower bound on log p(x), in nats; on average it rises with the number of draws.

        Burda, Grosse & Salakhutdinov, *Importance Weighted Autoencoders*, 2016, equation 8.

        Args:
            x: Images (*batch, *image), on any device.
            draws: Codes an image, drawn from q(z | x).
            chunk: How many images are decoded at a time; memory grows with it.

        Returns:
            Shape (*batch), without gradient.

        Raises:
            ValueError: There is no image, no draw, or no image in a chunk.
        """
        return self.measure(x, draws, chunk=chunk)["log-likelihood"]

    @torch.no_grad()
    def measure(self, x: Tensor, draws: int, *, chunk: int = CHUNK) -> dict[str, Tensor]:
        """ELBO, distortion, rate and importance-weighted bound, from the same draws.

        Args:
            x: Images (*batch, *image), on any device.
            draws: Codes an image, drawn from q(z | x).
            chunk: How many images are decoded at a time; memory grows with it.

        Returns:
            `"elbo"`, `"distortion"`, `"rate"` and `"log-likelihood"` in nats, each of shape (*batch).

        Raises:
            ValueError: There is no image, no draw, or no image in a chunk.
        """
        batch = x.shape[: x.dim() - len(self.image_shape)]
        images = math.prod(batch)
        if min(images, draws, chunk) < 1:
            raise ValueError(f"{images} images with draws={draws} and chunk={chunk}: give at least 1 of each.")
        parts = x.reshape(images, *self.image_shape).split(chunk)
        measured = [self._measure(part.to(self.device), draws, max(1, chunk // len(part))) for part in parts]
        return {name: torch.cat([one[name] for one in measured]).reshape(batch) for name in measured[0]}

    def _measure(self, x: Tensor, draws: int, at_a_time: int) -> dict[str, Tensor]:
        """`measure` for one batch axis, with so many draws at a time."""
        q, prior = self.posterior(x), self.prior()
        distortion, rate = x.new_zeros(len(x)), x.new_zeros(len(x))
        log_evidence = x.new_full((len(x),), -math.inf)
        for done in range(0, draws, at_a_time):
            z = q.sample((min(at_a_time, draws - done),))
            log_likelihood = self.observation(z).log_prob(x)
            log_ratio = q.log_prob(z) - prior.log_prob(z)
            distortion -= log_likelihood.sum(0) / draws
            rate += log_ratio.sum(0) / draws
            log_evidence = torch.logaddexp(log_evidence, (log_likelihood - log_ratio).logsumexp(0))
        known = exact_rate(q, prior)
        rate = rate if known is None else known
        return {
            "elbo": -distortion - rate,
            "distortion": distortion,
            "rate": rate,
            "log-likelihood": log_evidence - math.log(draws),
        }


def _fitting_shapes(
    prior: nn.Module, posterior: nn.Module, observation: nn.Module
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of a code and of an image, once each part has taken what another one draws."""
    p = _answer("prior", prior, (), "nothing")
    likelihood = _answer("observation model", observation, (2, 3), "codes", p.sample((2, 3)))
    q = _answer("posterior", posterior, (3,), "images", likelihood.sample()[0])
    if q.event_shape != p.event_shape:
        raise ValueError(
            f"The posterior is over codes of shape {tuple(q.event_shape)} and the prior over codes of shape "
            f"{tuple(p.event_shape)}; give both the same number of latents."
        )
    if _kind(q) != _kind(p):
        raise ValueError(
            f"The posterior is over {_kind(q)} and the prior over {_kind(p)}, so that one calls impossible what the "
            "other draws; choose two over the same kind of codes."
        )
    return tuple(p.event_shape), tuple(likelihood.event_shape)


def _answer(name: str, part: nn.Module, batch: tuple[int, ...], what: str, *inputs: Tensor) -> td.Distribution:
    """The distribution that a part returns for a batch of inputs."""
    shapes = ", ".join(str(tuple(one.shape)) for one in inputs)
    given = f"{what} of shape {shapes}" if inputs else what
    try:
        answer = part(*inputs)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"The {name} was given {given} and failed: {reason}") from error
    if not isinstance(answer, td.Distribution):
        raise ValueError(f"The {name} returned {type(answer).__name__}; let it return a torch.distributions object.")
    if answer.batch_shape != batch:
        raise ValueError(
            f"The {name} was given {given} and returned a distribution with batch shape {tuple(answer.batch_shape)} "
            f"where {batch} belongs; let its event shape (td.Independent) hold all axes of one outcome and no other."
        )
    return answer


def _kind(distribution: td.Distribution) -> str:
    """What a distribution draws, in words."""
    support: Any = distribution.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return _KINDS.get(support, f"values in {support}")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode, and afterwards in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
