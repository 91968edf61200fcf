"""The checks of a lab, asked of what a notebook defines: in a fresh kernel, in miniature, as grading asks them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lvmlib.authoring.course import CourseError
from lvmlib.student.kernel import STARTING, Outcome, Piece, run
from lvmlib.student.labs import lab_of
from lvmlib.student.notebooks import (
    Cell,
    Notebook,
    NotebookError,
    beginning,
    defined,
    grade_id_of,
    is_code,
    read_notebook,
)
from lvmlib.student.outline import Exercise, Outline, Question, canonical, outline
from lvmlib.student.released import read_released

EXPERIMENT = re.compile(r"^with experiment\(", re.MULTILINE)
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
CHECK = "from lvmlib.check import check as _check_of_lvm\n_check_of_lvm({name!r}, {function})"
ALIVE = "import lvmlib.check"
LONGEST = 300
SMOKE = {"LVM_PROFILE": "smoke"}


@dataclass(frozen=True)
class Verdict:
    """What its check says of an exercise."""

    exercise: Exercise
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Report:
    """What came of checking a notebook.

    Attributes:
        lab: which it is.
        verdicts: one an exercise, in the order of the lab.
        questions: those that a person marks.
        left_out: how many experiments were not run.
        problems: what went wrong outside of checks, one sentence each.
        notes: what else is worth knowing, one sentence each.
    """

    lab: str
    verdicts: tuple[Verdict, ...]
    questions: tuple[Question, ...]
    left_out: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether nothing went wrong and every exercise is right; those for bonus points may be left."""
        return not self.problems and all(one.passed for one in self.verdicts if not one.exercise.is_bonus)


@dataclass(frozen=True)
class Plan:
    """What is run before the checks: the cells, each with its number among those with code, and what is left out."""

    cells: tuple[tuple[int, Cell], ...]
    left_out: int
    notes: tuple[str, ...]


def check(path: Path, *, experiments: bool = False, timeout: float = 60) -> Report:
    """Run a notebook in the smoke profile, then ask every exercise's function what its check asks; no file is changed.

    Args:
        experiments: whether to run the cells tagged `experiment` too.
        timeout: seconds a cell may take.

    Raises:
        NotebookError: the file cannot be read, or holds no exercise.
        CourseError: no kernel can be started, or lvmlib cannot be imported in it.
    """
    notebook = read_notebook(path)
    lab = lab_of(path, notebook)
    tasks = outline(lab, notebook, read_released(lab, path))
    if not tasks.is_in(notebook):
        raise NotebookError(f"{path.name} holds no exercise of a lab; take the notebook that was handed out.")
    plan = make_plan(notebook, tasks, experiments=experiments)
    cells, checks = _run(plan, tasks, timeout, lab)
    problems = (_problem(*cell, outcome, timeout) for cell, outcome in zip(plan.cells, cells, strict=True))
    verdicts = (_verdict(*pair, timeout) for pair in zip(tasks.exercises, checks, strict=True))
    return Report(lab, tuple(verdicts), tasks.questions, plan.left_out, tuple(filter(None, problems)), plan.notes)


def make_plan(notebook: Notebook, tasks: Outline, *, experiments: bool) -> Plan:
    """Choose the cells that define what is asked for: neither test cells, whose originals are run, nor experiments."""
    asked = {one.function for one in tasks.exercises}
    code = list(enumerate(filter(is_code, notebook["cells"]), start=1))
    trials = [] if experiments else [place for place, cell in code if is_experiment(cell) and not _defines(cell, asked)]
    needed = (pair for pair in code if pair[0] not in trials)
    cells = (pair for pair in needed if not tasks.find(pair[1]) or defined(pair[1]["source"]))
    return Plan(tuple(cells), len(trials), tuple(_notes([cell for _, cell in code], tasks)))


def is_experiment(cell: Cell) -> bool:
    """Whether a cell is an experiment, by its tag or, where that is lost, by how it begins."""
    tags = cell["metadata"].get("tags")
    return (isinstance(tags, list) and "experiment" in tags) or bool(EXPERIMENT.search(cell["source"]))


def _defines(cell: Cell, names: set[str]) -> bool:
    return not names.isdisjoint(defined(cell["source"]))


def _notes(code: list[Cell], tasks: Outline) -> Iterator[str]:
    """What is odd about the test cells."""
    tests = [(cell, one) for cell in code if (one := tasks.find(cell))]
    edited = [one.name for cell, one in tests if grade_id_of(cell) and cell["source"].strip() != one.test]
    missing = [one.name for one in tasks.exercises if one not in [test for _, test in tests]]
    if edited:
        yield f"The check of {', '.join(edited)} was edited; the original was run, as grading does."
    if missing:
        yield f"The check of {', '.join(missing)} is missing; it was run all the same."


def _run(plan: Plan, tasks: Outline, timeout: float, title: str) -> tuple[list[Outcome], list[Outcome]]:
    """What came of the cells, and of the checks after them."""
    from tqdm import tqdm

    first = [Piece(ALIVE, patience=STARTING)] if any(map(_is_known, tasks.exercises)) else []
    cells = [Piece(cell["source"]) for _, cell in plan.cells]
    checks = [Piece(_question(one), once=True) for one in tasks.exercises]
    pieces = first + cells + checks
    with tqdm(total=len(pieces), desc=title, unit="cell", leave=False, disable=None) as bar:

        def done(count: int) -> None:
            bar.update(count - bar.n)

        outcomes = run(pieces, SMOKE, timeout, done)
    for outcome in outcomes[: len(first)]:
        if outcome.error or outcome.stopped:
            raise CourseError(f"lvmlib cannot be used here ({_words(outcome)}); run `lvm doctor`, which says why.")
    return outcomes[len(first) : -len(checks)], outcomes[-len(checks) :]


def _question(exercise: Exercise) -> str:
    # By another name, which no cell has given another meaning.
    return CHECK.format(name=exercise.name, function=exercise.function) if _is_known(exercise) else exercise.test


def _is_known(exercise: Exercise) -> bool:
    """Whether lvmlib has a check for it."""
    return exercise.test == canonical(exercise.name, exercise.function)


def _problem(place: int, cell: Cell, outcome: Outcome, timeout: float) -> str | None:
    where = f"Code cell {place} (`{beginning(cell)}`)"
    if outcome.stopped:
        return f"{where} {_stopped(outcome, timeout)}, and was left out."
    if outcome.error:
        return f"{where} raised {_words(outcome)}; the rest was run without it."
    return None


def _verdict(exercise: Exercise, outcome: Outcome, timeout: float) -> Verdict:
    name = exercise.function
    if outcome.stopped:
        return Verdict(exercise, False, f"✗ {name}: {_stopped(outcome, timeout)}")
    if outcome.error is None:
        lines = [line for line in outcome.text.splitlines() if line.startswith("✓")]
        return Verdict(exercise, True, lines[-1] if lines else f"✓ {name}")
    kind, said = outcome.error
    if kind == "CheckFailed":
        return Verdict(exercise, False, _line(said))
    if kind == "NameError" and f"'{name}'" in said:
        return Verdict(exercise, False, f"✗ {name}: nothing has this name; write it, and see that its cell runs")
    return Verdict(exercise, False, f"✗ {name}: {_words(outcome)}")


def _stopped(outcome: Outcome, timeout: float) -> str:
    if outcome.stopped == "late":
        return f"took longer than {timeout:g} s (is there a loop without end? --timeout gives it longer)"
    return "ended Python (too much memory, or an exit)"


def _words(outcome: Outcome) -> str:
    if outcome.error is None:
        return "its import took too long" if outcome.stopped == "late" else "its import ended Python"
    kind, said = outcome.error
    return f"{kind}: {_line(said)}" if said.strip() else kind


def _line(said: str) -> str:
    line = " ".join(ESCAPES.sub("", said).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
