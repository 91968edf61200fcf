"""Every lab, released, solved to some degree, submitted and graded in the `smoke` profile."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from lvmlib.authoring.build import read_stored
from lvmlib.authoring.course import Course, find_course
from lvmlib.grading.marking import mark

pytestmark = pytest.mark.slow


def exercises_of(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and is_solution(cell)]


def is_solution(cell) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


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


@pytest.mark.parametrize("lab", find_course().labs())
def test_scores_are_exactly_what_was_solved(course: Course, lab: str, tmp_path: Path) -> None:
    (tmp_path / "solutions").mkdir()
    shutil.copytree(course.solution(lab).parent, tmp_path / "solutions" / lab)
    for name in ("nbgrader_config.py", "pyproject.toml"):
        shutil.copy(course.root / name, tmp_path)
    solution = read_stored(course, lab)
    assert solution is not None
    solved = exercises_of(solution)
    half = solved[: len(solved) // 2]
    points = {
        cell.metadata.nbgrader.grade_id.removeprefix("test-"): cell.metadata.nbgrader.points
        for cell in solution.cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
    }
    for student, exercises, answer in (("full", solved, "Because."), ("half", half, None), ("none", [], None)):
        submit(tmp_path, lab, student, nbformat.read(course.released(lab), as_version=4), exercises, answer)

    rows = {row.student: row for row in mark(Course(tmp_path), tmp_path / "submitted")}

    assert {student: (row.status, row.score, row.note) for student, row in rows.items()} == {
        "full": ("graded", sum(points.values()), ""),
        "half": ("graded", sum(points[cell.id] for cell in half), ""),
        "none": ("graded", 0, ""),
    }
    assert [row.student for row in rows.values() if row.needs_manual_grade] == ["full"]
