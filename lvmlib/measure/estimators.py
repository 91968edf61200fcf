"""How good an estimator of a gradient is: its bias and variance, exactly, by trying everything that it can draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from lvmlib.exercises.tapes import OnTape, Tape, bits, categorical, log_table, moments, one_hot, tapes

LIMIT = 100_000
"""Sequences of outcomes that are tried at most."""

LogJoint = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class GradientMoments:
    """What :func:`gradient_moments` found.

    Attributes:
        mean: of the estimated gradient in q's logits, of their shape.
        variance: coordinate by coordinate, of their shape too.
        exact: the gradient that is estimated, of their shape.
        draws: how many outcomes one estimate takes.
    """

    mean: Tensor
    variance: Tensor
    exact: Tensor
    draws: int

    @property
    def bias(self) -> float:
        """Length of mean − exact in units of the length of exact; 0 for an unbiased estimator, up to rounding."""
        return float((self.mean - self.exact).norm() / self.exact.norm())

    @property
    def total_variance(self) -> float:
        """The variances of all coordinates together: the mean squared distance of an estimate from its mean."""
        return float(self.variance.sum())

    def __str__(self) -> str:
        number = f"{self.draws} {'draw' if self.draws == 1 else 'draws'}"
        return f"bias {100 * self.bias:.1f} %, variance {self.total_variance:.4g} with {number}"


def gradient_moments(
    surrogate: Callable[[Any, LogJoint], Tensor], q: td.Distribution, log_joint: LogJoint
) -> GradientMoments:
    """Exact mean and variance of a surrogate's gradient in the logits of q, beside the gradient of the ELBO.

    The surrogate runs once for every sequence of outcomes that it can draw, K ** draws of them, and each result counts
    with its probability under q; how many outcomes it draws is found out.  It should draw from q alone, and keep
    nothing in mind.  Lab 04 looks at its estimators with this.

    Args:
        surrogate: called with q and log_joint, it returns a number whose gradient estimates that of the ELBO,
            E_q[log_joint(z) − log q(z)]: `lambda q, log_joint: score_function_surrogate(q, log_joint, samples=3)`.  It
            gets q with the same class and methods, but `sample` hands out one outcome after the other.
        q: a `Categorical`, a `OneHotCategorical` or an `Independent(Bernoulli(logits=…), 1)`, with batch axes or
            without; the ELBOs of a batch are averaged, and so should the surrogate do.
        log_joint: log p(x, z) in nats, of the codes' batch shape.

    Raises:
        TypeError: q is another distribution, or the surrogate does not return a tensor.
        ValueError: the surrogate draws so often that more than 100,000 sequences would have to be tried, or not equally
            often in each of them.
    """
    family, logits = _family(q)
    logits = logits.detach().clone().requires_grad_()
    exact, probabilities = _exact(family(logits, Tape([0])), log_joint, logits)
    outcomes = probabilities.shape[-1]
    first = Tape([0])
    surrogate(family(logits, first), log_joint)
    if outcomes**first.drawn > LIMIT:
        raise ValueError(
            f"One estimate draws {first.drawn} times one of {outcomes} outcomes, which makes {outcomes**first.drawn:,} "
            f"sequences; make the problem smaller, for at most {LIMIT:,} are tried."
        )
    chances, gradients = [], []
    for tape in tapes(outcomes, first.drawn):
        gradients.append(_gradient(surrogate(family(logits, tape), log_joint), logits).flatten())
        chances.append(tape.probability(probabilities))
        if tape.drawn != first.drawn:
            raise ValueError(
                f"The surrogate drew {first.drawn} outcomes in one call and {tape.drawn} in another; "
                "give it a fixed number of draws."
            )
    mean, variance = moments(torch.stack(chances), torch.stack(gradients))
    return GradientMoments(mean.reshape(logits.shape), variance.reshape(logits.shape), exact, first.drawn)


def _family(q: td.Distribution) -> tuple[Callable[[Tensor, Tape], OnTape], Tensor]:
    """What puts a distribution like q on a tape, and q's logits."""
    if isinstance(q, td.Categorical):
        return categorical, q.logits
    if isinstance(q, td.OneHotCategorical):
        return one_hot, q.logits
    if isinstance(q, td.Independent) and isinstance(q.base_dist, td.Bernoulli) and len(q.event_shape) == 1:
        return bits, q.base_dist.logits
    raise TypeError(f"q is {q}; pass a Categorical, a OneHotCategorical or an Independent(Bernoulli(logits=…), 1).")


def _exact(q: OnTape, log_joint: LogJoint, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of the ELBO, and the probabilities of all outcomes, shape (rows, outcomes)."""
    log_q = log_table(q)
    points = q.points.reshape(len(q.points), *[1] * len(q.batch_shape), *q.event_shape)
    rewards = log_joint(points.expand(-1, *q.batch_shape, *q.event_shape)).movedim(0, -1).detach()
    elbo = (log_q.exp() * (rewards - log_q)).sum(-1).mean()
    return _gradient(elbo, logits), log_q.detach().exp().reshape(-1, len(q.points))


def _gradient(value: Tensor, logits: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"The surrogate returned {value!r}; it should return a tensor, whose gradient is looked at.")
    if not value.requires_grad:
        return torch.zeros_like(logits)
    (gradient,) = torch.autograd.grad(value, logits, allow_unused=True, materialize_grads=True)
    return gradient
