"""Questioning functions that return several tensors: each is looked at by name, and gradients of each can be wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame, kind_of, several
from lvmlib.probe import Ask, is_plain, same


def tensors(ask: Ask, question: str, result: Any, names: tuple[str, ...]) -> tuple[Tensor, ...] | None:
    """The tensors of a returned tuple or list, or a fault where it holds something else."""
    parts = several(ask, question, result, names)
    if parts is None:
        return None
    for name, part in zip(names, parts, strict=True):
        if type(part) is not Tensor:
            blame(ask, question, f"returned {kind_of(part)} as {name}; a tensor is wanted")
        elif not is_plain(part) or not part.is_floating_point():
            blame(ask, question, f"returned a {name} of {part.dtype}; an ordinary dense tensor of floats is wanted")
    return None if question in ask.answers.faults else parts


def ask_tensors(
    ask: Ask,
    question: str,
    arguments: Mapping[str, Any],
    names: tuple[str, ...],
    *,
    afterwards: Callable[[], str | None] = lambda: None,
) -> tuple[Tensor, ...] | None:
    """Call the student's function twice, see that it does nothing but compute, and hand its tensors back.

    Args:
        arguments: in the order of the signature; they are passed by position, as they are.
        names: of what is returned.
        afterwards: what the calls did that they should not have done, in a clause, or None.

    Returns:
        What the first call gave, or None where something is wrong, which is then a fault of the question.
    """
    before = [value.detach().clone() if isinstance(value, Tensor) else value for value in arguments.values()]
    calls = [
        tensors(ask, question, ask.attempt(question, ask.function, *arguments.values(), value_only=True), names)
        for _ in range(2)
    ]
    for (name, now), was in zip(arguments.items(), before, strict=True):
        if isinstance(now, Tensor) and not torch.equal(now, was):
            blame(ask, question, f"changed its argument `{name}` in place; work on a new tensor")
    fault = afterwards()
    if fault:
        blame(ask, question, fault)
    first, second = calls
    if first and second and not all(map(same, first, second)):
        blame(ask, question, "gives another answer when it is called again with the same inputs")
    return None if question in ask.answers.faults else first
