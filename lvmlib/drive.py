"""Google Drive, where files outlive a Colab session."""

from __future__ import annotations

import sys
from importlib import import_module
from os.path import isdir
from pathlib import Path, PurePosixPath

from lvmlib.checkpoint import CheckpointError

PREFIX = "drive:"
MOUNT = Path("/content/drive")


def locate(path: str | Path, *, announce: bool = True) -> Path:
    """Where a file is that may be asked for on Google Drive, as `"drive:pgd.pt"`.

    On Colab that is `MyDrive/lvm/pgd.pt`; Drive is mounted if need be, for which Colab asks the person in front of it.
    Elsewhere it is `pgd.pt` in the working directory, a notebook's own folder.  Other paths are as they are.

    Args:
        path: a file's path, or `drive:` and a relative name, which may have folders.
        announce: whether to print a line where there is no Drive.

    Raises:
        ValueError: the name after `drive:` is empty, absolute or leaves the folder.
        CheckpointError: Drive was not mounted.
    """
    if not str(path).startswith(PREFIX):
        return Path(path)
    name = _name(str(path).removeprefix(PREFIX))
    if "google.colab" in sys.modules:
        return _mounted() / "lvm" / name
    if announce:
        print(f"Google Drive is there on Colab only; {PREFIX}{name} is {name} in this notebook's folder.")
    return Path(name)


def _name(given: str) -> PurePosixPath:
    name = PurePosixPath(given)
    if not name.parts or name.is_absolute() or ".." in name.parts or {"\\", ":"} & set(given):
        raise ValueError(f"{PREFIX}{given} names no file below MyDrive/lvm; give a relative name, as in drive:pgd.pt.")
    return name


def _mounted() -> Path:
    """The folder of the person's own files."""
    files = MOUNT / "MyDrive"
    if isdir(files):  # False also for a mount that has died, where Path.is_dir raises
        return files
    try:
        import_module("google.colab.drive").mount(str(MOUNT))
    except Exception as error:  # Colab raises what it likes where access was refused
        raise _unmounted(str(error) or type(error).__name__) from error
    if not isdir(files):
        raise _unmounted(f"{files} is not there")
    return files


def _unmounted(reason: str) -> CheckpointError:
    return CheckpointError(
        f"Google Drive was not mounted ({reason}), so nothing was trained; run the cell again and allow access, or "
        f"leave {PREFIX!r} out of the checkpoint's name to keep it for as long as this runtime lasts."
    )
