"""What the test cells of a notebook call: one green line, or one sentence that helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lvmlib import exercises
from lvmlib.compare import difference, recognise
from lvmlib.exercises import Exercise, key
from lvmlib.front_end import say_right
from lvmlib.probe import Unsolved, interrogate


class CheckFailed(AssertionError):
    """An exercise is not right yet; notebooks show the sentence without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(name: str, function: Callable[..., Any]) -> None:
    """Try a function on the public questions of an exercise and print that it is right.

    Args:
        name: the exercise, in kebab case: `kl-divergence`.
        function: what the student wrote.

    Raises:
        CheckFailed: it is not right; the sentence says why.
        KeyError: no exercise has this name.
    """
    exercise = exercises.find(name)
    complaint = complain(exercise, function)
    if complaint:
        raise CheckFailed(f"✗ {exercise.function}: {complaint}")
    say_right(f"✓ {exercise.function}: {exercise.praise}{_asked(exercise)}")


def complain(exercise: Exercise, function: Callable[..., Any], known: key.Key | None = None) -> str | None:
    """The sentence a student should read about their function, or None if it passes the public check.

    Args:
        known: the exercise's key; without it the one on disk.
    """
    if not callable(function):
        return no_function(type(function).__name__)
    try:
        if exercise.law:
            return _against_law(exercise, function)
        return _against_key(known or key.read(exercise.key, exercise.name), exercise, function)
    except Unsolved as missing:
        return not_written(str(missing), getattr(function, "__name__", ""))


def no_function(kind: str) -> str:
    """What to say where the name of a function holds something else."""
    return f"this name holds {kind}, not a function; run the cell that defines it again"


def not_written(missing: str, asked: str) -> str:
    """What to say where a function is not written yet: the one that was asked, or one that it calls."""
    if missing not in ("<lambda>", asked):
        return f"needs `{missing}`, which is not written yet"
    return "not written yet; put your code where `raise NotImplementedError` stands"


def _asked(exercise: Exercise) -> str:
    if exercise.law:
        return ""
    right = key.read(exercise.key, exercise.name).right.values()
    return f" on {sum(len(answers.questions) for answers in right)} inputs"


def _against_law(exercise: Exercise, function: Callable[..., Any]) -> str | None:
    assert exercise.law
    for seed in key.PUBLIC_SEEDS:
        clause = exercise.law(interrogate(exercise.probe, function, seed), seed)
        if clause:
            return clause
    return None


def _against_key(known: key.Key, exercise: Exercise, function: Callable[..., Any]) -> str | None:
    clauses, explanations = [], []
    for seed, right in known.right.items():
        observed = interrogate(exercise.probe, function, seed)
        clause = difference(observed, right)
        if clause:
            clauses.append(clause)
            explanations.append(recognise(observed, right, known.mistakes[seed]))
    if not clauses:
        return None
    shared = [sentence for sentence in explanations[0] if all(sentence in others for others in explanations)]
    return (shared or clauses)[0]
