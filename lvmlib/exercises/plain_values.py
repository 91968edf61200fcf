"""Questioning functions that return something other than one tensor: pairs, triples, lists of plain values."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy
from torch import Tensor

from lvmlib.probe import Ask


def blame(ask: Ask, question: str, fault: str) -> None:
    """Write down what is wrong with an answer that holds no numbers to compare; the first fault of a question stays."""
    ask.answers.faults.setdefault(question, fault)


def several(ask: Ask, question: str, result: Any, names: tuple[str, ...]) -> tuple[Any, ...] | None:
    """The parts of a returned tuple or list, or a fault where it has not as many as it has names."""
    promised = f"its signature promises ({', '.join(names)})"
    if question in ask.answers.faults:
        return None
    if not isinstance(result, tuple | list):
        blame(ask, question, f"returned {kind_of(result)}; {promised}")
        return None
    if len(result) != len(names):
        blame(ask, question, f"returned {len(result)} values; {promised}")
        return None
    return tuple(result)


def number(value: Any) -> float | None:
    """A real number, whether Python's, NumPy's or a tensor without axes; None for anything else."""
    try:
        if isinstance(value, Tensor | numpy.ndarray) and value.ndim == 0:
            value = value.item()
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except (RuntimeError, OverflowError):
        return None


def kind_of(value: Any) -> str:
    """What a value is, with its article: `a Tensor of shape (3,)`, `None`, `an int`."""
    if value is None:
        return "None"
    noun = type(value).__name__
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor | numpy.ndarray) else ""
    return f"{'an' if noun[:1].lower() in set('aeiou') else 'a'} {noun}{shape}"
