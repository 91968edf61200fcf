"""What differs between a function's answers and the right ones, and which known mistake explains it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lvmlib.probe import Answers

Entry = tuple[str, str]

RECOGNISABLE = 1e-4, 2e-5
"""Relative and absolute tolerance within which a mistake is known again."""


def difference(observed: Answers, expected: Answers) -> str | None:
    """The first thing that is wrong, as one clause, or None.

    In this order over all questions: it runs and keeps its promises, shape, dtype, finite, value, gradient, statistics.
    """
    for question in expected.questions:
        if question in observed.faults:
            return f"{observed.faults[question]} ({question})"
    entries = sorted(expected.tensors, key=lambda entry: _rank(entry[1]))
    # Before what is missing, since nothing more may have been asked after an answer of a wrong shape.
    for entry in entries:
        if entry in observed.tensors and (clause := _shape(observed.tensors[entry], expected.tensors[entry])):
            return f"{entry[1]} {clause} ({entry[0]})"
    missing = [entry for entry in expected.tensors if entry not in observed.tensors]
    if missing:
        return f"gave no {missing[0][1]} ({missing[0][0]})"
    for complaint in (_dtype, _finite):
        for entry in entries:
            clause = complaint(observed.tensors[entry], expected.tensors[entry])
            if clause:
                return f"{entry[1]} {clause} ({entry[0]})"
    for entry in entries:
        clause = _value(observed.tensors[entry], expected.tensors[entry], *expected.tolerances[entry])
        if clause and entry[1].startswith("gradient") and not observed.tensors[entry].any():
            clause += ": the graph is cut, by detach, no_grad, numpy or a new tensor"
        if clause:
            return f"{entry[1]} {clause} ({entry[0]})"
    return None


def recognise(observed: Answers, expected: Answers, mistakes: Mapping[str, Answers]) -> list[str]:
    """The sentences of the known mistakes that give these answers."""
    return [sentence for sentence, wrong in mistakes.items() if _explains(wrong, observed, expected)]


def _explains(wrong: Answers, observed: Answers, expected: Answers) -> bool:
    entries = decisive(wrong, expected)
    # What raised or broke its promise says so itself, and better than a guess; after it, more may not have been asked.
    told = all(
        entry[0] in wrong.faults or entry not in wrong.tensors
        for entry in entries
        if not _agrees(wrong, expected, entry, expected)
    )
    return not told and all(_agrees(observed, wrong, entry, expected, loose=True) for entry in entries)


def decisive(wrong: Answers, expected: Answers) -> set[Entry]:
    """Where a mistake is recognised: everyday questions, or all of them where it shows only at the edges."""
    entries = _entries(expected) | _entries(wrong)
    telling = {entry for entry in entries if not _agrees(wrong, expected, entry, expected)}
    ordinary = {entry for entry in entries if entry[0] not in expected.edges}
    if not telling:
        return set()
    return ordinary if telling & ordinary else entries


def _entries(answers: Answers) -> set[Entry]:
    return set(answers.tensors) | {(question, "fault") for question in answers.faults}


def _agrees(one: Answers, other: Answers, entry: Entry, expected: Answers, *, loose: bool = False) -> bool:
    question = entry[0]
    if question in one.faults or question in other.faults:
        return kind(one.faults.get(question)) == kind(other.faults.get(question))
    if entry not in one.tensors or entry not in other.tensors:
        return entry not in one.tensors and entry not in other.tensors
    first, second = one.tensors[entry], other.tensors[entry]
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    rtol, atol = expected.tolerances.get(entry, RECOGNISABLE)
    if loose:
        rtol, atol = max(rtol, RECOGNISABLE[0]), max(atol, RECOGNISABLE[1])
    return bool(_close(first, second, rtol, atol).all())


def kind(fault: str | None) -> str | None:
    """Two faults are of one kind when they begin alike: `raised RuntimeError`, `returned a list`."""
    return fault and fault.partition(":")[0].partition(" at `")[0].partition(";")[0]


def _rank(quantity: str) -> int:
    return 2 if quantity.startswith("statistic") else 1 if quantity.startswith("gradient") else 0


def _shape(observed: Tensor, expected: Tensor) -> str | None:
    if observed.shape == expected.shape:
        return None
    return f"has shape {tuple(observed.shape)}; it should be {tuple(expected.shape)}"


def _dtype(observed: Tensor, expected: Tensor) -> str | None:
    if observed.dtype == expected.dtype:
        return None
    return f"is {_name(observed.dtype)}; it should be {_name(expected.dtype)}, as the inputs are"


def _finite(observed: Tensor, expected: Tensor) -> str | None:
    if not expected.isfinite().all() or observed.isfinite().all():
        return None
    bad = observed[~observed.isfinite()][0].item()
    return f"is {bad}; it should be finite"


def _value(observed: Tensor, expected: Tensor, rtol: float, atol: float) -> str | None:
    close = _close(observed, expected, rtol, atol)
    if close.all():
        return None
    got, want = observed[~close][0].item(), expected[~close][0].item()
    if not observed.any() and expected.any():
        return f"is zero; it should be {want:.6g}"
    digits = next(digits for digits in (6, 9, 12, 17) if f"{got:.{digits}g}" != f"{want:.{digits}g}")
    return f"is {got:.{digits}g}; it should be {want:.{digits}g}"


def _close(observed: Tensor, expected: Tensor, rtol: float, atol: float) -> Tensor:
    """Elementwise `|observed − expected| <= atol + rtol |expected|`; NaN agrees with NaN, an infinity with itself."""
    if observed.dtype == torch.bool:
        return observed == expected
    return torch.isclose(observed.double(), expected.double(), rtol=rtol, atol=atol, equal_nan=True)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
