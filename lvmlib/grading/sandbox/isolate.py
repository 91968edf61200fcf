"""What a process does before it runs a stranger's code."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lvmlib.grading.limits import Limits
from lvmlib.grading.sandbox import libc
from lvmlib.grading.sandbox.launch import python_folders
from lvmlib.grading.sandbox.system_calls import forbid_system_calls

USER = 1000
SHARED_MEMORY = 64_000_000


def unshare_namespaces() -> None:
    """New namespaces of users, mounts and IPC for this process, and of processes for its children.

    Raises:
        OSError: the kernel or its settings do not allow it.
    """
    libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS | libc.CLONE_NEWIPC | libc.CLONE_NEWPID)
    # Without these maps, files in a tmpfs of the new namespace cannot be made.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{USER} {USER} 1")
    Path("/proc/self/gid_map").write_text(f"{USER} {USER} 1")


def seal(limits: Limits, *, nested: bool) -> None:
    """Give up, for good, all that a lab's code does not need.

    Args:
        nested: whether this is the first process of namespaces of its own.

    Raises:
        OSError: something could not be given up.
    """
    with suppress(PermissionError):  # whoever leads a session already cannot start another
        os.setsid()
    if sys.platform == "linux":
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.leave_keyring()
    if nested:
        _be_killed_first()
        _mount(limits)
    _limit_resources(limits)
    if nested:
        libc.drop_capabilities()
    if sys.platform == "linux":
        _filter(required=nested)


def _filter(*, required: bool) -> None:
    """Where a container is the wall, or nothing is, a kernel without filters is no reason to refuse."""
    try:
        forbid_system_calls()
    except OSError:
        if required:
            raise


def _be_killed_first() -> None:
    Path("/proc/self/oom_score_adj").write_text("1000")


@contextmanager
def _python_kept_below(place: Path) -> Iterator[None]:
    """Where the body covers a folder in which Python or lvmlib lies, show them there again."""
    held = {folder: os.open(folder, os.O_PATH) for folder in python_folders() if folder.is_relative_to(place)}
    yield
    for folder, descriptor in held.items():
        folder.mkdir(parents=True)
        libc.mount(f"/proc/self/fd/{descriptor}", str(folder), None, libc.MS_BIND | libc.MS_REC)
        os.close(descriptor)


def _mount(limits: Limits) -> None:
    quiet = libc.MS_NOSUID | libc.MS_NODEV
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    with _python_kept_below(Path("/tmp")):
        libc.mount("tmpfs", "/tmp", "tmpfs", quiet, f"size={limits.files},nr_inodes=20000,mode=700")
    libc.mount("tmpfs", "/dev/shm", "tmpfs", quiet, f"size={SHARED_MEMORY},nr_inodes=2000,mode=700")
    for folder in ("/proc", "/dev/pts"):
        libc.mount("tmpfs", folder, "tmpfs", quiet | libc.MS_RDONLY, "size=4096,nr_inodes=2,mode=555")
    # Shared memory again, and charged to nobody.
    libc.mount("/dev/null", "/dev/zero", None, libc.MS_BIND)
    for device in filter(Path.is_char_device, Path("/dev").iterdir()):
        _keep_attributes(device)


def _keep_attributes(device: Path) -> None:
    """Let nobody change a device's permissions: it is the machine's own, and where root grades, so is its owner."""
    flags = libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | libc.MS_NOSUID | libc.MS_NOEXEC
    libc.mount("none", str(device), None, flags)


def _limit_resources(limits: Limits) -> None:
    seconds = int(limits.submission) + 1
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": limits.files,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_DATA": _data_in_use() + limits.memory,
    }
    for name, most in wanted.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


_data: int | None = None


def note_data_in_use() -> None:
    """Remember how much this process holds, before `/proc` is covered."""
    global _data
    _data = _data_in_use()


def _data_in_use() -> int:
    if _data is not None:
        return _data
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData")), 0)
