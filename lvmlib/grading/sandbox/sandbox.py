"""The trusted end of a sandbox: hands a notebook in, asks its questions, and believes nothing of what comes back."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from lvmlib.grading.limits import Limits
from lvmlib.grading.sandbox.channel import ChannelError, Kind, Parser
from lvmlib.grading.sandbox.launch import Launch
from lvmlib.grading.sandbox.link import GRACE, Link, LinkLost, open_link
from lvmlib.grading.words import plain

LONGEST = 300
LARGEST_FAILURE = 65536
MOST_REPLACED = 20


@dataclass(frozen=True)
class Source:
    """A cell to run; `own` where it is an addition of the student's."""

    index: int
    source: str
    own: bool = False


@dataclass(frozen=True)
class Round:
    """One round of questions: the exercise, what the test cell hands to its probe, and the seed."""

    exercise: str
    expression: str
    seed: int


@dataclass(frozen=True)
class Failure:
    """Why a round has no answers.

    `why` is one of: unsolved, missing, not a function, broken, too slow, too large, memory, processes,
    ended, not run.
    """

    why: str
    detail: str = ""


@dataclass
class Report:
    """What came back of one submission: bytes and words of a stranger, and what was seen from outside.

    Attributes:
        answers: what `answers.encode` wrote, or should have, by round.
        failures: of the other rounds; once one of an exercise failed, the rest of it is not asked.
        raised: what cells raised, by their index.
        left_out: cells without which the notebook was started again, by index: what they did.
        stopped: why the notebook could not be run at all; None if it could.
        replaced: functions that it put its own in the place of.
        violations: of the order in which messages may come, in words.
        losses: how often the sandbox was lost meanwhile.
        seconds: CPU time.
    """

    answers: dict[Round, bytes] = field(default_factory=dict)
    failures: dict[Round, Failure] = field(default_factory=dict)
    raised: dict[int, str] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    stopped: str | None = None
    replaced: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    losses: int = 0
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


class Ended(Exception):
    """A submission's processes are gone, or have to be.

    `why` is one of: ended, stopped, memory, processes, too slow, output, violation, lost.
    """

    def __init__(self, why: str):
        super().__init__(why)
        self.why = why


class Sandbox:
    """Runs one submission after the other behind a wall; a context manager."""

    def __init__(self, launch: Launch, limits: Limits):
        self.launch = launch
        self.limits = limits
        self._link: Link | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Link:
        """The process inside, started if it is not there.

        Raises:
            SandboxError: it does not start.
        """
        if self._link is not None and self._link.process.poll() is not None:
            self.close()
        if self._link is None:
            self._link = open_link(self.launch)
        return self._link

    def close(self) -> None:
        """End the process inside and all it started."""
        if self._link is not None:
            self._link.close()
        self._link = None

    def run(self, cells: Sequence[Source], rounds: Sequence[Round]) -> Report:
        """Run a notebook's cells and ask its functions, again without what ends or stalls it, within the limits.

        Raises:
            SandboxError: the sandbox does not start.
        """
        report = Report()
        deadline = time.monotonic() + self.limits.submission
        for number in range(self.limits.attempts):
            if number == self.limits.attempts - 1:
                report.left_out |= {cell.index: _SUSPECT for cell in cells if cell.own} | report.left_out
            kept = [cell for cell in cells if cell.index not in report.left_out]
            waiting = [one for one in rounds if one not in report.answers and one not in report.failures]
            if self._attempt(kept, waiting, report, deadline) or time.monotonic() > deadline:
                break
        for one in rounds:
            if one not in report.answers:
                report.failures.setdefault(one, Failure("not run"))
        return report

    def _attempt(self, cells: Sequence[Source], rounds: Sequence[Round], report: Report, deadline: float) -> bool:
        """Whether there is nothing more to try; otherwise the report says what to leave out next time."""
        attempt = Attempt(self.open(), self.limits, report, deadline)
        try:
            attempt.load(cells)
            attempt.ask(rounds)
            attempt.end()
        except Ended as ended:
            attempt.blame(ended.why)
            if ended.why == "lost":
                self.close()
        finally:
            if not self.launch.reusable:
                self.close()
        return attempt.done


class Attempt:
    """One attempt at one submission, in the order: load, ask, end."""

    def __init__(self, link: Link, limits: Limits, report: Report, deadline: float):
        self.link = link
        self.limits = limits
        self.deadline = deadline
        self.report = report
        self.parser = Parser(limits.answers)
        self.heard: deque[tuple[Kind, bytes]] = deque()
        self.allowance = limits.messages
        self.loaded = self.done = False
        self.cells: Sequence[Source] = ()
        self.begun: int | None = None
        self.asked: Round | None = None
        report.versions = link.versions

    def load(self, cells: Sequence[Source]) -> None:
        """Run the cells."""
        self.cells = cells
        try:
            self.link.begin(self.limits)
        except LinkLost:
            raise Ended("lost") from None
        self._send(Kind.JOB, [{"index": cell.index, "source": cell.source} for cell in cells])
        known = {cell.index for cell in cells}
        deadline = time.monotonic() + self.limits.notebook
        kind, content = self._next(deadline)
        while kind is Kind.STARTED:
            self.begun = _member(content, known)
            kind, content = self._next(deadline)
        if kind is not Kind.LOADED:
            raise self._violation("answered before it was asked")
        self._note(content, known)
        self.begun = self.report.stopped = None
        self.loaded = True

    def ask(self, rounds: Sequence[Round]) -> None:
        """Ask all rounds of one exercise after the other, and no more of one that failed a round."""
        self.allowance += self.limits.answers
        failed = {(one.exercise, one.expression) for one in self.report.failures}
        for (exercise, expression), together in groupby(rounds, lambda one: (one.exercise, one.expression)):
            if (exercise, expression) not in failed:
                self._ask_exercise(exercise, expression, list(together))
        self.done = True

    def _ask_exercise(self, exercise: str, expression: str, rounds: Sequence[Round]) -> None:
        self._refuse_chatter()
        self.asked = rounds[0]
        seeds = [one.seed for one in rounds]
        self._send(Kind.QUESTION, {"exercise": exercise, "expression": expression, "seeds": seeds})
        for self.asked in rounds:
            kind, content = self._next(time.monotonic() + self.limits.probe + GRACE)
            if kind is Kind.FAILURE:
                self.report.failures[self.asked] = _failure(content)
                break
            if kind is not Kind.ANSWERS:
                raise self._violation("said something else where it was asked")
            self.report.answers[self.asked] = content
        self.asked = None

    def end(self) -> None:
        """Let the submission's processes end by themselves, so that all their CPU seconds are counted."""
        self._refuse_chatter()
        self.link.say_no_more()
        self._finish(stop=False)

    def _refuse_chatter(self) -> None:
        if self.heard or self.parser.waiting:
            raise self._violation("spoke without being asked")

    def blame(self, why: str) -> None:
        """Note what to leave out next time: the function that was asked, or the cell that ran."""
        first_loss = why == "lost" and not self.report.losses
        self.report.losses += why == "lost"
        if not self.loaded:
            self.report.stopped = why
        if first_loss:  # it may have been somebody else's doing
            return
        if why == "violation" and self._leave_out_own_cells():
            return
        if self.asked is not None:
            self.report.failures[self.asked] = Failure(_FAILURES.get(why, "ended"), _SENTENCES.get(why, ""))
        elif self.begun is not None:
            self.report.left_out[self.begun] = _SENTENCES.get(why, "ended Python")

    def _leave_out_own_cells(self) -> bool:
        """Whether there were any: who forges messages is not the one that was asked."""
        own = {cell.index: _SENTENCES["violation"] for cell in self.cells if cell.own}
        self.report.left_out |= own
        return bool(own)

    def _next(self, deadline: float) -> tuple[Kind, bytes]:
        """The next thing that the submission says.

        Raises:
            Ended: it says no more.
        """
        while not self.heard:
            piece = self.link.read(min(deadline, self.deadline))
            if piece is None:
                self._finish(stop=True)
                raise Ended("too slow")
            if not piece:
                raise Ended(self._finish(stop=False))
            self.allowance -= len(piece)
            if self.allowance < 0:
                self._finish(stop=True)
                raise Ended("output")
            try:
                self.heard.extend(self.parser.feed(piece))
            except ChannelError as error:
                raise self._violation(f"sent {error}") from None
        return self.heard.popleft()

    def _finish(self, *, stop: bool) -> str:
        try:
            end = self.link.finish(stop=stop)
        except LinkLost:
            raise Ended("lost") from None
        self.report.seconds += end.seconds
        return end.why

    def _note(self, content: bytes, known: set[int]) -> None:
        try:
            told = json.loads(content)
            raised = {int(index): plain(str(words), LONGEST) for index, words in told["raised"].items()}
            self.report.raised = {index: words for index, words in raised.items() if index in known}
            self.report.replaced = [plain(str(name), LONGEST) for name in list(told["replaced"])[:MOST_REPLACED]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._violation("sent what is no account of its cells") from None

    def _send(self, kind: Kind, content: Any) -> None:
        try:
            self.link.send(kind, json.dumps(content).encode())
        except LinkLost:
            raise Ended(self._finish(stop=True)) from None

    def _violation(self, what: str) -> Ended:
        if what not in self.report.violations:
            self.report.violations.append(what)
        self._finish(stop=True)
        return Ended("violation")


def _member(content: bytes, known: set[int]) -> int | None:
    number = int(content) if content.isdigit() and len(content) < 9 else None
    return number if number in known else None


def _failure(content: bytes) -> Failure:
    if len(content) > LARGEST_FAILURE:
        return Failure("broken")
    try:
        told: Mapping[str, Any] = json.loads(content)
        return Failure(plain(str(told["why"]), LONGEST), plain(str(told["detail"]), LONGEST))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Failure("broken")


_SUSPECT = "may be what stopped the notebook"
_FAILURES = {"too slow": "too slow", "output": "too large", "memory": "memory", "processes": "processes"}
_SENTENCES = {
    "too slow": "did not end in time",
    "memory": "used more memory than is allowed",
    "processes": "started more processes than are allowed",
    "output": "sent more than is allowed",
    "violation": "sent what no cell sends",
}
