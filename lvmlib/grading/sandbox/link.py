"""The two ways to speak with a process inside a sandbox, seen from outside."""

from __future__ import annotations

import json
import math
import os
import secrets
import select
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from lvmlib.grading.limits import Limits
from lvmlib.grading.sandbox.channel import ChannelError, Kind, Parser, pack
from lvmlib.grading.sandbox.launch import NAME, Launch, SandboxError
from lvmlib.grading.words import plain

START_SECONDS = 180
GRACE = 5
HUNG_UP = 1
"""Seconds in which a process that no longer speaks should be gone."""
PATIENCE = 30
"""Seconds for what the warm process does at once, on a machine that may be busy."""
LARGEST = 65536
LONGEST = 300


@dataclass(frozen=True)
class End:
    """Why a submission's processes are gone, in a word, and the CPU seconds that they used."""

    why: str
    seconds: float


class LinkLost(Exception):
    """The process inside is gone or does not answer, without having said why."""


class Link(ABC):
    """A sandbox that is up; a submission is begun, spoken with and finished."""

    def __init__(self, launch: Launch, command: Sequence[str], **pipes: Any):
        self.launch = launch
        self.versions: dict[str, str] = {}
        self._said = b""
        self._has_spoken = False
        try:
            # In a session of its own, so that Ctrl-C in the grader's terminal is the grader's to handle.
            self.process = subprocess.Popen(
                command, env=launch.environment, stderr=subprocess.PIPE, bufsize=0, start_new_session=True, **pipes
            )
        except OSError as error:
            raise SandboxError(f"The sandbox ({launch.kind}) did not start: {plain(str(error), LONGEST)}.") from None

    @abstractmethod
    def begin(self, limits: Limits) -> None:
        """Start a submission's process.

        Raises:
            LinkLost: nobody is there.
        """

    def finish(self, *, stop: bool) -> End:
        """Wait until a submission's processes are gone, and tell them to go if `stop`.

        Raises:
            LinkLost: they do not.
            SandboxError: they could not be sealed off, and so ran nothing.
        """
        if stop:
            self._stop()
        told = self._account(PATIENCE if stop else HUNG_UP)
        if told is None and not stop:  # they fell silent, but live on
            self._stop()
            told = self._account(PATIENCE)
        if told is None:
            raise LinkLost
        # What has spoken was sealed off; it may say otherwise to stop the grader.
        if told.get("unsealed") and not self._has_spoken:
            raise SandboxError(
                f"The sandbox ({self.launch.kind}) cannot be sealed: {plain(told['unsealed'], LONGEST)}."
            )
        return End(str(told["ended"]), float(told["seconds"]))

    @abstractmethod
    def say_no_more(self) -> None:
        """Let a submission's process know that there are no more questions."""

    @abstractmethod
    def _stop(self) -> None:
        """Tell a submission's processes to go.

        Raises:
            LinkLost: nobody is there to tell.
        """

    @abstractmethod
    def _account(self, seconds: float) -> dict[str, Any] | None:
        """Why a submission's processes are gone, as `warm` tells it; None if they are not, after so many seconds."""

    @property
    @abstractmethod
    def reader(self) -> int:
        """The descriptor that a submission's process speaks to."""

    @property
    @abstractmethod
    def writer(self) -> int:
        """The descriptor that it listens to."""

    def send(self, kind: Kind, content: bytes) -> None:
        """Say something to a submission's process.

        Raises:
            LinkLost: it does not listen.
        """
        waiting = memoryview(pack(kind, content))
        deadline = time.monotonic() + GRACE
        try:
            while waiting:
                if not _ready(deadline, self.writer, select.POLLOUT):
                    raise LinkLost
                waiting = waiting[os.write(self.writer, waiting[:LARGEST]) :]
        except OSError:
            raise LinkLost from None

    def read(self, deadline: float) -> bytes | None:
        """What a submission's process says next: nothing where it can say no more, None where the time is over."""
        if not _ready(deadline, self.reader):
            return None
        try:
            piece = os.read(self.reader, 1 << 20)
        except OSError:
            return b""
        self._has_spoken = self._has_spoken or bool(piece)
        return piece

    def close(self) -> None:
        """End everything inside."""
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with suppress(OSError):
                    pipe.close()

    def _await_start(self, descriptor: int) -> None:
        """Wait for a first word, and let no complaint on standard error get stuck.

        Raises:
            SandboxError: there is none.
        """
        deadline = time.monotonic() + START_SECONDS
        while ready := _ready(deadline, descriptor, select.POLLIN, self._complaints):
            if descriptor in ready:
                return
            self._listen()
        raise self._refusal()

    @property
    def _complaints(self) -> int:
        assert self.process.stderr
        return self.process.stderr.fileno()

    def _listen(self) -> None:
        """Keep the end of what was said on standard error."""
        os.set_blocking(self._complaints, False)
        with suppress(BlockingIOError):
            self._said = (self._said + os.read(self._complaints, LARGEST))[-LARGEST:]

    def _refusal(self) -> SandboxError:
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._listen()
        reason = plain(self._last_words().decode("utf-8", "replace"), LONGEST)
        self.close()
        return SandboxError(f"The sandbox ({self.launch.kind}) did not start: {reason or 'it said nothing'}.")

    def _last_words(self) -> bytes:
        return self._said.strip().rpartition(b"\n")[2]


class WarmLink(Link):
    """A warm process that forks one for each submission."""

    def __init__(self, launch: Launch):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel: socket.socket | None = None
        with theirs:
            super().__init__(launch, launch.command, stdin=theirs, stdout=subprocess.DEVNULL)
        self._await_start(self.control.fileno())
        told = self._account(PATIENCE)
        if told is None:
            raise self._refusal()
        self.versions = _versions(told["hello"])

    def begin(self, limits: Limits) -> None:
        self._hang_up()
        self._has_spoken = False
        self.channel, theirs = socket.socketpair()
        # Blocking writes could wait for a process that does not read.
        self.channel.setblocking(False)
        with theirs:
            try:
                socket.send_fds(self.control, [json.dumps(asdict(limits)).encode()], [theirs.fileno()])
            except OSError:
                raise LinkLost from None

    def say_no_more(self) -> None:
        assert self.channel
        with suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)

    def _stop(self) -> None:
        try:
            self.control.send(b"stop")
        except OSError:
            raise LinkLost from None

    def _account(self, seconds: float) -> dict[str, Any] | None:
        if not _ready(time.monotonic() + seconds, self.control.fileno()):
            return None
        try:
            content = self.control.recv(LARGEST)
        except OSError:
            return None
        return json.loads(content) if content else None

    def _hang_up(self) -> None:
        if self.channel:
            self.channel.close()
        self.channel = None

    @property
    def reader(self) -> int:
        assert self.channel
        return self.channel.fileno()

    writer = reader

    def close(self) -> None:
        self._hang_up()
        self.control.close()
        with suppress(subprocess.TimeoutExpired):  # left to end by itself, its CPU seconds are counted as ours
            self.process.wait(GRACE)
        super().close()


class SingleLink(Link):
    """A process that runs one submission and ends."""

    def __init__(self, launch: Launch):
        name = f"lvmlib-{secrets.token_hex(8)}"
        self._removal = [part.replace(NAME, name) for part in launch.removal]
        command = [part.replace(NAME, name) for part in launch.command]
        super().__init__(launch, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.writer, False)
        self._await_start(self.reader)
        self.versions = self._hello()

    def _hello(self) -> dict[str, str]:
        parser, deadline = Parser(LARGEST), time.monotonic() + GRACE
        try:
            while piece := self.read(deadline):
                for _, content in parser.feed(piece):
                    return _versions(json.loads(content))
        except (ChannelError, ValueError):
            pass
        raise self._refusal()

    def begin(self, limits: Limits) -> None:
        self._has_spoken = False
        self.send(Kind.JOB, json.dumps(asdict(limits)).encode())

    def say_no_more(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    _stop = say_no_more

    def _account(self, seconds: float) -> dict[str, Any] | None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._listen()
        try:
            told = json.loads(self._last_words())
            # A submission can write here as well: no score depends on it.
            seconds = float(told["seconds"])
            finite = seconds if math.isfinite(seconds) else 0.0
            return {"ended": str(told["ended"]), "seconds": finite, "unsealed": str(told["unsealed"])}
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return {"ended": "ended", "seconds": 0.0}

    @property
    def reader(self) -> int:
        assert self.process.stdout
        return self.process.stdout.fileno()

    @property
    def writer(self) -> int:
        assert self.process.stdin
        return self.process.stdin.fileno()

    def close(self) -> None:
        super().close()
        # To kill a container engine's client does not end the container.
        if self._removal:
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(self._removal, capture_output=True, timeout=START_SECONDS)


def open_link(launch: Launch) -> Link:
    """Start the process inside and wait until it is ready.

    Raises:
        SandboxError: it does not start.
    """
    return WarmLink(launch) if launch.reusable else SingleLink(launch)


def _ready(deadline: float, descriptor: int, event: int = select.POLLIN, *readers: int) -> set[int]:
    """Which of these can be used, or have been left by the other side; none where the time is over."""
    poll = select.poll()
    for one, wanted in ((descriptor, event), *((reader, select.POLLIN) for reader in readers)):
        poll.register(one, wanted)
    left = max(0.0, deadline - time.monotonic())
    return {one for one, _ in poll.poll(1000 * left)}


def _versions(told: dict) -> dict[str, str]:
    return {name: plain(str(version), LONGEST) for name, version in told.items()}
