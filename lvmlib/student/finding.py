"""Which file is meant by `3`, `03-vae` or a path."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from lvmlib.student.notebooks import NotebookError

MOST_NAMED = 5


def find_notebook(wanted: str, start: Path | None = None) -> Path:
    """The notebook that a student means.

    Args:
        wanted: a lab's number (`3`, `03`), its name (`03-vae`) or a path.
        start: the folder to begin in, the working one without.  A number or a name is looked for there, in the lab's
            folder and in course/, and then in the folders above.

    Raises:
        NotebookError: there is none, or there are several; the message says where was looked.
    """
    start = (start or _working_folder()).absolute()
    if not wanted.strip():
        raise NotebookError("Say which lab: a number or a name, as 3 or 03-vae, or the path of your notebook.")
    if wanted.casefold().endswith(".ipynb") or "/" in wanted or os.sep in wanted or wanted in (".", ".."):
        return _by_path(wanted, start)
    for folder in (start, *start.parents):
        found = _in_or_below(folder, wanted)
        exact = [path for path in found if path.stem == wanted]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(str(path.relative_to(folder)) for path in found[:MOST_NAMED])
            raise NotebookError(f"{folder} holds several notebooks of lab {wanted}: {names}; name the one you mean.")
    raise NotebookError(
        f"There is no notebook of lab {wanted} in {start}, in course/ there, or in a folder above; "
        "go to the folder it is in, or give its path."
    )


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise NotebookError("The working folder is gone; go to the one your notebook is in.") from error


def _by_path(wanted: str, start: Path) -> Path:
    path = start / Path(wanted).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.ipynb"))
        if len(found) == 1:
            return found[0]
        there = ", ".join(one.name for one in found) or "no notebook"
        raise NotebookError(f"{wanted} is a folder with {there}; give the path of one notebook.")
    if not path.is_file():
        raise NotebookError(f"There is no file {wanted} in {start}; give the path of your notebook.")
    return path


def _in_or_below(folder: Path, wanted: str) -> list[Path]:
    """The notebooks of a lab in a folder; where there are none, in the lab's folder there, and then in course/."""
    lab = f"{int(wanted):02}-*" if re.fullmatch(r"\d{1,2}", wanted) else f"{glob.escape(wanted)}*"
    for place in (f"{lab}.ipynb", f"{lab}/{lab}.ipynb", f"course/{lab}/{lab}.ipynb"):
        found = [Path(path) for path in sorted(glob.glob(f"{glob.escape(str(folder))}/{place}"))]
        if found := [path for path in found if path.is_file()]:
            return found
    return []
