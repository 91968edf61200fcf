"""From plain numbers, as a network or a parameter gives them, to distributions of torch.

None of them validates its arguments: that would read numbers back from the device at every step, and refuse the grey
pixels for which a Bernoulli's log-probability is used all the same.
"""

from __future__ import annotations

from torch import Tensor
from torch import distributions as td

from lvmlib.models.continuous_bernoulli import ContinuousBernoulli

__all__ = ["bits", "gaussian", "grey", "mixture", "one_hot"]

_LARGEST_LOG_VAR = 20.0
"""In nats, either sign: standard deviations from 0.00005 to 22,000."""


def gaussian(mean: Tensor, log_var: Tensor, dims: int = 1) -> td.Distribution:
    """A diagonal Gaussian.

    log σ² comes out of `log_var` unchanged near 0 and bent smoothly far away, so that it stays between ±20 and its
    gradient does not vanish. Otherwise one extreme number of a network makes a density of zero or infinity.

    Args:
        mean: Shape (…, event).
        log_var: A shape that broadcasts with it.
        dims: How many of the last axes are one event.
    """
    bent = log_var * (1 + (log_var / _LARGEST_LOG_VAR) ** 2).rsqrt()
    return td.Independent(td.Normal(mean, (0.5 * bent).exp(), validate_args=False), dims, validate_args=False)


def mixture(logits: Tensor, means: Tensor, log_vars: Tensor) -> td.Distribution:
    """A mixture of diagonal Gaussians.

    Args:
        logits: Of the components, shape (…, components).
        means: Shape (…, components, latent).
        log_vars: As for `gaussian`, shape (…, components, latent).
    """
    selector = td.Categorical(logits=logits, validate_args=False)
    return td.MixtureSameFamily(selector, gaussian(means, log_vars), validate_args=False)


def one_hot(logits: Tensor) -> td.Distribution:
    """A category as a one-hot vector; logits of shape (…, categories)."""
    return td.OneHotCategorical(logits=logits, validate_args=False)


def bits(logits: Tensor, dims: int = 1) -> td.Distribution:
    """Independent bits, the last `dims` axes of the logits being one event; grey values have a `log_prob` too."""
    return td.Independent(td.Bernoulli(logits=logits, validate_args=False), dims, validate_args=False)


def grey(logits: Tensor, dims: int = 1) -> td.Distribution:
    """Independent grey values in [0, 1], the last `dims` axes of the logits being one event."""
    return td.Independent(ContinuousBernoulli(logits, validate_args=False), dims, validate_args=False)
