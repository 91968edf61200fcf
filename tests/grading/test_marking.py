"""A folder of submissions becomes scores, feedback and a table; a second run grades what changed and nothing else."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from colab_notebook import PERSON, saved_by_colab
from hostile import HONEST, QUICK, SOLVED, notebook
from nbgrader.api import Gradebook

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import marking, records
from lvmlib.grading.assignment import read_assignment
from lvmlib.grading.explain import explain
from lvmlib.grading.marking import Settings, mark
from lvmlib.grading.submission import collect
from lvmlib.grading.table import Row, write_table
from lvmlib.grading.task import Task

SMALL = "00-small"
ANSWER = {"which-unit": "Where the prior fits already."}
CLASS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "full": (SOLVED | ANSWER, ()),
    "half": (HONEST, ()),
    "none": ({}, ()),
    "wrong": ({"kl-divergence": SOLVED["kl-divergence"].replace("0.5 * ", "")}, ()),
    "ender": (HONEST, ("import sys, os\nsys.modules['os']._exit(1)",)),
    "stuck": (HONEST | {"active-units": "def active_units(means, threshold):\n    while True: pass"}, ()),
    "mallory": (HONEST, ("import sys\nsys._getframe(0)",)),
}

BY_COLAB = {"colab-full": CLASS["full"], "colab-half": CLASS["half"]}

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def hand_in(course: Course, student: str, content: bytes) -> Path:
    path = course.root / "submitted" / student / SMALL / f"{SMALL}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(course: Course, **settings) -> dict[str, Row]:
    rows = mark(course, collect(course.root / "submitted"), Settings(limits=QUICK, workers=2, **settings))
    return {row.student: row for row in rows}


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory, _small_released: Path) -> tuple[Course, dict[str, Row]]:
    course = Course(Path(shutil.copytree(_small_released, tmp_path_factory.mktemp("marked") / "course")))
    assignment = read_assignment(course, SMALL)
    for student, (solved, extra) in CLASS.items():
        hand_in(course, student, notebook(assignment, solved, extra))
    for student, (solved, extra) in BY_COLAB.items():
        hand_in(course, student, saved_by_colab(json.loads(notebook(assignment, solved, extra))))
    hand_in(course, "torn", b'{"cells": [')
    (course.root / "submitted" / "empty" / SMALL).mkdir(parents=True)
    return course, run(course)


@pytest.fixture
def again(marked, tmp_path: Path) -> Course:
    """A copy of the graded course, which a test may change and grade again."""
    return Course(Path(shutil.copytree(marked[0].root, tmp_path / "again", symlinks=True)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The exercises that a run sends to its workers, by student."""
    sent: dict[str, set[str]] = {}

    def spy(client, work) -> Iterator:
        def noted() -> Iterator[Task]:
            for task in work:
                sent[task.student] = set(task.exercises)
                yield task

        return original(client, noted())

    original = marking.run
    monkeypatch.setattr(marking, "run", spy)
    return sent


def test_scores_are_exactly_what_was_solved(marked) -> None:
    _, rows = marked
    assert {student: rows[student].score for student in CLASS} == {
        "full": 6, "half": 2, "none": 0, "wrong": 0, "ender": 2, "stuck": 2, "mallory": 2,
    }  # fmt: skip
    assert {row.max_score for row in rows.values()} == {10}


def test_what_colab_saved_is_graded_like_any_other_and_its_person_is_not_kept(marked) -> None:
    course, rows = marked
    for student in BY_COLAB:
        like = rows[student.removeprefix("colab-")]
        assert rows[student] == replace(like, student=student)
    write_table(course.root / "grades.csv", rows.values())
    kept = [path for path in course.root.rglob("*") if path.is_file() and "submitted" not in path.parts]
    assert {"gradebook.db", "grades.csv", f"{SMALL}.html"} <= {path.name for path in kept}
    assert {"verdicts", "autograded", "feedback"} <= {path.relative_to(course.root).parts[0] for path in kept}
    secrets = [secret.encode() for secret in (*PERSON.values(), *PERSON["displayName"].split())]
    assert [(path.name, secret) for path in kept for secret in secrets if secret in path.read_bytes()] == []


def test_only_an_answer_waits_to_be_marked_by_hand(marked) -> None:
    _, rows = marked
    assert {student for student, row in rows.items() if row.needs_manual_grade} == {"full", "colab-full"}


def test_a_status_tells_what_a_score_cannot(marked) -> None:
    _, rows = marked
    assert {student: str(row.status) for student, row in rows.items() if student not in BY_COLAB} == {
        "full": "graded", "half": "graded", "none": "graded", "wrong": "graded", "ender": "partly", "stuck": "partly",
        "mallory": "suspicious", "torn": "unreadable", "empty": "missing",
    }  # fmt: skip
    assert rows["torn"].score is None and rows["empty"].score is None
    assert "ended Python, and was left out" in rows["ender"].note


def test_the_judges_sentence_is_kept_with_what_decided_it(marked) -> None:
    course, _ = marked
    result = records.read(course, "wrong", SMALL)
    assert result is not None
    verdict = result.verdicts[0]
    assert verdict.sentence == "✗ kl_divergence: the factor ½ is missing"
    assert verdict.mistake == "the factor ½ is missing"
    assert len(verdict.seeds) == 2 and re.fullmatch("[0-9a-f]{64}", verdict.fingerprint)
    assert {"python", "torch", "lvmlib"} <= result.versions.keys()


def test_all_are_asked_the_same_and_nobody_could_know_it(marked, again: Course) -> None:
    before = {seed for verdict in records.read(marked[0], "half", SMALL).verdicts for seed in verdict.seeds}
    assert before == {seed for verdict in records.read(marked[0], "full", SMALL).verdicts for seed in verdict.seeds}
    run(again, again=True)
    assert before.isdisjoint(seed for one in records.read(again, "half", SMALL).verdicts for seed in one.seeds)


def test_the_gradebook_holds_the_same_scores(marked) -> None:
    course, rows = marked
    with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}") as gradebook:
        scores = {one.student.id: one.score for one in gradebook.assignment_submissions(SMALL)}
    assert scores == {student: row.score for student, row in rows.items() if row.score is not None}


def test_everybody_who_handed_something_in_gets_a_page(marked) -> None:
    course, rows = marked
    pages = {path.parts[-3]: path.read_text(encoding="utf-8") for path in course.root.glob("feedback/*/*/*.html")}
    assert pages.keys() == rows.keys() - {"empty"}
    assert "the factor ½ is missing" in pages["wrong"]
    secrets = ("judge(", "MARK SCHEME", "looks at the code")
    assert not any(secret in page for page in pages.values() for secret in secrets)
    assert "looks at the code" in (course.root / "feedback" / f"summary-{SMALL}.html").read_text(encoding="utf-8")


def test_a_second_run_grades_nothing_and_tells_the_same(marked, again: Course, asked) -> None:
    _, rows = marked
    assert run(again) == rows
    assert asked == {}


def test_only_a_changed_submission_is_graded_again(again: Course, asked) -> None:
    hand_in(again, "none", notebook(read_assignment(again, SMALL), SOLVED))
    rows = run(again)
    assert asked.keys() == {"none"}
    assert rows["none"].score == 6 and rows["half"].score == 2


def test_a_changed_judge_touches_only_its_exercise(again: Course, asked) -> None:
    judges = again.judges(SMALL)
    text = judges.read_text(encoding="utf-8")
    assert "the factor ½ is missing" in text
    judges.write_text(text.replace("the factor ½ is missing", "half of it is missing"), encoding="utf-8")
    before = {student: records.read(again, student, SMALL) for student in ("wrong", "full")}
    rows = run(again)
    assert set(map(frozenset, asked.values())) == {frozenset({"kl-divergence"})}
    assert asked.keys() == CLASS.keys() | BY_COLAB.keys()
    assert rows["full"].score == 6
    wrong = records.read(again, "wrong", SMALL)
    assert wrong.verdicts[0].sentence == "✗ kl_divergence: half of it is missing"
    assert wrong.verdicts[1:] == before["wrong"].verdicts[1:]


def test_a_mark_given_by_hand_survives_grading_again(again: Course) -> None:
    with Gradebook(f"sqlite:///{again.root / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("which-unit", SMALL, SMALL, "full")
        grade.manual_score, grade.needs_manual_grade = 4, False
        gradebook.find_comment("which-unit", SMALL, SMALL, "full").manual_comment = "Well seen."
        gradebook.db.commit()
    assert run(again)["full"].score == 10
    page = (again.root / "feedback" / "full" / SMALL / f"{SMALL}.html").read_text(encoding="utf-8")
    assert "Well seen." in page
    assert run(again, again=True)["full"].score == 10


def test_a_student_who_handed_in_nothing_is_missing(again: Course) -> None:
    with Gradebook(f"sqlite:///{again.root / 'gradebook.db'}") as gradebook:
        gradebook.add_student("absent")
    row = run(again)["absent"]
    assert (str(row.status), row.score) == ("missing", None)


def test_a_score_can_be_explained_and_replayed(again: Course) -> None:
    (submission,) = (one for one in collect(again.root / "submitted") if one.student == "wrong")
    text = "\n".join(explain(again, submission))
    assert "wrong 00-small: graded, 0 of 6 by tests" in text
    assert "✗ kl_divergence: the factor ½ is missing" in text
    assert text.count("again the same") == 3
    hand_in(again, "wrong", notebook(read_assignment(again, SMALL), SOLVED))
    assert "has changed since" in "\n".join(explain(again, submission))


def test_a_torn_record_is_graded_anew(again: Course, asked) -> None:
    records.path_of(again, "half", SMALL).write_text('{"student": "ha')
    assert run(again)["half"].score == 2
    assert asked.keys() == {"half"}


def test_a_lab_that_the_course_does_not_have_is_named(again: Course) -> None:
    (again.root / "elsewhere" / "ada" / "09-none").mkdir(parents=True)
    with pytest.raises(CourseError, match="no lab '09-none'"):
        list(mark(again, collect(again.root / "elsewhere")))


def test_the_command_prints_a_table_and_writes_it(again: Course) -> None:
    # The command has other limits than this test's runs, so that what exceeded those would be tried again.
    for student in ("stuck", "ender"):
        shutil.rmtree(again.root / "submitted" / student)
    command = [sys.executable, "-m", "lvmlib.cli", "grade"]
    done = subprocess.run(command, cwd=again.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^full +00-small +6 +10 +to do +graded$", done.stdout, re.MULTILINE)
    with (again.root / "grades.csv").open(encoding="utf-8") as file:
        table = {row["student"]: row for row in csv.DictReader(file)}
    assert float(table["full"]["score"]) == 6 and table["torn"]["score"] == ""
