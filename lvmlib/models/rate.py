"""What a code costs, exactly where that can be had."""

from __future__ import annotations

from torch import Tensor
from torch import distributions as td

__all__ = ["exact_rate"]


def exact_rate(posterior: td.Distribution, prior: td.Distribution) -> Tensor | None:
    """KL divergence from the prior to the posterior, in nats: a sum over all values, or a closed form.

    Independent variables cost the sum of what each costs. A variable with few values is summed over: torch's own
    formulas for them go through probabilities, and are infinite where one of the prior's is rounded to 0.

    Args:
        posterior: q(z | x) of any batch shape.
        prior: p(z), of a batch shape that broadcasts with it.

    Returns:
        The shape of the posterior's batch; None where neither way is open, as for mixtures of Gaussians.
    """
    if isinstance(posterior, td.Independent) and isinstance(prior, td.Independent):
        dims = posterior.reinterpreted_batch_ndims
        each = exact_rate(posterior.base_dist, prior.base_dist)
        if each is None or dims != prior.reinterpreted_batch_ndims:
            return None
        return each.sum(tuple(range(-dims, 0)))
    if posterior.has_enumerate_support:
        values = posterior.enumerate_support(expand=False)
        log_q = posterior.log_prob(values)
        return (log_q.exp() * (log_q - prior.log_prob(values))).sum(0)
    try:
        return td.kl_divergence(posterior, prior)
    except NotImplementedError:
        return None
