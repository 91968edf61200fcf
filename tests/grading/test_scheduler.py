"""Through a scheduler that was started apart, with workers that may die, the scores are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_killed import descendants, folder, is_alive, recorded, scores, wait_until, workers_of  # noqa: F401

from lvmlib.authoring.course import CourseError
from lvmlib.grading.cluster import connected

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of a `dask scheduler`, and two `dask worker`s that were started for it."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    started = []
    with (tmp_path / "log").open("wb") as log:

        def start(*arguments: str) -> subprocess.Popen:
            process = subprocess.Popen([*dask, *arguments], cwd=tmp_path, stdout=log, stderr=log)
            started.append(process)
            return process

        try:
            start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
            wait_until(lambda: file.is_file() and file.read_text())
            address = json.loads(file.read_text())["address"]
            workers = [start("worker", address, "--nthreads", "1", "--no-dashboard") for _ in range(2)]
            yield address, workers
        finally:
            family = [pid for process in started for pid in descendants(process.pid)]
            for process in reversed(started):
                process.terminate()
                process.wait(60)
            wait_until(lambda: not any(map(is_alive, family)))


def test_the_scores_are_the_same_also_when_a_worker_dies(folder, scheduler) -> None:  # noqa: F811
    course, expected = folder
    address, workers = scheduler
    command = [sys.executable, "-m", "lvmlib.cli", "grade", "--scheduler", address]
    process = subprocess.Popen(command, cwd=course.root)
    wait_until(lambda: process.poll() is not None or (len(recorded(course)) > 3 and workers_of(workers[0].pid)))
    os.kill(workers_of(workers[0].pid)[0], signal.SIGKILL)
    assert process.wait(300) == 0
    assert scores(course) == (expected, expected)


def test_an_address_where_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvmlib.grading.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(CourseError, match="No scheduler answers at tcp://127.0.0.1:9"), connected("tcp://127.0.0.1:9"):
        pass
