"""Grade a folder of submissions: find what changed, have it graded, and write what comes of it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING

from lvmlib.authoring.course import Course
from lvmlib.grading import records
from lvmlib.grading.changes import RELEASE, Lab, exercises_to_decide, joined, read_lab
from lvmlib.grading.cluster import connected, get_ready, processors, run
from lvmlib.grading.lab_cells import prepare
from lvmlib.grading.limits import LIMITS, Limits
from lvmlib.grading.marks import roster
from lvmlib.grading.publishing import publish, write_summary
from lvmlib.grading.reading import read
from lvmlib.grading.results import Result, Status
from lvmlib.grading.submission import MissingError, Submission, UnreadableError, load, read_timestamp
from lvmlib.grading.table import Row, row_of
from lvmlib.grading.task import LONGEST_NOTE, Task, library_hash
from lvmlib.grading.words import plain

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Settings:
    """How to grade.

    Attributes:
        scheduler: the address of a dask scheduler; None for workers of this machine's own, `workers` of them.
        unsafe: whether to run submissions without protection where there is no sandbox.
        again: whether to grade also what has not changed.
    """

    scheduler: str | None = None
    workers: int | None = None
    unsafe: bool = False
    again: bool = False
    limits: Limits = LIMITS


@dataclass
class Run:
    """One run over a folder of submissions."""

    course: Course
    settings: Settings
    labs: dict[str, Lab]
    connect: Callable[[], Client]
    """The workers, started when they are first asked for."""
    handed_in: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """When, by student and lab."""
    settled: deque[Row] = field(default_factory=deque)
    """Rows of submissions that needed no worker, until somebody fetches them."""

    def rows(self, submissions: Sequence[Submission]) -> Iterator[Row]:
        """Grade them; one row each, as soon as it is written."""
        tasks = self._tasks(submissions)
        first = next(tasks, None)
        yield from self._fetch_settled()
        if first is None:
            return
        for fresh in run(self.connect(), chain([first], tasks)):
            yield self._keep(joined(fresh, self._before(fresh.student, fresh.lab), self.labs[fresh.lab]))
            yield from self._fetch_settled()
        yield from self._fetch_settled()

    def _fetch_settled(self) -> Iterator[Row]:
        while self.settled:
            yield self.settled.popleft()

    def _before(self, student: str, lab: str) -> Result | None:
        return None if self.settings.again else records.read(self.course, student, lab)

    def _keep(self, result: Result) -> Row:
        if result != records.read(self.course, result.student, result.lab):
            records.write(self.course, result)
        handed_in = self.handed_in.get((result.student, result.lab))
        return publish(self.course, result, self.labs[result.lab].assignment, handed_in)

    def _tasks(self, submissions: Sequence[Submission]) -> Iterator[Task]:
        """What workers have to do; whatever needs none is settled on the way."""
        for submission in submissions:
            self.handed_in[submission.student, submission.lab] = read_timestamp(submission)
            outcome = self._examine(submission)
            if isinstance(outcome, Task):
                yield outcome
            else:
                self.settled.append(self._keep(outcome))

    def _examine(self, submission: Submission) -> Task | Result:
        """What is left to do for a submission, or what came of it."""
        lab = self.labs[submission.lab]
        try:
            loaded = load(submission)
        except (MissingError, UnreadableError) as error:
            status = Status.MISSING if isinstance(error, MissingError) else Status.UNREADABLE
            return Result(submission.student, submission.lab, status, (plain(str(error), LONGEST_NOTE),))
        digest = hashlib.sha256(loaded.content).hexdigest()
        before = self._before(submission.student, submission.lab)
        exercises = exercises_to_decide(lab, digest, before)
        if before is None or exercises:
            return Task(
                student=submission.student,
                name=loaded.name,
                content=loaded.content,
                found=loaded.notes,
                assignment=lab.assignment,
                exercises=exercises,
                seeds=lab.seeds,
                unsafe=self.settings.unsafe,
                private=private_paths(self.course),
                library=library_hash(),
                limits=self.settings.limits,
            )
        if before.versions.get(RELEASE) != lab.release and before.status.has_score:
            with suppress(UnreadableError):  # which it was not when it was graded
                cells = read(loaded.name, loaded.content, lab.assignment).cells
                return joined(replace(before, cells=cells), before, lab)
        return before


def private_paths(course: Course) -> tuple[str, ...]:
    """What a sandbox on this machine must not show."""
    names = ("solutions", "submitted", "verdicts", "gradebook.db", "autograded", "feedback", "grades.csv")
    return tuple(str(course.root / name) for name in names)


def mark(course: Course, submissions: Sequence[Submission], settings: Settings = Settings()) -> Iterator[Row]:  # noqa: B008
    """Grade submissions, with a progress bar; one row each, as soon as it is written.

    Results of earlier runs stay where neither the submission nor what decides it has changed.

    Raises:
        CourseError: a lab cannot be graded, or something cannot be written; what is written by then stays, and the next
            run goes on from there.
    """
    from tqdm import tqdm

    names = sorted({one.lab for one in submissions})
    course.labs(names)
    with ExitStack() as stack:
        connect = cache(partial(_connect, stack, course, len(submissions), settings))
        if settings.again or any(records.read(course, one.student, one.lab) is None for one in submissions):
            connect()  # now, so that the workers get ready while this process reads the labs
        labs = {name: read_lab(course, name, settings.limits) for name in names}
        for lab in labs.values():
            prepare(course, lab.assignment)
        with tqdm(total=len(submissions), unit="submission") as bar:
            for row in Run(course, settings, labs, connect).rows(submissions):
                bar.set_description(plain(f"{row.student} {row.lab}", 40))
                bar.update()
                yield row
    for name, lab in labs.items():
        yield from _missing(course, lab, {one.student for one in submissions if one.lab == name})
        write_summary(course, name)


def _connect(stack: ExitStack, course: Course, submissions: int, settings: Settings) -> Client:
    workers = min(submissions, settings.workers or processors())
    client = stack.enter_context(connected(settings.scheduler, workers))
    get_ready(client, settings.unsafe, private_paths(course), settings.limits)
    return client


def _missing(course: Course, lab: Lab, seen: set[str]) -> Iterator[Row]:
    """Students whom the gradebook knows, and who handed in nothing for this lab, now or earlier."""
    name = lab.assignment.lab
    for student in roster(course):
        if student not in seen and records.read(course, student, name) is None:
            result = Result(student, name, Status.MISSING, ("Nothing was handed in.",))
            yield row_of(result, None, lab.assignment.points)
