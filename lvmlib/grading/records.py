"""One file a submission: what grading it came to, the truth that the gradebook and every page follow from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from lvmlib.authoring.course import Course, CourseError, write_atomically
from lvmlib.grading.results import Result

PLAIN = " _-.@+"
LONGEST = 200
"""Bytes of a file's name, so that a draft's suffix fits into the 255 that file systems allow."""


def path_of(course: Course, student: str, lab: str) -> Path:
    """Where the record of a submission is: `verdicts/LAB/STUDENT.json`, whatever the student's folder is called."""
    return course.root / "verdicts" / lab / f"{_file_name(student)}.json"


def read(course: Course, student: str, lab: str) -> Result | None:
    """The record of a submission; None where there is none, and where a file is torn or is somebody else's."""
    result = _read(path_of(course, student, lab))
    return result if result and (result.student, result.lab) == (student, lab) else None


def every(course: Course, lab: str) -> Iterator[Result]:
    """The records of a lab, one after the other, by file name."""
    for path in sorted((course.root / "verdicts" / lab).glob("*.json")):
        result = _read(path)
        if result and result.lab == lab and path_of(course, result.student, lab) == path:
            yield result


def write(course: Course, result: Result) -> None:
    """Keep a result; whoever reads meets the record before or this one, whole.

    Raises:
        CourseError: the disk is full or does not let us write; the record before is still there.
    """
    _write(course, path_of(course, result.student, result.lab), result.to_json())


def published(course: Course, result: Result) -> str | None:
    """The seal under which all that follows from a record was written last; None where it was not, to its end."""
    try:
        return _seal_of(course, result).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def set_published(course: Course, result: Result, seal: str) -> None:
    """Note that all that follows from a record is written.

    Raises:
        CourseError: the disk is full or does not let us write; then it will be written once more.
    """
    _write(course, _seal_of(course, result), seal)


def _seal_of(course: Course, result: Result) -> Path:
    path = path_of(course, result.student, result.lab)
    return path.parent / "published" / f"{path.stem}.seal"


def _read(path: Path) -> Result | None:
    try:
        return Result.from_json(path.read_bytes().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError, RecursionError):
        return None


def _write(course: Course, path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        place = path.relative_to(course.root).parent
        raise CourseError(
            f"A record could not be written into {place} ({error.strerror}); mend that and grade again, "
            "which goes on from here."
        ) from error


def _file_name(student: str) -> str:
    """A name that stays in its folder, different for every student."""
    name = "".join(letter if letter.isalnum() or letter in PLAIN else _escaped(letter) for letter in student)
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()
    return name.encode()[: LONGEST - len(digest) - 1].decode("utf-8", "ignore") + "~" + digest


def _escaped(letter: str) -> str:
    return quote(letter, safe="", errors="surrogatepass")
