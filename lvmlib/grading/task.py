"""Grade one submission: a function of its bytes, the assignment and the seeds, which any machine can compute."""

from __future__ import annotations

import atexit
import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import lvmlib
from lvmlib.authoring.course import CourseError
from lvmlib.grading.assignment import Assignment, grade_id_of, nbgrader_of
from lvmlib.grading.limits import LIMITS, Limits
from lvmlib.grading.matching import runnable
from lvmlib.grading.reading import Notebook, UnreadableError, read
from lvmlib.grading.results import Result, Status, Verdict
from lvmlib.grading.sandbox.launch import choose
from lvmlib.grading.sandbox.sandbox import Report, Sandbox, Source
from lvmlib.grading.suspicion import find_suspicions
from lvmlib.grading.verdict import decide, rounds_of
from lvmlib.grading.words import plain, sentence

LONGEST_NOTE = 400


@dataclass(frozen=True)
class Task:
    """What grading one submission takes.

    Attributes:
        name: of the file, what `content` it has, and what was odd about finding it.
        exercises: those to decide; others are left as they are.
        seeds: of every exercise, drawn for this run.
        unsafe: whether to run it without protection where there is none.
        private: paths on this machine that a sandbox must not show.
        library: what `library_hash` gives where the run was started.
    """

    student: str
    name: str
    content: bytes
    found: tuple[str, ...]
    assignment: Assignment
    exercises: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    unsafe: bool = False
    private: tuple[str, ...] = ()
    library: str = ""
    limits: Limits = LIMITS


def grade(task: Task) -> Result:
    """Read, run and judge one submission.

    Raises:
        CourseError: this machine cannot grade: it has no sandbox, or another lvmlib.
    """
    digest = hashlib.sha256(task.content).hexdigest()
    if task.library and task.library != library_hash():
        raise CourseError("A worker has another lvmlib than this machine; install the same one there.")
    try:
        notebook = read(task.name, task.content, task.assignment)
    except UnreadableError as error:
        notes = (*task.found, plain(str(error), LONGEST_NOTE))
        return Result(task.student, task.assignment.lab, Status.UNREADABLE, notes, submission=digest)
    questions = [one for one in task.assignment.questions if one.exercise in task.exercises]
    sandbox = _sandbox(task.unsafe, task.private, task.limits)
    report = sandbox.run(_sources(notebook, task.assignment), rounds_of(questions, task.seeds))
    with _judging:
        verdicts, forged = decide(task.assignment, questions, task.seeds, report, task.limits)
    suspicions = (*_seen(report), *forged, *find_suspicions(notebook.cells, task.assignment.cells))
    status = status_of(report.stopped, verdicts, suspicions, whole=not report.left_out)
    return Result(
        task.student,
        task.assignment.lab,
        status,
        (*task.found, *notebook.notes, *_notes(report, notebook)),
        suspicions,
        verdicts if status.has_score else (),
        notebook.cells,
        digest,
        report.versions,
        round(report.seconds, 2),
    )


def status_of(stopped: str | None, verdicts: Sequence[Verdict], suspicions: Sequence[str], *, whole: bool) -> Status:
    """The status of a submission that could be read.

    Args:
        stopped: why the notebook could not be run; None if it could.
        whole: whether all of its cells were run.
    """
    if stopped:
        return Status.TIMED_OUT if stopped == "too slow" else Status.CRASHED
    if suspicions:
        return Status.SUSPICIOUS
    return Status.GRADED if whole and all(verdict.decided for verdict in verdicts) else Status.PARTLY


def _sources(notebook: Notebook, assignment: Assignment) -> list[Source]:
    return [Source(one.index, one.source, one.own) for one in runnable(notebook.cells, assignment)]


def _seen(report: Report) -> list[str]:
    replaced = [f"It replaced {name}." for name in report.replaced]
    return replaced + [sentence(f"its process {violation}") for violation in report.violations]


def _notes(report: Report, notebook: Notebook) -> list[str]:
    """What the student should know of how the notebook ran; only errors in their exercises are certain to be theirs."""
    notes = [f"Cell {index + 1} {what}, and was left out." for index, what in sorted(report.left_out.items())]
    for index, words in sorted(report.raised.items()):
        cell = notebook.cells[index]
        if nbgrader_of(cell).get("solution"):
            notes.append(sentence(f"the cell of {grade_id_of(cell)} {words}"))
        elif words == "took too long":
            notes.append(f"Cell {index + 1} took too long, and was stopped.")
    if report.stopped:
        notes.append(_STOPPED.get(report.stopped, _ENDED))
    return notes


_ENDED = "Python ended while it ran: out of memory, or the notebook ended it."
_STOPPED = {
    "too slow": "It did not run to its end in time.",
    "memory": "It used more memory than is allowed.",
    "processes": "It started more processes than are allowed.",
    "output": "It sent more output than is allowed.",
}

_kept = threading.local()
_judging = threading.Lock()
"""A probe sets torch's random numbers and settings, which threads share."""


def open_sandbox(unsafe: bool, private: tuple[str, ...], limits: Limits) -> None:
    """Start this thread's sandbox, if it is not there.

    Raises:
        SandboxError: there is none here, or it does not start.
    """
    _sandbox(unsafe, private, limits).open()


def _sandbox(unsafe: bool, private: tuple[str, ...], limits: Limits) -> Sandbox:
    """This thread's sandbox, warm since the first task."""
    wanted = (unsafe, private, limits)
    if getattr(_kept, "wanted", None) != wanted:
        close()
        launch = choose(unsafe=unsafe, private=[Path(path) for path in private], limits=limits)
        _kept.sandbox, _kept.wanted = Sandbox(launch, limits), wanted
        atexit.register(_kept.sandbox.close)
    return _kept.sandbox


def close() -> None:
    """End this thread's sandbox."""
    if getattr(_kept, "sandbox", None):
        _kept.sandbox.close()
    _kept.sandbox = _kept.wanted = None


@cache
def library_hash() -> str:
    """SHA-256 over the sources of lvmlib, so that two machines can tell whether theirs is the same."""
    root = Path(lvmlib.__path__[0])
    hashed = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        hashed.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hashed.hexdigest()
