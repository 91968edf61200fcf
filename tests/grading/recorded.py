"""Results of the small lab, as grading records them."""

from __future__ import annotations

from collections.abc import Mapping

from lvmlib.grading.assignment import Assignment, grade_id_of
from lvmlib.grading.results import Cell, Result, Status, Verdict

SMALL = "00-small"
THINK = "which-unit"
ANSWER = {THINK: "Where the decoder needs nothing from it."}
FULL = {"kl-divergence": 2.0, "reparameterize": 3.0, "active-units": 1.0}
CLAIM = {"grade": True, "solution": False, "locked": True, "schema_version": 99, "points": 1000, "grade_id": "mine"}
CLAIMS = (CLAIM, CLAIM | {"grade_id": "test-active-units"}, CLAIM | {"grade_id": ["list"]}, "text", None)
FORGED: tuple[Cell, ...] = tuple(
    {"cell_type": "code", "id": "same", "metadata": {"nbgrader": claim, "tags": 3}, "source": "\ud800<script>\x1b[2J"}
    for claim in CLAIMS
)
"""Cells that claim to be worth something."""


def graded(
    assignment: Assignment,
    student: str = "ada",
    points: Mapping[str, float] = FULL,
    written: Mapping[str, str] = ANSWER,
    more: tuple[Cell, ...] = (),
) -> Result:
    """A result in which a student earned points by exercise, and wrote something by grade id."""
    cells = tuple(cell | {"source": written.get(grade_id_of(cell) or "", cell["source"])} for cell in assignment.cells)
    verdicts = tuple(
        Verdict(name, points.get(name, 0.0), most, f"{'✓' if points.get(name) else '✗'} {name}: so it is")
        for name, most in FULL.items()
    )
    return Result(student, assignment.lab, Status.GRADED, verdicts=verdicts, cells=cells + more)
