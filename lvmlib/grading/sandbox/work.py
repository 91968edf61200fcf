"""What runs beside a stranger's code: its cells in order, then the probes.

Whatever this process says may have been said by the notebook in its place; nothing here decides anything.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lvmlib import exercises
from lvmlib.check import no_function, not_written
from lvmlib.grading.limits import Limits
from lvmlib.grading.sandbox.answers import encode
from lvmlib.grading.sandbox.channel import HEADER, Kind, receive, send
from lvmlib.grading.sandbox.integrity import replaced
from lvmlib.grading.sandbox.shell import the_shell
from lvmlib.probe import Unsolved, interrogate, is_stub

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
    while True:
        message = receive(reader, limits.messages)
        if message is None:
            return
        kind, content = _in_a_fork({reader, writer}, json.loads(message[1]), limits)
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


def _in_a_fork(channel: set[int], question: Mapping[str, Any], limits: Limits) -> tuple[Kind, bytes]:
    """The answers of a forked process, so that what one question does to it is not met by the next."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for descriptor in (ours, *channel):
                os.close(descriptor)
            send(theirs, *_answer(question))
        finally:
            os._exit(0)
    os.close(theirs)
    try:
        return _read_answer(ours, limits)
    finally:
        os.close(ours)
        _end(pid)


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while True:  # what it left behind has this process as its parent now
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _answer(question: Mapping[str, Any]) -> tuple[Kind, bytes]:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        function = eval(question["expression"], the_shell().user_ns)
    except Exception as error:
        return _failure("missing", _described(error))
    if not callable(function):
        return _failure("not a function", no_function(type(function).__name__))
    try:
        answers = interrogate(exercises.find(question["exercise"]).probe, function, question["seed"])
        return Kind.ANSWERS, encode(answers)
    except Unsolved as unsolved:
        return _failure("unsolved", not_written(str(unsolved), getattr(function, "__name__", "")))
    except BaseException as error:
        return _failure("broken", _described(error))


def _failure(why: str, detail: str = "") -> tuple[Kind, bytes]:
    return Kind.FAILURE, json.dumps({"why": why, "detail": detail[:LONGEST]}).encode()


def _read_answer(descriptor: int, limits: Limits) -> tuple[Kind, bytes]:
    deadline = time.monotonic() + limits.probe
    pieces = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return _failure("too slow")
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            return _failure("ended")
        pieces += piece
        if len(pieces) > limits.answers + HEADER.size:
            return _failure("too large")
        if len(pieces) >= HEADER.size:
            kind, length = HEADER.unpack(pieces[: HEADER.size])
            if len(pieces) >= HEADER.size + length:
                return Kind(kind), bytes(pieces[HEADER.size :])
