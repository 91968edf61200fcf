"""nbgrader's own tools go on from what was written into its gradebook."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from booked import comment, failed, mark, opened
from recorded import ANSWER, SMALL, THINK, graded

from lvmlib.authoring.converters import convert, read_settings
from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.entering import write


def nbgrader(course: Course, *arguments: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=course.root, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_nbgraders_own_tools_go_on_from_here(written: Course, small_assignment: Assignment) -> None:
    write(written, graded(small_assignment, "bob", {"kl-divergence": 0.5}, {}), small_assignment, "2030-01-01 00:00:00")
    write(written, failed("eve"), small_assignment, None)
    check_formgrader(written)
    mark(written, THINK, 4.0)
    nbgrader(written, "export", "--to", "exported.csv")
    with (written.root / "exported.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: (row["score"], row["max_score"]) for row in csv.DictReader(file)}
    assert scores == {"ada": ("10.0", "10.0"), "bob": ("0.5", "10.0")}
    comment(written, THINK, "Well seen.")
    nbgrader(written, "generate_feedback", SMALL)
    check_feedback(written)
    check_against_autograde(written, small_assignment)


def check_formgrader(course: Course) -> None:
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config({"CourseDirectory": {"root": str(course.root), "db_url": f"sqlite:///{course.root}/gradebook.db"}})
    listed = NbGraderAPI(CourseDirectory(config=config), config=config).get_notebook_submissions(SMALL, SMALL)
    told = {row["student"]: (row["score"], row["code_score"], row["needs_manual_grade"]) for row in listed}
    assert told == {"ada": (6.0, 6.0, True), "bob": (0.5, 0.5, False)}
    assert {row["max_written_score"] for row in listed} == {4.0}


def check_feedback(course: Course) -> None:
    pages = {
        student: (course.root / "feedback" / student / SMALL / f"{SMALL}.html").read_text(encoding="utf-8")
        for student in ("ada", "bob")
    }
    assert "Well seen." in pages["ada"] and ANSWER[THINK] in pages["ada"]
    assert "✗ reparameterize: so it is" in pages["bob"]
    for page in pages.values():
        assert "judge(" not in page and "MARK SCHEME" not in page and "draws the pixels" not in page


def check_against_autograde(course: Course, assignment: Assignment) -> None:
    """nbgrader's own reading of the notebooks enters the same."""
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import SaveAutoGrades

    write(course, graded(assignment, "ada"), assignment, None)
    before = rows_of(course)
    with opened(course) as book:
        for student in ("ada", "bob"):
            for grade in book.find_submission_notebook(SMALL, SMALL, student).grades:
                grade.auto_score, grade.needs_manual_grade = 17.0, True
    (course.root / "work").mkdir()
    (course.root / "work" / "submitted").symlink_to(course.root / "autograded")
    config = read_settings(course, course.root / "work")
    config.CourseDirectory.assignment_id = SMALL
    config.Autograde.sanitize_preprocessors = []
    config.Autograde.autograde_preprocessors = [SaveAutoGrades]
    convert(Autograde, config, force=True)
    assert rows_of(course, but_for=THINK) == {key: row for key, row in before.items() if key[1] != THINK}


def rows_of(course: Course, but_for: str = "") -> dict[tuple[str, str], tuple[Any, ...]]:
    with opened(course) as book:
        return {
            (student, grade.name): (grade.auto_score, grade.manual_score, grade.needs_manual_grade)
            for student in ("ada", "bob")
            for grade in book.find_submission_notebook(SMALL, SMALL, student).grades
            if grade.name != but_for
        }
