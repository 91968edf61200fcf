"""What a worker's end or an error of the grader's own comes to."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import KilledWorker
from distributed.client import FutureCancelledError

from lvmlib.authoring.course import CourseError
from lvmlib.grading import cluster
from lvmlib.grading.cluster import _result_of, graded, run
from lvmlib.grading.results import Status

TASK = SimpleNamespace(student="ada", assignment=SimpleNamespace(lab="00-small"))


def failing(error: Exception) -> SimpleNamespace:
    def result() -> None:
        raise error

    return SimpleNamespace(result=result)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KilledWorker("task", SimpleNamespace(address="tcp://worker"), 9), "10 of the grader's own processes ended"),
        (ZeroDivisionError(), "The grader itself failed on it with a ZeroDivisionError"),
    ],
)
def test_a_submission_that_the_grader_fails_on_is_told_and_stops_nobody(error: Exception, said: str) -> None:
    result = _result_of(failing(error), TASK)
    assert (result.student, result.lab, result.status, result.score) == ("ada", "00-small", Status.CRASHED, None)
    assert said in result.notes[0] and "run it by hand" in result.notes[0]


def test_a_worker_needs_no_folder_that_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(cluster, "_limit_memory", lambda: None)
    monkeypatch.setattr(cluster.tasks, "grade", lambda task: os.getcwd())
    assert Path(graded(TASK)).is_dir()


def test_what_concerns_all_submissions_stops_the_run() -> None:
    with pytest.raises(CourseError, match="no sandbox"):
        _result_of(failing(CourseError("There is no sandbox here.")), TASK)


def test_a_scheduler_that_ends_costs_nobody_a_score() -> None:
    with pytest.raises(CourseError, match="The scheduler is gone"):
        _result_of(failing(FutureCancelledError("task", "scheduler-connection-lost")), TASK)


def test_without_workers_a_run_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("distributed.wait", nothing)
    client = SimpleNamespace(
        as_current=nullcontext,
        cluster=None,
        submit=lambda *_, **__: object(),
        scheduler_info=lambda n_workers: {"workers": {}},
    )
    with pytest.raises(CourseError, match="All workers are gone"):
        next(run(client, [TASK]))
