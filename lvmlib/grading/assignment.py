"""What a lab's submissions are held against: the release, and the cells that only graders have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import Course
from lvmlib.authoring.release import current_solution, make_release


@dataclass(frozen=True)
class Assignment:
    """A lab as students got it, with the complete source of every locked cell.

    Attributes:
        lab: its name.
        solutions: the folder with the judges, which hidden tests look for.
        cells: the released cells that nbgrader knows, by grade id, in order; locked ones with hidden tests and mark
            schemes put back.
    """

    lab: str
    solutions: Path
    cells: dict[str, NotebookNode]

    @property
    def points(self) -> int:
        """The points of all its cells."""
        return sum(cell.metadata.nbgrader.get("points", 0) for cell in self.cells.values())


def read_assignment(course: Course, lab: str) -> Assignment:
    """Read a lab's assignment from its solutions.

    Raises:
        ReleaseError: the solutions notebook is not what its text says.
    """
    complete = _by_grade_id(current_solution(course, lab))
    released = _by_grade_id(nbformat.reads(make_release(course, lab), as_version=4))
    for grade_id, cell in released.items():
        if cell.metadata.nbgrader.locked:
            cell.source = complete[grade_id].source
    return Assignment(lab, course.root / "solutions", released)


def _by_grade_id(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
