"""The process inside a sandbox: it imports torch and lvmlib, and then runs submissions.

Run as `python -s -P -m lvmlib.grading.sandbox.warm MODE`:

- `nested`: its standard input is a socket.  For each submission that socket brings another one, over which a forked
  process in namespaces of its own speaks with the grader.  Nothing of a submission passes through this process, whose
  memory the next one inherits.
- `single`: it forks once; the process forked runs one submission and speaks over standard input and output.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from lvmlib.grading.limits import Limits
from lvmlib.grading.sandbox import isolate, watch
from lvmlib.grading.sandbox.channel import Kind, receive, send

TICK = 0.05
LARGEST = 65536
LONGEST = 300


def main(mode: str) -> None:
    """Serve submissions until nobody sends any."""
    if mode == "nested":
        _refuse_company()
        warm_up()
        _serve(socket.socket(fileno=0))
    else:
        warm_up()
        send(1, Kind.HELLO, json.dumps(versions()).encode())
        _run_here()


def warm_up() -> None:
    """Import what labs import, and let torch look at the processor while `/proc` can be seen."""
    import matplotlib.pyplot  # noqa: F401
    import torch

    import lvmlib
    from lvmlib import exercises, show
    from lvmlib.grading.sandbox import integrity, work  # noqa: F401
    from lvmlib.grading.sandbox.shell import the_shell

    torch.set_num_threads(1)
    layer = torch.nn.Conv2d(1, 1, 3)
    layer(torch.zeros(1, 1, 5, 5)).sum().backward()
    torch.optim.Adam(layer.parameters()).step()
    list(exercises.every())
    for package in (lvmlib, show):
        for name in package.__all__:
            getattr(package, name)
    the_shell().run_cell("pass", store_history=False)
    integrity.take_note()
    isolate.note_data_in_use()
    # A collection would write to every object, and so copy the pages that forks share.
    gc.collect()
    gc.freeze()


def versions() -> dict[str, str]:
    """What submissions run on."""
    import numpy
    import torch

    from lvmlib import __version__

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "lvmlib": __version__,
    }


def _refuse_company() -> None:
    """This mode ends every other process that it sees, so it runs in bubblewrap's namespace only, alone."""
    if os.getpid() == 1 or not _is_alone() or list(watch.others({1, os.getpid()})):
        raise SystemExit("The mode `nested` runs in a sandbox of its own only.")


def _serve(control: socket.socket) -> None:
    # From now on nobody reads it, and a full pipe would block.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    control.send(json.dumps({"hello": versions()}).encode())
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, LARGEST, 1)
        if not content:
            return
        if descriptors:
            limits, channel = Limits(**json.loads(content)), socket.socket(fileno=descriptors[0])
            control.send(json.dumps(_run_apart(control, channel, limits)).encode())


def _run_apart(control: socket.socket, channel: socket.socket, limits: Limits) -> dict[str, Any]:
    """Run one submission in namespaces of its own, end all that it started, and tell why it ended."""
    pid, trouble = _fork(partial(_become_submission, channel, limits))
    channel.close()
    trusted = {1, os.getpid(), pid}
    why, used = _watch(pid, (control, select.POLLIN), trusted, limits)
    if why == "stopped":
        control.recv(LARGEST)
    _end_others(trusted)
    used = used or os.wait4(pid, 0)[2]
    return _account(why, used, trouble)


def _run_here() -> NoReturn:
    """Run the one submission of mode `single`, and tell why it ended on standard error; ends this process."""
    message = receive(0, LARGEST)
    if message is None:
        os._exit(0)
    limits = Limits(**json.loads(message[1]))
    pid, trouble = _fork(partial(_become_only_submission, limits))
    trusted = {1, os.getpid()} if _is_alone() else None
    # Standard input belongs to the submission; here it only tells whether the grader is still there.
    why, used = _watch(pid, (0, 0), trusted, limits)
    if used is None:
        os.kill(pid, signal.SIGKILL)
        used = os.wait4(pid, 0)[2]
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    os.write(2, b"\n" + json.dumps(_account(why, used, trouble)).encode())
    os._exit(0)


def _is_alone() -> bool:
    """Whether every process that this one sees is its own, as in a container or in bubblewrap."""
    if os.getpid() == 1:
        return True
    try:
        return Path("/proc/1/comm").read_bytes().strip() == b"bwrap"
    except OSError:
        return False


def _fork(become: Callable[[], NoReturn]) -> tuple[int, int]:
    """Fork what becomes a submission's process; what keeps it from that can be read from the descriptor returned."""
    trouble, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become()
        except BaseException as error:
            os.write(theirs, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:LONGEST])
        finally:
            os._exit(0)
    os.close(theirs)
    return pid, trouble


def _watch(
    pid: int, stop: tuple[Any, int], trusted: set[int] | None, limits: Limits
) -> tuple[str, resource.struct_rusage | None]:
    """Why a submission's processes are at an end or have to be, and what the first used if it was waited for.

    Args:
        stop: a descriptor, and what happens to it if the grader wants no more.
        trusted: every process here that is not the submission's; None where strangers are among them.
    """
    poll = select.poll()
    poll.register(*stop)
    while not poll.poll(1000 * TICK):
        ended, _, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return "ended", used
        exceeded = watch.usage(trusted, limits.memory).exceeds(limits) if trusted else None
        if exceeded:
            return exceeded, None
    return "stopped", None


def _account(why: str, used: resource.struct_rusage, trouble: int) -> dict[str, Any]:
    with open(trouble, "rb") as pipe:
        unsealed = pipe.read(LONGEST).decode("utf-8", "replace")
    return {"ended": why, "seconds": used.ru_utime + used.ru_stime, "unsealed": unsealed}


def _become_submission(channel: socket.socket, limits: Limits) -> NoReturn:
    """Never returns: the forked process, and the one in new namespaces that it forks again."""
    isolate.unshare_namespaces()
    pid = os.fork()
    if pid:
        channel.close()
        os.waitpid(pid, 0)
        os._exit(0)
    isolate.seal(limits, nested=True)
    descriptor = channel.detach()
    _keep_only(descriptor, descriptor)
    _work(3, 3, limits)


def _become_only_submission(limits: Limits) -> NoReturn:
    isolate.seal(limits, nested=False)
    _keep_only(os.dup(0), os.dup(1))
    _work(3, 4, limits)


def _work(reader: int, writer: int, limits: Limits) -> NoReturn:
    from lvmlib.grading.sandbox.work import work

    try:
        work(reader, writer, limits)
    finally:
        os._exit(0)


def _keep_only(reader: int, writer: int) -> None:
    """Keep no open file but these two, as 3 and 4, or as 3 where they are one; the standard ones lead nowhere."""
    kept = [os.dup(one) for one in dict.fromkeys((reader, writer))]
    high = [_duplicate(one, 200 + place) for place, one in enumerate(kept)]
    for place, one in enumerate(high, start=3):
        os.dup2(one, place, inheritable=False)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3 + len(kept), 65536)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - they stay


def _duplicate(descriptor: int, least: int) -> int:
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)


def _end_others(trusted: set[int]) -> None:
    while True:
        found = list(watch.others(trusted))
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1])
