"""Students' notebooks, however they come, are brought back into the form that was released."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import Assignment, read_assignment
from lvmlib.grading.submission import Submission, UnreadableError, collect, read_submission

TINY = "00-tiny"


@pytest.fixture
def assignment(tiny: Course) -> Assignment:
    return read_assignment(tiny, TINY)


@pytest.fixture
def work(tiny: Course, tmp_path: Path):
    """The released notebook and how to submit it."""
    notebook = nbformat.read(tiny.released(TINY), as_version=4)

    def submit(name: str = f"{TINY}.ipynb", content: bytes | None = None) -> Submission:
        folder = tmp_path / "submitted" / "ada" / TINY
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(nbformat.writes(notebook).encode() if content is None else content)
        return Submission("ada", TINY, folder)

    return notebook, submit


def cell_of(notebook, grade_id: str):
    found = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
    assert len(found) == 1
    return found[0]


def test_an_assignment_holds_what_graders_have_and_students_do_not(assignment: Assignment) -> None:
    assert list(assignment.cells) == ["double", "test-double", "halve", "test-halve", "which-way-question", "which-way"]
    assert assignment.points == 9
    assert "wrong at some other number" in assignment.cells["test-double"].source
    assert "overflow" in assignment.cells["which-way-question"].source
    assert assignment.cells["double"].source.endswith("raise NotImplementedError")


def test_an_untouched_submission_needs_no_mending(work, assignment: Assignment) -> None:
    _, submit = work
    notebook, notes = read_submission(submit(), assignment)
    assert notes == []
    assert "wrong at some other number" in cell_of(notebook, "test-double").source


def test_an_edited_test_and_edited_points_are_put_right(work, assignment: Assignment) -> None:
    notebook, submit = work
    test = cell_of(notebook, "test-double")
    test.source = "pass"
    test.metadata.nbgrader.update(points=100, schema_version=99)
    read, _ = read_submission(submit(), assignment)
    assert cell_of(read, "test-double").metadata.nbgrader.points == 2
    assert cell_of(read, "test-double").source == assignment.cells["test-double"].source


def test_of_copied_cells_the_last_that_was_worked_in_is_kept(work, assignment: Assignment) -> None:
    notebook, submit = work
    solution = cell_of(notebook, "double")
    first, last = (nbformat.v4.new_code_cell(f"# {n}", metadata=solution.metadata) for n in ("first", "last"))
    place = notebook.cells.index(solution)
    notebook.cells[place + 1 : place + 1] = [first, last]
    read, notes = read_submission(submit(), assignment)
    assert cell_of(read, "double").source == "# last"
    assert notes == ["left a copy of the cell double out"] * 2


def test_missing_cells_are_put_back_in_their_place(work, assignment: Assignment) -> None:
    notebook, submit = work
    gone = {"test-double", "halve", "which-way"}
    notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in gone]
    read, notes = read_submission(submit(), assignment)
    order = [cell.metadata.nbgrader.grade_id for cell in read.cells if "nbgrader" in cell.metadata]
    assert order == list(assignment.cells)
    assert notes == [f"put the missing cell {name} back" for name in ("test-double", "halve", "which-way")]


def test_cells_of_the_students_own_stay_and_are_not_graded(work, assignment: Assignment) -> None:
    notebook, submit = work
    own = {"nbgrader": {"grade_id": "bonus", "grade": True, "points": 50, "schema_version": 3}}
    notebook.cells.append(nbformat.v4.new_code_cell("mine = 1", metadata=own))
    read, _ = read_submission(submit(), assignment)
    assert (read.cells[-1].source, read.cells[-1].metadata) == ("mine = 1", {})


def test_a_notebook_from_colab_is_read(work, assignment: Assignment) -> None:
    notebook, submit = work
    plain = json.loads(nbformat.writes(notebook))
    plain["nbformat_minor"] = 0
    for cell in plain["cells"]:
        del cell["id"]
        cell["metadata"]["id"] = "abc"
    read, notes = read_submission(submit(content=b"\xef\xbb\xbf" + json.dumps(plain).encode()), assignment)
    assert notes == []
    assert cell_of(read, "double").source.endswith("raise NotImplementedError")


def test_the_only_notebook_is_taken_under_any_name(work, assignment: Assignment) -> None:
    _, submit = work
    _, notes = read_submission(submit("00-tiny (1).ipynb"), assignment)
    assert notes == ["took 00-tiny (1).ipynb for 00-tiny.ipynb"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"cells": 1}', b"[]", b"\xff\xfe\x00", b'{"nbformat": 99, "cells": []}']
)
def test_what_is_no_notebook_is_said_to_be_none(work, assignment: Assignment, content: bytes) -> None:
    _, submit = work
    with pytest.raises(UnreadableError, match="00-tiny.ipynb is not a notebook") as error:
        read_submission(submit(content=content), assignment)
    assert "\n" not in str(error.value)


def test_several_notebooks_under_other_names_are_listed(work, assignment: Assignment) -> None:
    _, submit = work
    submit("a.ipynb")
    with pytest.raises(UnreadableError, match="00-tiny.ipynb is missing; there are a.ipynb, b.ipynb"):
        read_submission(submit("b.ipynb"), assignment)


def test_a_link_is_refused(work, tiny: Course, assignment: Assignment) -> None:
    _, submit = work
    submission = submit()
    path = submission.folder / f"{TINY}.ipynb"
    path.unlink()
    path.symlink_to(tiny.solution(TINY))
    with pytest.raises(UnreadableError, match="is a link to another file"):
        read_submission(submission, assignment)


def test_submissions_are_found_by_lab_and_student(tmp_path: Path) -> None:
    for student, lab in (("bob", "01-a"), ("ada", "02-b"), ("ada", "01-a")):
        (tmp_path / student / lab).mkdir(parents=True)
    assert [(found.student, found.lab) for found in collect(tmp_path)] == [
        ("ada", "01-a"),
        ("bob", "01-a"),
        ("ada", "02-b"),
    ]
    assert [found.student for found in collect(tmp_path, "02-b")] == ["ada"]
    with pytest.raises(CourseError, match="holds no 03-c; lay submissions out as"):
        collect(tmp_path, "03-c")


def test_a_notebook_outside_a_labs_folder_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "zoe").mkdir()
    (tmp_path / "zoe" / "03-vae.ipynb").touch()
    with pytest.raises(CourseError, match="zoe/03-vae.ipynb lies outside a lab's folder; move it to zoe/LAB/LAB.ipynb"):
        collect(tmp_path)
