"""Every lab, released, solved to some degree, submitted and graded."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from lvmlib.authoring.build import read_stored
from lvmlib.authoring.course import Course, find_course
from lvmlib.grading.marking import mark
from lvmlib.grading.submission import collect
from lvmlib.grading.table import Row

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def is_solution(cell) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def exercises_of(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and is_solution(cell)]


def submit(root: Path, lab: str, student: str, released, solved: list, answer: str | None = None) -> None:
    sources = {cell.id: cell.source for cell in solved}
    notebook = nbformat.from_dict(released)
    for cell in notebook.cells:
        if is_solution(cell):
            cell.source = sources.get(cell.id, cell.source)
            if cell.cell_type == "markdown" and answer:
                cell.source = answer
    path = root / "submitted" / student / lab / f"{lab}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def rows(course: Course, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Row]:
    """What grading three students in all labs comes to: who solved all, the first half of each lab, and nothing."""
    root = tmp_path_factory.mktemp("course")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(course.root / "solutions", root / "solutions", ignore=ignored)
    for name in ("nbgrader_config.py", "pyproject.toml"):
        shutil.copy(course.root / name, root)
    for lab in course.labs():
        solution = read_stored(course, lab)
        assert solution is not None
        solved = exercises_of(solution)
        half = solved[: len(solved) // 2]
        for student, exercises, answer in (("full", solved, "Because."), ("half", half, None), ("none", [], None)):
            submit(root, lab, student, nbformat.read(course.released(lab), as_version=4), exercises, answer)
    return {(row.lab, row.student): row for row in mark(Course(root), collect(root / "submitted"))}


@pytest.mark.parametrize("lab", find_course().labs())
def test_scores_are_exactly_what_was_solved(course: Course, rows: dict[tuple[str, str], Row], lab: str) -> None:
    solution = read_stored(course, lab)
    assert solution is not None
    solved = exercises_of(solution)
    half = solved[: len(solved) // 2]
    points = {
        cell.metadata.nbgrader.grade_id.removeprefix("test-"): cell.metadata.nbgrader.points
        for cell in solution.cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
    }
    found = {student: rows[lab, student] for student in ("full", "half", "none")}
    assert {student: (str(row.status), row.score, row.note) for student, row in found.items()} == {
        "full": ("graded", sum(points.values()), ""),
        "half": ("graded", sum(points[cell.id] for cell in half), ""),
        "none": ("graded", 0, ""),
    }
    assert [student for student, row in found.items() if row.needs_manual_grade] == ["full"]
