"""Tests of standard normal numbers whose false alarms are bounded exactly, for every sample size.

Sources: Chernoff's bounds of a normal mean and of χ² (Boucheron, Lugosi & Massart, *Concentration Inequalities*, 2013,
section 2.4); the method of mixtures for self-normalised sums (de la Peña, Klass & Lai, *Self-normalized processes*,
2004), of which the likelihood ratio is the simplest case.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FALSE_ALARM = 5e-9
"""Of one test; a submission that meets fewer than 200 of them is refused wrongly with a probability below 1e-6."""

EFFECT = 0.1
"""Variance of the mixture over coefficients in `is_unpredictable`: where its power lies."""


def has_mean_zero(values: Tensor, level: float = FALSE_ALARM) -> bool:
    """Whether the mean of independent N(0, 1) numbers is as near to 0 as it should be."""
    return values.double().mean().square().item() * len(values) <= 2 * math.log(2 / level)


def has_variance_one(total: float, count: int, level: float = FALSE_ALARM) -> bool:
    """Whether a sum of squares can be χ² with `count` degrees of freedom."""
    ratio = total / count
    return 0 < ratio < math.inf and count / 2 * (ratio - 1 - math.log(ratio)) <= math.log(2 / level)


def is_likelier(ratios: Tensor, level: float = FALSE_ALARM) -> bool:
    """Whether other laws, taken together, explain the data so much better that the right one is out of question.

    Args:
        ratios: the logarithm of the likelihood under each of the others, less that under the right one.
        level: the greatest probability of a false alarm; a mean of likelihood ratios has expectation 1.
    """
    return bool(ratios.logsumexp(0) - math.log(len(ratios)) >= math.log(1 / level))


def is_unpredictable(values: Tensor, known: Tensor, level: float = FALSE_ALARM) -> bool:
    """Whether numbers are N(0, 1) whatever was known before each of them.

    Args:
        values: in the order of their time, shape (n,).
        known: what was known before each, shape (n, k); it may depend on all earlier values.
        level: the greatest probability of a false alarm.
    """
    values, known = values.double(), known.double()
    weighted, information = known.mT @ values, EFFECT * known.mT @ known
    widened = information + torch.eye(known.shape[1], dtype=torch.float64)
    gain = EFFECT * weighted @ torch.linalg.solve(widened, weighted) / 2 - torch.logdet(widened) / 2
    return bool(gain <= math.log(1 / level))


def is_uncorrelated(one: Tensor, other: Tensor, level: float = FALSE_ALARM) -> bool:
    """Whether independent N(0, 1) numbers keep no company with others that are independent of them."""
    length = one.double().norm()
    return bool((one.double() @ other.double()).square() <= 2 * math.log(2 / level) * length.square())


def has_normal_tails(values: Tensor, level: float = FALSE_ALARM) -> bool:
    """Whether as many of N(0, 1) numbers lie further from 0 than uniform ones of variance 1 could as should."""
    share = (values.abs() > math.sqrt(3)).double().mean().item()
    wanted = math.erfc(math.sqrt(1.5))
    return values.numel() * _divergence(share, wanted) <= math.log(2 / level)


def _divergence(share: float, wanted: float) -> float:
    """Of one coin from another, in nats."""
    pairs = ((share, wanted), (1 - share, 1 - wanted))
    return sum(one * math.log(one / other) for one, other in pairs if one)
