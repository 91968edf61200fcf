"""Where the parts of the course are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class CourseError(Exception):
    """Something about the course or a submission is not as it must be; the message is one sentence for a person."""


@dataclass(frozen=True)
class Course:
    """A checkout of the course; every path follows from its root."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "nbgrader_config.py"

    @property
    def pictures(self) -> Path:
        return self.root / "lvmlib" / "pictures"

    @property
    def release(self) -> Path:
        return self.root / "course"

    @property
    def guide(self) -> Path:
        """What students read first."""
        return self.release / "README.md"

    def text(self, lab: str) -> Path:
        """The author's text of a lab."""
        return self.root / "solutions" / lab / f"{lab}.py"

    def judges(self, lab: str) -> Path:
        """Who decides the exercises of a lab; a lab without exercises of ours has none."""
        return self.text(lab).with_name("judges.py")

    def solution(self, lab: str) -> Path:
        """The executed notebook that is made from that text."""
        return self.root / "solutions" / lab / f"{lab}.ipynb"

    def released(self, lab: str) -> Path:
        """The notebook that students open."""
        return self.release / lab / f"{lab}.ipynb"

    def labs(self, wanted: Iterable[str] = ()) -> list[str]:
        """The labs that have a text, in order; only those wanted, where any are.

        Raises:
            CourseError: a wanted lab has no text.
        """
        found = sorted(path.stem for path in self.root.glob("solutions/*/*.py") if path.stem == path.parent.name)
        chosen = list(wanted)
        for lab in chosen:
            if lab not in found:
                raise CourseError(f"There is no lab {lab!r} under solutions/; there are {', '.join(found) or 'none'}.")
        return chosen or found


def find_course(start: Path | None = None) -> Course:
    """The course around a folder, the working directory unless told.

    Raises:
        CourseError: neither the folder nor one above it holds nbgrader_config.py and solutions/.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "nbgrader_config.py").is_file() and (folder / "solutions").is_dir():
            return Course(folder)
    raise CourseError(f"{start} is not inside the course; run this from the folder with nbgrader_config.py.")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old content or the new and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
