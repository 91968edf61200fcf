"""Messages over pipes: one byte of kind, eight of length, then the content."""

from __future__ import annotations

import os
import struct
from enum import IntEnum

HEADER = struct.Struct(">BQ")


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    """The process is ready; its versions as JSON."""
    JOB = 2
    """Limits, or cells to run, as JSON."""
    QUESTION = 3
    """One probe with its seed, as JSON."""
    STARTED = 10
    """The number of the cell that begins."""
    LOADED = 11
    """All cells have run; what they raised, as JSON."""
    ANSWERS = 12
    """One round of answers, as `answers.encode` writes it."""
    FAILURE = 13
    """Why there are no answers, as JSON."""


class ChannelError(Exception):
    """What arrived is no message, or a larger one than is allowed."""


def pack(kind: Kind, content: bytes = b"") -> bytes:
    """One message as bytes."""
    return HEADER.pack(kind, len(content)) + content


def send(descriptor: int, kind: Kind, content: bytes = b"") -> None:
    """Write one message; blocks until it is gone.

    Raises:
        OSError: nobody reads any more.
    """
    waiting = memoryview(pack(kind, content))
    while waiting:
        waiting = waiting[os.write(descriptor, waiting) :]


def receive(descriptor: int, largest: int) -> tuple[Kind, bytes] | None:
    """Read one message; None where the other side is gone.

    Raises:
        ChannelError: it is larger than `largest`, or no message.
    """
    header = _exactly(descriptor, HEADER.size)
    if header is None:
        return None
    kind, length = _parse(header, largest)
    content = _exactly(descriptor, length)
    return None if content is None else (kind, content)


class Parser:
    """Messages out of a stream that arrives in pieces; `largest` is the most bytes one may hold."""

    def __init__(self, largest: int):
        self.largest = largest
        self._waiting = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that have arrived and belong to no message yet."""
        return len(self._waiting)

    def feed(self, piece: bytes) -> list[tuple[Kind, bytes]]:
        """The messages that this piece completes.

        Raises:
            ChannelError: one is larger than `largest`, or none.
        """
        self._waiting += piece
        complete = []
        while len(self._waiting) >= HEADER.size:
            kind, length = _parse(bytes(self._waiting[: HEADER.size]), self.largest)
            end = HEADER.size + length
            if len(self._waiting) < end:
                break
            complete.append((kind, bytes(self._waiting[HEADER.size : end])))
            del self._waiting[:end]
        return complete


def _parse(header: bytes, largest: int) -> tuple[Kind, int]:
    kind, length = HEADER.unpack(header)
    if length > largest:
        raise ChannelError(f"a message of {length:,} bytes, where {largest:,} are allowed")
    try:
        return Kind(kind), length
    except ValueError:
        raise ChannelError(f"a message of the unknown kind {kind}") from None


def _exactly(descriptor: int, length: int) -> bytes | None:
    pieces = bytearray()
    while len(pieces) < length:
        piece = os.read(descriptor, min(1 << 20, length - len(pieces)))
        if not piece:
            return None
        pieces += piece
    return bytes(pieces)
