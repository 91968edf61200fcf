"""JupyterLab as `make lab` starts it, in a folder laid out as its user has it and with a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).parents[2]
BESIDE_THE_LABS = ("Makefile", "pyproject.toml", "nbgrader_config.py")
OPTIONS = "--no-browser --ip=127.0.0.1 --port=0 --allow-root --IdentityProvider.token=browser"
PATIENCE = 120.0
"""Seconds that a server may take to start, and one that was told to stop may take to end."""
BETWEEN_LOOKS = 0.05


def lay_out(root: Path, *folders: str) -> Path:
    """Make a user's clone: what stands beside the labs, and these folders of labs."""
    root.mkdir(parents=True)
    for name in BESIDE_THE_LABS:
        shutil.copy2(ROOT / name, root / name)
    for name in folders:
        shutil.copytree(ROOT / name, root / name)
    return root


def make(target: str, **variables: str) -> list[str]:
    """The command that makes a target in the environment of the tests; it would rather fail than install anything."""
    venv = Path(sys.prefix)
    given = {"VENV": str(venv), "PYTHON": "false"} | variables
    return ["make", "-o", str(venv / ".installed"), target, *(f"{name}={value}" for name, value in given.items())]


def surroundings(home: Path, profile: str = "smoke") -> dict[str, str]:
    """Environment variables with which Jupyter keeps everything of its user in one folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "MAKE", "MFLAGS"))}
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    return kept | folders | {"HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "LVM_PROFILE": profile}


@contextmanager
def jupyterlab(root: Path, profile: str = "smoke") -> Iterator[str]:
    """`make lab` in a folder: the address that it prints, until the block ends and everything it started with it."""
    home = root.with_name(f"{root.name}-home")
    home.mkdir()
    log = home / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            make("lab", LAB_ARGS=OPTIONS),
            cwd=root,
            env=surroundings(home, profile),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield _address(server, home / "runtime", log)
    finally:
        _end(server)


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Where a server can be reached, once it has told in its runtime folder."""
    latest = monotonic() + PATIENCE
    while monotonic() < latest and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            with suppress(ValueError):  # while it is being written
                told = json.loads(file.read_text(encoding="utf-8"))
                return f"{told['url']}lab/tree/course?token={told['token']}"
        sleep(BETWEEN_LOOKS)
    raise AssertionError(f"`make lab` gave no address; it said:\n{log.read_text(encoding='utf-8')}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Stop a server, which stops its kernels, and whatever else its session holds."""
    with suppress(subprocess.TimeoutExpired, ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
