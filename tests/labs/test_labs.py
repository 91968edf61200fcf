"""Every lab in solutions/: its text, its notebook and its release agree, and the release gives nothing away."""

from __future__ import annotations

from collections import Counter

import nbformat
import pytest

from lvmlib.authoring.build import is_executed, read_stored, read_text, without_outputs
from lvmlib.authoring.course import Course, find_course
from lvmlib.authoring.gallery.lab import read_lab
from lvmlib.authoring.leaks import find_leaks
from lvmlib.authoring.pictures import pictures_of
from lvmlib.authoring.release import make_guide, make_release
from lvmlib.authoring.text import points_of

LABS = find_course().labs()


@pytest.fixture(params=LABS)
def lab(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def solution(course: Course, lab: str):
    stored = read_stored(course, lab)
    assert stored is not None
    return stored


@pytest.fixture
def released(course: Course, lab: str):
    return nbformat.read(course.released(lab), as_version=4)


def grade_ids(notebook) -> list[str]:
    return [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]


def test_there_is_a_lab() -> None:
    assert LABS


def test_the_notebook_is_what_its_text_says(course: Course, lab: str, solution) -> None:
    assert without_outputs(solution) == read_text(course, lab)


def test_the_notebook_was_executed_in_order_and_without_an_error(solution) -> None:
    assert is_executed(solution)
    outputs = [output for cell in solution.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_grade_ids_are_used_once(solution) -> None:
    assert [grade_id for grade_id, times in Counter(grade_ids(solution)).items() if times > 1] == []


def test_a_lab_is_worth_its_points(solution) -> None:
    automatic, by_hand = points_of(solution)
    assert automatic >= 20
    assert by_hand == 5


def test_the_release_is_what_the_solutions_make(course: Course, lab: str) -> None:
    assert course.released(lab).read_text(encoding="utf-8") == make_release(course, lab)
    assert [path.name for path in course.released(lab).parent.iterdir() if path.name[0] != "."] == [f"{lab}.ipynb"]


def test_the_students_guide_is_what_the_solutions_make(course: Course) -> None:
    assert course.guide.read_text(encoding="utf-8") == make_guide(course)
    assert "{{" not in make_guide(course)


def test_the_pictures_are_those_of_the_notebook(course: Course, lab: str, solution) -> None:
    shipped = {path.name: path.read_bytes() for path in (course.pictures / lab).glob("*")}
    assert shipped == pictures_of(solution)
    assert shipped


def test_the_release_differs_from_the_solution_in_marked_regions_alone(solution, released) -> None:
    assert [cell.id for cell in released.cells] == [cell.id for cell in solution.cells]
    for ours, theirs in zip(solution.cells, released.cells, strict=True):
        assert theirs.source.strip() == without_regions(ours.source).strip()


def without_regions(source: str) -> str:
    kept: list[str] = []
    inside = False
    for line in source.split("\n"):
        if "### BEGIN SOLUTION" in line:
            kept.append(line.replace("### BEGIN SOLUTION", "raise NotImplementedError"))
        inside = inside or "### BEGIN " in line
        if not inside:
            kept.append(line)
        inside = inside and "### END " not in line
    return "\n".join(kept)


def test_the_release_has_no_outputs(released) -> None:
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in released.cells)


def test_students_can_find_nothing_private(course: Course) -> None:
    assert find_leaks(course) == []


def test_every_formula_can_be_shown(lab: str, solution) -> None:
    assert any("<math" in block.html for block in read_lab(lab, solution).blocks)
