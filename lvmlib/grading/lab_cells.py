"""A lab's cells in nbgrader's gradebook, which must stand there before a submission can be entered."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from lvmlib.authoring.converters import convert, read_settings
from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment, nbgrader_of
from lvmlib.grading.grade_ids import released_by_id
from lvmlib.grading.gradebook import exists, has_tables, notebook_query, opened, reporting


def prepare(course: Course, assignment: Assignment) -> None:
    """Enter a lab's cells into the gradebook, which is created if need be; rewrites nothing if nothing changed.

    Raises:
        GradebookError: the gradebook cannot be read or written.
        ConverterError: cells were added or removed after submissions were graded.
    """
    from nbgrader.converters import GenerateAssignment

    with reporting(course):
        if _entered(course, assignment.lab) == _to_enter(assignment):
            return
        with tempfile.TemporaryDirectory() as folder:
            config = read_settings(course, Path(folder))
            config.CourseDirectory.assignment_id = assignment.lab
            convert(GenerateAssignment, config)


def _entered(course: Course, lab: str) -> dict[tuple[str, str], tuple[Any, ...]] | None:
    """What the gradebook holds of a lab's cells, by kind and name."""
    from nbgrader import api
    from sqlalchemy import select

    if not exists(course):
        return None
    with opened(course) as session:
        if not has_tables(session):
            return None
        notebook = session.scalars(notebook_query(lab)).one_or_none()
        if notebook is None:
            return None
        here = api.SourceCell.notebook_id == notebook.id
        cells = session.scalars(select(api.BaseCell).where(api.BaseCell.notebook_id == notebook.id))
        return {
            ("source", cell.name): (cell.cell_type, cell.locked, cell.source)
            for cell in session.scalars(select(api.SourceCell).where(here))
        } | {(cell.type, cell.name): (getattr(cell, "max_score", None),) for cell in cells}


def _to_enter(assignment: Assignment) -> dict[tuple[str, str], tuple[Any, ...]]:
    wanted: dict[tuple[str, str], tuple[Any, ...]] = {}
    for name, cell in released_by_id(assignment).items():
        facts = nbgrader_of(cell)
        points = (float(facts.get("points", 0)),)
        locked = not facts["solution"] and (facts["grade"] or facts["locked"])
        wanted["source", name] = cell["cell_type"], locked, cell["source"]
        kinds = {"grade": ("GradeCell", points), "solution": ("SolutionCell", (None,)), "task": ("TaskCell", points)}
        for flag, (kind, told) in kinds.items():
            if facts.get(flag):
                wanted[kind, name] = told
    return wanted
