"""Pieces of code, one after another, in a kernel of this very Python; what ends it or takes too long is left out."""

from __future__ import annotations

import os
import queue
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import DEVNULL
from time import monotonic
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.course import CourseError

if TYPE_CHECKING:
    from jupyter_client import BlockingKernelClient, KernelManager

STARTING = 120
"""Seconds a kernel may take to start."""
LONGEST = 20_000
"""Characters kept of what a piece prints."""
QUIET = ("--log-level=ERROR", "--HistoryManager.hist_file=:memory:")


@dataclass(frozen=True)
class Piece:
    """A piece of code.

    Attributes:
        once: whether nothing after it needs what it does.
        patience: seconds that it may take in any case.
    """

    source: str
    once: bool = False
    patience: float = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a piece: what it printed, and how it ended.

    Attributes:
        error: the exception's name and text.
        stopped: `died` if it ended the kernel, `late` if it took too long.
    """

    text: str = ""
    error: tuple[str, str] | None = None
    stopped: str = ""


def run(
    pieces: Sequence[Piece], environment: dict[str, str], timeout: float, done: Callable[[int], Any]
) -> list[Outcome]:
    """Run all pieces in a fresh kernel, in an empty folder.

    A piece that ends the kernel, or takes longer than `timeout` seconds, is left out: the kernel is started anew, and
    all that are not `once` run again.

    Args:
        environment: variables for the kernel.
        done: is called with the number of pieces that are decided.

    Raises:
        CourseError: no kernel can be started.
    """
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(pieces):
        with _empty_folder() as folder, _kernel(folder, environment) as pair:
            for place, piece in enumerate(pieces):
                before = outcomes.get(place)
                if before is None or not (before.stopped or piece.once):
                    outcomes[place] = _execute(*pair, piece.source, max(timeout, piece.patience))
                    done(len(outcomes))
                    if outcomes[place].stopped:
                        break
    return [outcomes[place] for place in range(len(pieces))]


@contextmanager
def _empty_folder() -> Iterator[str]:
    try:
        made = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise CourseError(f"There is no room for temporary files ({error.strerror}); free some disk space.") from error
    with made as folder:
        yield folder


@contextmanager
def _kernel(folder: str, environment: dict[str, str]) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    try:
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import KernelManager
    except ModuleNotFoundError as error:
        raise CourseError(f"There is no {error.name} here to run a notebook with; run `lvm doctor`.") from error

    class ThisPython(KernelManager):
        # The kernel called python3 may belong to another installation.
        @property
        def kernel_spec(self) -> KernelSpec:
            arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", *QUIET]
            return KernelSpec(argv=arguments, display_name="Python 3", language="python")

    manager: Any = ThisPython()
    client = None
    try:
        # What a dying kernel prints there would tear the progress bar.
        manager.start_kernel(cwd=folder, env=os.environ | environment, stderr=DEVNULL, stdout=DEVNULL)
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=STARTING)
    except (RuntimeError, OSError) as error:
        _shut(manager, client)
        raise CourseError(f"A kernel could not be started ({error}); run `lvm doctor`, which says why.") from error
    try:
        yield manager, client
    finally:
        _shut(manager, client)


def _shut(manager: Any, client: Any) -> None:
    if client is not None:
        client.stop_channels()
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)


def _execute(manager: KernelManager, client: BlockingKernelClient, source: str, timeout: float) -> Outcome:
    """Run one piece and listen until the kernel is idle again."""
    asked = client.execute(source, allow_stdin=False, stop_on_error=False)
    text, error = "", None
    end = monotonic() + timeout
    while True:
        if monotonic() > end:
            return Outcome(text, error, "late")
        try:
            told = client.get_iopub_msg(timeout=min(0.5, timeout))
        except queue.Empty:
            if not manager.is_alive():
                return Outcome(text, error, "died")
            continue
        if told["parent_header"].get("msg_id") != asked:
            continue
        content = told["content"]
        if told["msg_type"] == "stream" and content["name"] == "stdout":
            text = (text + content["text"])[-LONGEST:]
        elif told["msg_type"] == "error":
            error = content["ename"], content["evalue"]
        elif told["msg_type"] == "status" and content["execution_state"] == "idle":
            return Outcome(text, error)
