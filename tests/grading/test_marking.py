"""A folder of submissions becomes scores, feedback and a table."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.gradebook import write_table
from lvmlib.grading.marking import format_table, mark

TINY = "00-tiny"
DOUBLE = "def double(x):\n    return x + x"
HALVE = "def halve(x):\n    return x / 2"
ANSWER = "Only at the two ends of the number range."


def submit(course: Course, student: str, **answers: str) -> Path:
    notebook = nbformat.read(course.released(TINY), as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").replace("-", "_")
        cell.source = answers.get(name, cell.source)
    path = course.root / "submitted" / student / TINY / f"{TINY}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory, _released: Path):
    import shutil

    course = Course(Path(shutil.copytree(_released, tmp_path_factory.mktemp("marked") / "course")))
    submit(course, "full", double=DOUBLE, halve=HALVE, which_way=ANSWER)
    submit(course, "half", double=DOUBLE)
    submit(course, "hidden", double="def double(x):\n    return 4", halve=HALVE)
    submit(course, "killer", double="import os\nos._exit(1)")
    submit(course, "none")
    submit(course, "torn").write_bytes(b'{"cells": [')
    rows = list(mark(course, course.root / "submitted"))
    return course, {row.student: row for row in rows}


pytestmark = pytest.mark.slow


def test_scores_are_exactly_what_was_solved(marked) -> None:
    _, rows = marked
    assert {name: rows[name].score for name in ("full", "half", "hidden", "none")} == {
        "full": 5, "half": 2, "hidden": 3, "none": 0,
    }  # fmt: skip
    assert {row.max_score for row in rows.values()} == {9}


def test_only_an_answer_waits_to_be_graded_by_hand(marked) -> None:
    _, rows = marked
    assert [row.student for row in rows.values() if row.needs_manual_grade] == ["full"]


def test_what_cannot_be_graded_has_no_score_and_stops_nobody(marked) -> None:
    _, rows = marked
    assert (rows["torn"].score, rows["torn"].status) == (None, "unreadable")
    assert (rows["killer"].score, rows["killer"].status) == (None, "failed")
    assert rows["killer"].note.startswith("The kernel died while it ran")


def test_the_table_has_a_line_each(marked, tmp_path: Path) -> None:
    _, rows = marked
    lines = format_table(rows.values()).splitlines()
    assert lines[0].split() == ["student", "lab", "score", "of", "by", "hand", "status"]
    assert lines[1].split() == ["full", TINY, "5", "9", "to", "do", "graded"]
    assert lines[-1].split()[:5] == ["torn", TINY, "–", "9", "unreadable:"]
    write_table(tmp_path / "grades.csv", rows.values())
    with (tmp_path / "grades.csv").open(encoding="utf-8") as file:
        table = {row["student"]: row for row in csv.DictReader(file)}
    assert (table["full"]["score"], table["none"]["score"], table["torn"]["score"]) == ("5.0", "0.0", "")


def test_grades_of_other_runs_stay(marked, tmp_path: Path) -> None:
    _, rows = marked
    path = tmp_path / "grades.csv"
    write_table(path, [rows["torn"], replace(rows["full"], score=1)])
    write_table(path, [rows["full"], replace(rows["none"], student="another")])
    with path.open(encoding="utf-8") as file:
        scores = {row["student"]: row["score"] for row in csv.DictReader(file)}
    assert scores == {"another": "0.0", "full": "5.0", "torn": ""}
    path.write_text("assignment,score\n", encoding="utf-8")
    with pytest.raises(CourseError, match="is not a table of ours"):
        write_table(path, rows.values())


def test_feedback_shows_neither_hidden_tests_nor_mark_schemes(marked) -> None:
    course, _ = marked
    for student in ("full", "half", "hidden", "none"):
        page = (course.root / "feedback" / student / TINY / f"{TINY}.html").read_text(encoding="utf-8")
        assert "A tiny lab" in page
        assert "double(3.5)" not in page and "double(-1)" not in page
        assert "naming overflow" not in page and "MARK SCHEME" not in page
    failed = (course.root / "feedback" / "hidden" / TINY / f"{TINY}.html").read_text(encoding="utf-8")
    assert "AssertionError: double: wrong at some other number" in failed


def test_the_marker_sees_the_mark_scheme(marked) -> None:
    course, _ = marked
    text = (course.root / "autograded" / "full" / TINY / f"{TINY}.ipynb").read_text(encoding="utf-8")
    assert "overflow" in text and ANSWER in text


def test_a_mark_given_by_hand_survives_grading_again(marked) -> None:
    course, _ = marked
    with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("which-way", TINY, TINY, "full")
        grade.manual_score, grade.needs_manual_grade = 4, False
        gradebook.db.commit()
    rows = {row.student: row for row in mark(course, course.root / "submitted")}
    assert rows["full"].score == 9


def test_a_lab_that_the_course_does_not_have_is_named(marked) -> None:
    course, _ = marked
    (course.root / "elsewhere" / "ada" / "09-none").mkdir(parents=True)
    with pytest.raises(CourseError, match="no lab '09-none'"):
        list(mark(course, course.root / "elsewhere"))
