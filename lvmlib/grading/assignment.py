"""What a lab's submissions are held against: the release, and what only graders have, as plain data."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.results import Cell

HIDDEN = re.compile(r"^### BEGIN (HIDDEN TESTS|MARK SCHEME)$.*?^### END \1$\n?", re.DOTALL | re.MULTILINE)


class AssignmentError(CourseError):
    """A lab cannot be graded as it stands; the message names the cell, and what to change."""


@dataclass(frozen=True)
class Question:
    """What one test cell asks: `check("kl-divergence", kl_divergence)`.

    Attributes:
        exercise: in kebab case; the cell is `test-EXERCISE`.
        expression: what the cell hands over, as the release writes it.
        points: what the cell is worth.
    """

    exercise: str
    expression: str
    points: float


@dataclass(frozen=True)
class Assignment:
    """A lab as students got it, with the complete source of every locked cell; it travels to other machines.

    Attributes:
        lab: its name.
        cells: every released cell in order, also those nbgrader does not know, without outputs; locked ones with hidden
            tests and mark schemes put back.
        judges: the text of the lab's judges.py.
        others: of the other labs' cells, the lab by grade id.
    """

    lab: str
    cells: tuple[Cell, ...]
    judges: str
    others: dict[str, str]

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """What the test cells ask, in order.

        Raises:
            AssignmentError: a test cell worth points asks in another way than by check(…).
        """
        return tuple(_question(self.lab, cell) for cell in self.cells if is_test(cell) and points_of(cell))

    @property
    def points(self) -> float:
        """What the lab is worth, by tests and by hand."""
        return sum(points_of(cell) for cell in self.cells)


def read_assignment(course: Course, lab: str) -> Assignment:
    """Read a lab's assignment from its solutions.

    Raises:
        ReleaseError: the solutions notebook is not what its text says.
        AssignmentError: a test cell cannot be graded here, or the lab has no judges.py.
    """
    from lvmlib.authoring.release import current_solution, make_release

    complete = {grade_id_of(cell): cell["source"] for cell in current_solution(course, lab).cells}
    cells = tuple(_plain(cell) for cell in json.loads(make_release(course, lab))["cells"])
    for cell in cells:
        if is_locked(cell):
            cell["source"] = complete[grade_id_of(cell)]
    assignment = Assignment(lab, cells, _read_judges(course, lab), _other_labs(course, lab))
    if not assignment.questions:  # also raises here, before anything is graded, where a test cell is not as it must be
        raise AssignmentError(f"{lab} has no test cell, so there is nothing to grade; write exercises for it.")
    return assignment


def grade_ids(course: Course, lab: str) -> frozenset[str]:
    """The grade ids of a lab, by its executed notebook; empty where there is none."""
    try:
        cells = json.loads(course.solution(lab).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return frozenset()
    return frozenset(grade_id for cell in cells if (grade_id := grade_id_of(cell)))


def nbgrader_of(cell: Cell) -> dict[str, Any]:
    """What nbgrader keeps about a cell; empty where it is none of its cells, or holds nonsense."""
    metadata = cell.get("metadata")
    told = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return told if isinstance(told, dict) else {}


def grade_id_of(cell: Cell) -> str | None:
    """A cell's grade id, if it has one."""
    grade_id = nbgrader_of(cell).get("grade_id")
    return grade_id if isinstance(grade_id, str) else None


def is_locked(cell: Cell) -> bool:
    """Whether a released cell is not the student's to change."""
    return bool(nbgrader_of(cell).get("locked"))


def is_test(cell: Cell) -> bool:
    """Whether a released cell is a test cell."""
    return cell["cell_type"] == "code" and bool(nbgrader_of(cell).get("grade"))


def is_experiment(cell: Cell) -> bool:
    """Whether a released cell is an experiment, which grading leaves out."""
    return "experiment" in cell["metadata"].get("tags", [])


def points_of(cell: Cell) -> float:
    """What a released cell is worth."""
    return nbgrader_of(cell).get("points", 0)


def released_source(cell: Cell) -> str:
    """A released cell's text as students got it."""
    return _without_hidden(cell["source"])


@lru_cache(maxsize=1000)
def _without_hidden(source: str) -> str:
    return HIDDEN.sub("", source)


def _plain(cell: Cell) -> Cell:
    return {name: cell[name] for name in ("cell_type", "id", "metadata")} | {"source": "".join(cell["source"])}


def _question(lab: str, cell: Cell) -> Question:
    match _statements(released_source(cell)):
        case [ast.Expr(ast.Call(ast.Name("check"), [ast.Constant(str(name)), function], []))] if (
            f"test-{name}" == grade_id_of(cell)
        ):
            return Question(name, ast.unparse(function), points_of(cell))
    raise AssignmentError(
        f'The test cell {grade_id_of(cell)} of {lab} is not one line check("NAME", …) with the name of its exercise, '
        f"so only `nbgrader autograde` can grade it; write a probe and a judge for it as solutions/README.md describes."
    )


def _statements(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError:  # a magic, as `%%timeit`
        return []


def _read_judges(course: Course, lab: str) -> str:
    try:
        return course.judges(lab).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssignmentError(
            f"solutions/{lab}/judges.py cannot be read, so nobody can judge {lab}; write it."
        ) from error


def _other_labs(course: Course, lab: str) -> dict[str, str]:
    return {grade_id: other for other in course.labs() if other != lab for grade_id in grade_ids(course, other)}
