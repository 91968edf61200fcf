"""Killed at any moment, a run loses nothing: the next one goes on from there, and comes to what it would have come to.

`LVM_KILLS` says how often the coordinator and how often a worker is killed (4 without it).
"""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import SOLVED, notebook
from nbgrader.api import Gradebook

from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment, read_assignment

SMALL = "00-small"
STUDENTS = 30
KILLS = int(os.environ.get("LVM_KILLS", "4"))
POINTS = {"kl-divergence": 2, "reparameterize": 3, "active-units": 1}

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def hand_in(course: Course, assignment: Assignment) -> dict[str, float]:
    """Thirty submissions, and the score that each of them has honestly solved."""
    expected = {}
    for number in range(STUDENTS):
        solved = [name for place, name in enumerate(POINTS) if number >> place & 1]
        student = f"student-{number:02}"
        path = course.root / "submitted" / student / SMALL / f"{SMALL}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(notebook(assignment, {name: SOLVED[name] for name in solved}))
        expected[student] = sum(POINTS[name] for name in solved)
    return expected


@pytest.fixture
def folder(small: Course) -> tuple[Course, dict[str, float]]:
    return small, hand_in(small, read_assignment(small, SMALL))


def start(course: Course) -> subprocess.Popen:
    command = [sys.executable, "-m", "lvmlib.cli", "grade", "--workers", "2"]
    with (course.root / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=course.root, stdout=log, stderr=log)


def recorded(course: Course) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (course.root / "verdicts" / SMALL).glob("*.json")}


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from descendants(child)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def workers_of(pid: int) -> list[int]:
    """The processes of dask's workers: those that hold a sandbox."""
    found = descendants(pid)
    return [
        one
        for one in found
        if "spawn_main" in command_of(one) and any("bwrap" in command_of(c) for c in descendants(one))
    ]


def wait_until(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def scores(course: Course) -> tuple[dict[str, float], dict[str, float]]:
    """By student, what the table says, and what the gradebook says."""
    with (course.root / "grades.csv").open(encoding="utf-8") as file:
        table = {row["student"]: float(row["score"]) for row in csv.DictReader(file)}
    with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}") as gradebook:
        entered = gradebook.assignment_submissions(SMALL)
        assert len(entered) == len({one.student.id for one in entered})
        return table, {one.student.id: one.score for one in entered}


def kill_with_family(pid: int) -> None:
    """Kill a process and see that all it started is gone."""
    family = list(descendants(pid))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, family)))


def wait_for_records(course: Course, process: subprocess.Popen, count: int) -> bool:
    """Wait for so many records; whether the run is still going on then."""
    wait_until(lambda: process.poll() is not None or len(recorded(course)) >= count)
    return process.poll() is None


def test_the_coordinator_can_be_killed_at_any_moment(folder) -> None:
    course, expected = folder
    draw = random.Random(20)
    known: dict[str, bytes] = {}
    for kill in range(KILLS):
        process = start(course)
        if kill % 3:  # between one record and the next
            wait_for_records(course, process, min(STUDENTS, len(known) + draw.randrange(4)))
            time.sleep(draw.uniform(0, 0.3))
        else:  # anywhere in the start
            time.sleep(draw.uniform(0, 8))
        if process.poll() is None:
            kill_with_family(process.pid)
            process.wait()
        now = recorded(course)
        assert known.items() <= now.items(), "a submission was graded twice"
        known = now
    assert start(course).wait(300) == 0, (course.root / "log").read_text()
    assert known.items() <= recorded(course).items(), "a submission was graded twice"
    assert scores(course) == (expected, expected)


def test_workers_can_be_killed_at_any_moment(folder) -> None:
    course, expected = folder
    draw = random.Random(21)
    process = start(course)
    for kill in range(KILLS):
        if not wait_for_records(course, process, STUDENTS * kill // KILLS):
            break
        wait_until(lambda: process.poll() is not None or workers_of(process.pid))
        time.sleep(draw.uniform(0, 0.3))
        for victim in workers_of(process.pid)[:1]:
            kill_with_family(victim)
    assert process.wait(300) == 0, (course.root / "log").read_text()
    assert scores(course) == (expected, expected)
