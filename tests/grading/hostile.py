"""Submissions of the small lab, honest and hostile, through the real sandbox."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

from lvmlib.grading.assignment import Assignment, is_locked
from lvmlib.grading.limits import LIMITS, Limits
from lvmlib.grading.matching import released_source
from lvmlib.grading.results import Cell, Result
from lvmlib.grading.task import Task, grade

SEEDS = (314159, 271828)
SOLVED = {
    "kl-divergence": (
        "def kl_divergence(mean, log_var):\n    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)"
    ),
    "reparameterize": "def reparameterize(mean, log_var, eps):\n    return mean + (0.5 * log_var).exp() * eps",
    "active-units": "def active_units(means, threshold):\n    return int((means.var(0) > threshold).sum())",
}
HONEST = {"kl-divergence": SOLVED["kl-divergence"]}
"""What every hostile submission has honestly solved: 2 points of 6."""
QUICK = replace(LIMITS, cell=2, notebook=6, probe=2, attempts=3)


def notebook(assignment: Assignment, solved: dict[str, str] | None = None, extra: tuple[str, ...] = ()) -> bytes:
    """A submission: the release with cells replaced by grade id, and further code cells at its end."""
    cells = [released(cell) for cell in assignment.cells]
    for cell in cells:
        cell["source"] = (solved or {}).get(cell["id"], cell["source"])
    cells += [{"cell_type": "code", "id": f"own-{n}", "metadata": {}, "source": code} for n, code in enumerate(extra)]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def released(cell: Cell) -> Cell:
    shown = copy.deepcopy(cell)
    shown["source"] = released_source(cell) if is_locked(cell) else cell["source"]
    return shown


def submit(
    assignment: Assignment,
    solved: dict[str, str] | None = None,
    *extra: str,
    limits: Limits = LIMITS,
    exercises: tuple[str, ...] | None = None,
) -> Result:
    """Grade a submission as a worker would."""
    every = tuple(question.exercise for question in assignment.questions)
    task = Task(
        student="mallory",
        name="00-small.ipynb",
        content=notebook(assignment, solved, extra),
        found=(),
        assignment=assignment,
        exercises=every if exercises is None else exercises,
        seeds=dict.fromkeys(every, SEEDS),
        limits=limits,
    )
    return grade(task)


def points(result: Result) -> dict[str, float]:
    """The points that it got, by exercise."""
    return {verdict.exercise: verdict.points for verdict in result.verdicts}


def raised(result: Result, exercise: str = "reparameterize") -> str:
    """What the cell of an exercise raised: the one way in which a submission's words come out."""
    start = f"The cell of {exercise} raised RuntimeError: "
    said = [note.removeprefix(start).removesuffix(".") for note in result.notes if note.startswith(start)]
    assert len(said) == 1, result
    return said[0]
