"""What goes by a grade id, the name that nbgrader gives a cell: a lab's cells, a submission's, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from lvmlib.grading.assignment import Assignment, grade_id_of
from lvmlib.grading.results import Cell, Result, Verdict


def released_by_id(assignment: Assignment) -> dict[str, Cell]:
    """The released cells that nbgrader knows, in the order of the lab."""
    return {name: cell for cell in assignment.cells if (name := grade_id_of(cell))}


def submitted_by_id(result: Result, released: dict[str, Cell]) -> dict[str, Cell]:
    """The submission's cells of the same names; the first of each."""
    found: dict[str, Cell] = {}
    for cell in result.cells:
        name = grade_id_of(cell)
        if name in released:
            found.setdefault(name, cell)
    return found


def verdicts_by_id(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """Verdicts by the test cell of their exercise."""
    return {f"test-{verdict.exercise}": verdict for verdict in verdicts}
