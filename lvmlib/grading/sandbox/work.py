"""What runs beside a stranger's code: its cells in order, then the probes.

Whatever this process says may have been said by the notebook in its place; nothing here decides anything.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lvmlib import exercises
from lvmlib.check import no_function, not_written
from lvmlib.grading.limits import Limits
from lvmlib.grading.sandbox.answers import encode
from lvmlib.grading.sandbox.channel import ChannelError, Kind, Parser, receive, send
from lvmlib.grading.sandbox.integrity import replaced
from lvmlib.grading.sandbox.shell import the_shell
from lvmlib.probe import Ask, Unsolved, interrogate, is_stub

FOLDER = "/tmp/work"
LONGEST = 300
LARGEST_JOB = 64_000_000


class TooLong(BaseException):
    """A cell ran longer than it may; no `except Exception` of the cell's own catches this."""


def work(reader: int, writer: int, limits: Limits) -> None:
    """Run the cells that come first, then answer questions until there are no more."""
    message = receive(reader, LARGEST_JOB)
    if message is None:
        return
    os.makedirs(FOLDER, exist_ok=True)
    os.chdir(FOLDER)
    raised = {}
    for cell in json.loads(message[1]):
        send(writer, Kind.STARTED, str(cell["index"]).encode())
        error = _run(cell["source"], limits.cell)
        if error is not None and not _is_unsolved(error):
            raised[str(cell["index"])] = _described(error)
    sys.stdout.flush()
    send(writer, Kind.LOADED, json.dumps({"raised": raised, "replaced": replaced()}).encode())
    with Examinee({reader, writer}, limits) as examinee:
        while message := receive(reader, limits.messages):
            for kind, content in examinee.ask(json.loads(message[1])):
                send(writer, kind, content)


def _run(source: str, seconds: float) -> BaseException | None:
    shell = the_shell()
    try:
        with _interrupted_after(seconds):
            result = shell.run_cell(source, store_history=False)
    except BaseException as error:  # the alarm can ring between the cell's end and the shell's
        return error
    return result.error_before_exec or result.error_in_exec


@contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, interrupt)
    # Again every second, for a cell that catches it.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_unsolved(error: BaseException) -> bool:
    try:
        return isinstance(error, NotImplementedError) and is_stub(error)
    except Exception:
        return False


def _described(error: BaseException) -> str:
    if isinstance(error, TooLong):
        return "took too long"
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = ""
    return f"raised {type(error).__name__}" + (f": {words[:LONGEST]}" if words else "")


class Examinee:
    """A forked process that answers; where one question ends or stalls it, another one answers the next."""

    def __init__(self, channel: set[int], limits: Limits):
        self.channel = channel
        self.limits = limits
        self.pid: int | None = None

    def __enter__(self) -> Examinee:
        gc.freeze()  # a collection in the fork would copy every page that it shares
        return self

    def __exit__(self, *_: object) -> None:
        self._dismiss()

    def ask(self, question: Mapping[str, Any]) -> Iterator[tuple[Kind, bytes]]:
        """The rounds of one exercise, one for each seed, up to the first failure."""
        content = json.dumps(question).encode()
        served_others = self.pid is not None
        answer = self._hear_after(content)
        if answer is None and served_others:  # an earlier exercise ended it, or left it unfit for others
            self._dismiss()
            answer = self._hear_after(content)
        for number in range(len(question["seeds"])):
            answer = self._hear() if number else answer
            if answer is None or isinstance(answer, str):
                self._dismiss()
                answer = _failure(answer or "ended")
            yield answer
            if answer[0] is Kind.FAILURE:
                return

    def _hear_after(self, question: bytes) -> tuple[Kind, bytes] | str | None:
        if self.pid is None:
            self._call()
        try:
            send(self.writer, Kind.QUESTION, question)
        except OSError:
            return None
        return self._hear()

    def _call(self) -> None:
        questions, self.writer = os.pipe()
        self.reader, answers = os.pipe()
        self.parser, self.heard = Parser(self.limits.answers), deque[tuple[Kind, bytes]]()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for descriptor in (self.reader, self.writer, *self.channel):
                    os.close(descriptor)
                _answer_all(questions, answers, self.limits)
            finally:
                os._exit(0)
        os.close(questions)
        os.close(answers)

    def _hear(self) -> tuple[Kind, bytes] | str | None:
        """The next round, or why there is none; None where the process is gone."""
        deadline = time.monotonic() + self.limits.probe
        while not self.heard:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.reader], [], [], left)[0]:
                return "too slow"
            piece = os.read(self.reader, 1 << 20)
            if not piece:
                return None
            try:
                self.heard.extend(self.parser.feed(piece))
            except ChannelError:
                return "too large"
        return self.heard.popleft()

    def _dismiss(self) -> None:
        if self.pid is None:
            return
        os.close(self.reader)
        os.close(self.writer)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = None
        while True:  # what it left behind has this process as its parent now
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    return
            except ChildProcessError:
                return


def _answer_all(reader: int, writer: int, limits: Limits) -> None:
    before = replaced()
    while message := receive(reader, limits.messages):
        for answer in _answers(json.loads(message[1])):
            send(writer, *answer)
        if replaced() != before:  # no other exercise should meet what this one changed
            return


def _answers(question: Mapping[str, Any]) -> Iterator[tuple[Kind, bytes]]:
    try:
        function = eval(question["expression"], the_shell().user_ns)
    except Exception as error:
        yield _failure("missing", _described(error))
        return
    if not callable(function):
        yield _failure("not a function", no_function(type(function).__name__))
        return
    probe = exercises.find(question["exercise"]).probe
    for seed in question["seeds"]:
        answer = _answer(probe, function, seed)
        yield answer
        if answer[0] is Kind.FAILURE:
            return


def _answer(probe: Callable[[Ask], None], function: Callable[..., Any], seed: int) -> tuple[Kind, bytes]:
    try:
        return Kind.ANSWERS, encode(interrogate(probe, function, seed))
    except Unsolved as unsolved:
        return _failure("unsolved", not_written(str(unsolved), getattr(function, "__name__", "")))
    except BaseException as error:
        return _failure("broken", _described(error))


def _failure(why: str, detail: str = "") -> tuple[Kind, bytes]:
    return Kind.FAILURE, json.dumps({"why": why, "detail": detail[:LONGEST]}).encode()
