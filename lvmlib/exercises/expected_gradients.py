"""What is written down of an estimator's gradients: their exact mean, and by how much their variance is too large.

Whoever questions an estimator runs it under every draw that can occur and hands over what it gave, with the draws'
probabilities.  An excess of variance is told in multiples of what the problem itself sets, and is 0 below a bound: many
estimators are right, and all of them then leave the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame, kind_of
from lvmlib.exercises.tapes import moments
from lvmlib.probe import Ask, is_plain

IN_Q = "gradient in q's parameters, averaged over all draws,"
IN_JOINT = "gradient in log_joint's parameters, averaged over all draws,"

OFFSET = -300.0
"""Added to the rewards where a variance is looked at: beside it an estimator's own small terms do not matter."""
ROUNDING = {"rtol": 1e-3, "atol": 2e-3}
"""Tolerances at such rewards, for sums that were kept in float32."""

SLACK = 1.15
"""The bound for a variance that may reach that of independent draws."""
LITTLE = 0.02
"""The bound for a variance that must be lower: by a baseline, or because a path takes the score function's place."""


class Moments(NamedTuple):
    """Exact mean and variance of one quantity, shape (N,) each."""

    mean: Tensor
    variance: Tensor


def weigh(probabilities: Sequence[Tensor], answers: Sequence[Mapping[str, Tensor]]) -> dict[str, Moments]:
    """Mean and variance of all that was answered, by quantity, from the answers under each draw."""
    together = {name: torch.stack([answer[name].flatten() for answer in answers]) for name in answers[0]}
    return {name: Moments(*moments(torch.stack(list(probabilities)), values)) for name, values in together.items()}


def record_means(
    ask: Ask, question: str, found: Mapping[str, Moments], rtol: float | None = None, atol: float | None = None
) -> None:
    """Write down the mean of each quantity, in float32: a student's own sums are not more precise."""
    for name, moment in found.items():
        ask.record(question, name, moment.mean.float(), rtol, atol)


def record_excess(
    ask: Ask, question: str, found: Mapping[str, Moments], units: Mapping[str, Tensor], at_most: Mapping[str, float]
) -> None:
    """Write down by how much the variance of gradients exceeds its bound, 0 where it does not.

    Args:
        units: by quantity, the variance that counts as 1.
        at_most: by quantity, the bound in these units.
    """
    for name, bound in at_most.items():
        excess = found[name].variance.sum() / units[name] - bound
        quantity = f"statistic: excess variance of the {name.partition(',')[0]}"
        ask.record(question, quantity, excess.clamp(min=0), rtol=1e-3, atol=1e-6)


def gradients_of(
    ask: Ask, question: str, value: Any, parameters: Mapping[str, Tensor], name: str = ""
) -> dict[str, Tensor] | None:
    """Flat gradients of a returned number by its parameters, zeros where none arrives; None where it is faulty.

    The graph is kept, for another number may share it.

    Args:
        value: what was returned.
        name: what the signature calls it, where it returns several.
    """
    fault = _not_one_number(value, f" as {name}" if name else "")
    if fault:
        blame(ask, question, fault)
    if question in ask.answers.faults:
        return None
    found = ask.attempt(question, _differentiate, value, list(parameters.values()), doing="differentiated")
    return None if found is None else dict(zip(parameters, found, strict=True))


def alike(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two answers are the same to the last digit; NaN is like NaN."""
    return all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in other)


def rows(table: Tensor, parameter: Tensor) -> Tensor:
    """The gradient of every entry of a table, shape (*table, parameters), float64."""
    gradients = [_differentiate(entry, [parameter])[0] for entry in table.flatten()]
    return torch.stack(gradients).double().reshape(*table.shape, -1)


def _differentiate(value: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(parameter).flatten() for parameter in parameters]
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return [gradient.flatten() for gradient in found]


def _not_one_number(value: object, which: str) -> str | None:
    if type(value) is not Tensor:
        return f"returned {kind_of(value)}{which}; its signature promises a tensor"
    if not is_plain(value) or not value.is_floating_point():
        return f"returned a tensor of {value.dtype}{which}; an ordinary one of floats is wanted"
    if value.shape:
        return f"returned a tensor of shape {tuple(value.shape)}{which}; one number is wanted, of shape ()"
    return None
