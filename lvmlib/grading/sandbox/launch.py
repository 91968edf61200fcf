"""How the warm process is started: in bubblewrap, in a container, or, if told so, without any protection."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import lvmlib
from lvmlib.authoring.course import CourseError
from lvmlib.grading.limits import Limits

IMAGE = "lvmlib-sandbox"
ENGINES = ("podman", "docker")
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
USER = "1000"
APART = ("-s", "-P")
"""Python without the packages of a person's own, and without those of the working folder."""
NAME = "NAME-OF-THE-CONTAINER"
"""What stands in a command for the name that each start of a container draws."""
WARM = 1_000_000_000
"""Bytes that the warm process itself may hold in a container."""
ENVIRONMENT = {
    "HOME": "/tmp",
    "USER": "student",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "LVM_PROFILE": "smoke",
    "LVM_DEVICE": "cpu",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "IPYTHONDIR": "/tmp/ipython",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NBGRADER_EXECUTION": "autograde",
    "TQDM_DISABLE": "1",
}


class SandboxError(CourseError):
    """There is no sandbox to run a submission in; the message says what to install."""


@dataclass(frozen=True)
class Launch:
    """A command that starts the warm process.

    Attributes:
        reusable: whether it may serve one submission after the other.
        kind: what protects from it, for messages.
        removal: a command to run at the end, where to kill the process is not enough.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    reusable: bool
    kind: str
    removal: tuple[str, ...] = ()


def choose(*, unsafe: bool, private: Sequence[Path], limits: Limits) -> Launch:
    """The best there is on this machine.

    Args:
        unsafe: whether to do without, where there is none.
        private: files and folders that must not be seen inside.

    Raises:
        SandboxError: there is none, or it would show something private.
    """
    # Without namespaces of its own, a process of root's could still change the modes of the machine's devices.
    if works_here() and (nests_here() or os.geteuid() != 0):
        return bubblewrap(private, nested=nests_here())
    engines = list(filter(shutil.which, ENGINES))
    for engine in filter(has_image, engines):
        return container(engine, limits)
    if unsafe:
        return unprotected()
    raise SandboxError(_what_to_install(engines))


def _what_to_install(engines: Sequence[str]) -> str:
    if engines:
        return (
            f"Submissions run in a sandbox, and {engines[0]} has no image {IMAGE}:{lvmlib.__version__} yet; build it "
            "as solutions/README.md says, or grade with --unsafe, which runs every submission with your own rights."
        )
    if shutil.which("bwrap"):
        return (
            "Submissions run in a sandbox, and bubblewrap may not make one here; allow unprivileged user namespaces "
            "(solutions/README.md says how), or grade with --unsafe, which runs every submission with your own rights."
        )
    return (
        "Submissions run in a sandbox, and there is none here; install bubblewrap (Linux: apt install bubblewrap) "
        "or Docker or Podman, or grade with --unsafe, which runs every submission with your own rights."
    )


def bubblewrap(private: Sequence[Path] = (), *, nested: bool = True) -> Launch:
    """Namespaces of its own for everything, the system and this Python read-only, no network, an empty home.

    Raises:
        SandboxError: a private file lies in a folder that Python needs.
    """
    visible = [Path(folder) for folder in SYSTEM] + list(python_folders())
    for path in private:
        holder = next((folder for folder in visible if path.resolve().is_relative_to(folder)), None)
        if holder:
            raise SandboxError(
                f"The sandbox would show {path.name} to submissions, because it lies in {holder}, which Python needs; "
                "move the course, or the environment, to a folder of its own."
            )
    arguments = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    arguments += ["--uid", USER, "--gid", USER, "--hostname", "sandbox"]
    # First, since Python or the course may lie below it.
    arguments += ["--tmpfs", "/tmp", *_binds()]
    for folder in python_folders():
        arguments += ["--ro-bind", str(folder), str(folder)]
    arguments += ["--dev", "/dev", "--proc", "/proc", "--chdir", "/tmp"]
    # What bubblewrap made itself is in memory and writable: one submission could leave the next a file there.
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    mode = "nested" if nested else "single"
    return Launch((*arguments, *_python(mode)), _bare_environment(), reusable=nested, kind="bubblewrap")


def _binds() -> Iterator[str]:
    for folder in SYSTEM:
        path = Path(folder)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(folder), folder)
        elif path.is_dir():
            yield from ("--ro-bind", folder, folder)
    for path in map(Path, SETTINGS):
        if path.exists():
            yield from ("--ro-bind", str(path.resolve()), str(path))


def python_folders() -> Iterator[Path]:
    """Where this Python, its packages and lvmlib are, as far as the system's folders do not hold them."""
    system = [Path(folder).resolve() for folder in SYSTEM]
    seen: list[Path] = []
    for folder in (sys.base_prefix, sys.prefix, *map(str, lvmlib.__path__)):
        for path in dict.fromkeys((Path(folder), Path(folder).resolve())):
            if not any(path.is_relative_to(other) for other in [*system, *seen]):
                seen.append(path)
                yield path


def _python(mode: str) -> tuple[str, ...]:
    return (sys.executable, *APART, "-m", "lvmlib.grading.sandbox.warm", mode)


def container(engine: str, limits: Limits) -> Launch:
    """A container of the image `lvmlib-sandbox`, for one submission: no network, read-only, an empty home."""
    memory = str(limits.memory + WARM)
    arguments = [engine, "run", "--rm", "--interactive", "--name", NAME, "--pull", "never", "--log-driver", "none"]
    arguments += ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    arguments += ["--user", f"{USER}:{USER}", "--ipc", "private", "--tmpfs", f"/tmp:size={limits.files}"]
    arguments += [
        "--pids-limit",
        str(limits.processes + 16),
        "--memory",
        memory,
        "--memory-swap",
        memory,
        "--cpus",
        "1",
    ]
    for name, value in ENVIRONMENT.items():
        arguments += ["--env", f"{name}={value}"]
    command = (
        *arguments,
        f"{IMAGE}:{lvmlib.__version__}",
        "python",
        *APART,
        "-m",
        "lvmlib.grading.sandbox.warm",
        "single",
    )
    return Launch(command, dict(os.environ), reusable=False, kind=engine, removal=(engine, "rm", "--force", NAME))


def unprotected() -> Launch:
    """A process of one's own: limits of time and memory, and no other protection.

    Raises:
        SandboxError: this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise SandboxError("Windows cannot run submissions; grade inside WSL 2, where bubblewrap works.")
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return Launch(_python("single"), ENVIRONMENT | kept, reusable=False, kind="none")


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath)}


@cache
def works_here() -> bool:
    """Whether bubblewrap can make a sandbox on this machine."""
    return platform.system() == "Linux" and _succeeds(bubblewrap, "pass")


@cache
def nests_here() -> bool:
    """Whether a process in it may make namespaces of its own, so that a warm one can serve many submissions."""
    if not works_here():
        return False
    from lvmlib.grading.sandbox import libc

    # Not by `isolate` itself: with lvmlib comes torch, which takes seconds.
    flags = libc.CLONE_NEWUSER | libc.CLONE_NEWNS | libc.CLONE_NEWIPC | libc.CLONE_NEWPID
    return _succeeds(bubblewrap, f"import ctypes; raise SystemExit(ctypes.CDLL(None).unshare({flags}))")


def _succeeds(launch: Callable[[], Launch], script: str) -> bool:
    if not shutil.which("bwrap"):
        return False
    started = launch()
    command = [*started.command[: -len(_python(""))], sys.executable, *APART, "-c", script]
    try:
        return subprocess.run(command, env=started.environment, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def has_image(engine: str) -> bool:
    """Whether a container engine runs here and has our image, in this version."""
    command = [engine, "image", "inspect", f"{IMAGE}:{lvmlib.__version__}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
