"""The key of a lab: what its probes give on the public seeds for right answers and for known mistakes, as numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lvmlib.compare import decisive, kind
from lvmlib.probe import Answers

PUBLIC_SEEDS = (11, 12)
RECOGNISABLE_DIGITS = 6
"""Digits kept of a mistake: enough to know it again."""


@dataclass(frozen=True)
class Key:
    """The right answers by seed, and by seed those of each known mistake under its sentence."""

    right: dict[int, Answers]
    mistakes: dict[int, dict[str, Answers]]


def read(path: Path, name: str) -> Key:
    """The key of one exercise.

    Raises:
        RuntimeError: the file is missing or does not hold the exercise.
    """
    try:
        stored = _load(path, path.stat().st_mtime_ns)[name]
    except (OSError, ValueError, KeyError):
        raise RuntimeError(
            f"The key of exercise {name!r} is missing from this installation; install lvmlib again."
        ) from None
    right = {int(seed): _decode(answers) for seed, answers in stored["right"].items()}
    mistakes = {
        int(seed): {sentence: _patched(right[int(seed)], patch) for sentence, patch in patches.items()}
        for seed, patches in stored["mistakes"].items()
    }
    return Key(right, mistakes)


def write(path: Path, keys: Mapping[str, Key]) -> None:
    """Write the keys of one lab; the same keys always give the same bytes."""
    stored = {
        name: {
            "right": {str(seed): _encode(answers) for seed, answers in key.right.items()},
            "mistakes": {
                str(seed): {sentence: _patch(key.right[seed], wrong) for sentence, wrong in mistakes.items()}
                for seed, mistakes in key.mistakes.items()
            },
        }
        for name, key in keys.items()
    }
    text = json.dumps(stored, ensure_ascii=False, indent=None, separators=(",", ":"), allow_nan=False)
    path.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


@cache
def _load(path: Path, changed: int) -> dict[str, Any]:
    """The stored keys; read again when the file has changed."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _encode(answers: Answers) -> dict[str, Any]:
    return {
        "questions": answers.questions,
        "edges": answers.edges,
        "faults": answers.faults,
        "tensors": [
            [*entry, _numbers(tensor), *answers.tolerances[entry]] for entry, tensor in answers.tensors.items()
        ],
    }


def _decode(stored: Mapping[str, Any]) -> Answers:
    answers = Answers(list(stored["questions"]), list(stored["edges"]), faults=dict(stored["faults"]))
    for question, quantity, numbers, rtol, atol in stored["tensors"]:
        answers.tensors[question, quantity] = _tensor(numbers)
        answers.tolerances[question, quantity] = (rtol, atol)
    return answers


def _patch(right: Answers, wrong: Answers) -> dict[str, Any]:
    """A mistake's answers as what differs from the right ones where the mistake is recognised."""
    entries = decisive(wrong, right)
    changed = [
        [*entry, _numbers(tensor, RECOGNISABLE_DIGITS)]
        for entry, tensor in wrong.tensors.items()
        if entry in entries and not (entry in right.tensors and _identical(tensor, right.tensors[entry]))
    ]
    gone = [list(entry) for entry in right.tensors if entry in entries and entry not in wrong.tensors]
    faults = {question: kind(fault) for question, fault in wrong.faults.items() if (question, "fault") in entries}
    return {"faults": faults, "changed": changed, "gone": gone}


def _patched(right: Answers, patch: Mapping[str, Any]) -> Answers:
    tensors = dict(right.tensors)
    tensors.update({(question, quantity): _tensor(numbers) for question, quantity, numbers in patch["changed"]})
    for question, quantity in patch["gone"]:
        del tensors[question, quantity]
    return Answers(right.questions, right.edges, tensors, dict(patch["faults"]), right.tolerances)


def _identical(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def _numbers(tensor: Tensor, digits: int | None = None) -> list[Any]:
    digits = digits or (17 if tensor.dtype == torch.float64 else 9)
    return [
        str(tensor.dtype).removeprefix("torch."),
        list(tensor.shape),
        [_number(value, digits) for value in tensor.flatten().tolist()],
    ]


def _number(value: float, digits: int) -> float | str:
    if isinstance(value, int):
        return value
    return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)


def _tensor(numbers: list[Any]) -> Tensor:
    dtype, shape, values = numbers
    return (
        torch.tensor([float(value) for value in values], dtype=torch.float64).to(getattr(torch, dtype)).reshape(shape)
    )
