"""Find students' notebooks in a folder, and take in the bytes of the one that was meant."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lvmlib.authoring.course import CourseError
from lvmlib.grading.words import printable

LONGEST_NAME = 200
"""Characters and bytes of a student's name."""
LONGEST_TIMESTAMP = 100
LARGEST = 100_000_000
"""Bytes of a notebook with its outputs."""
DEEPEST, MOST_FILES = 4, 2000
"""Of a submission that is a tree of folders: how far, and how much of it is looked at."""
NO_WORK = ("__MACOSX", "__pycache__")
NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)


class UnreadableError(CourseError):
    """A submission cannot be read; the message says why, and what the student should do."""


class MissingError(CourseError):
    """There is no notebook in a submission."""


@dataclass(frozen=True)
class Submission:
    """One student's work on one lab: the folder STUDENT/LAB."""

    student: str
    lab: str
    folder: Path


@dataclass(frozen=True)
class Loaded:
    """A submitted file as it is, its name fit to be shown, and what was odd about finding it, in sentences."""

    name: str
    content: bytes
    notes: tuple[str, ...] = ()


def collect(submitted: Path, lab: str | None = None) -> list[Submission]:
    """The submissions in a folder laid out as submitted/STUDENT/LAB, by lab and student.

    Raises:
        CourseError: there is no such folder, it cannot be listed, nothing is in it, a student's notebook lies outside
            a lab's folder, or two students cannot be told apart.
    """
    try:
        found = [
            Submission(_student(folder.parent.name), folder.name, folder)
            for folder in _lab_folders(submitted)
            if lab in (None, folder.name)
        ]
    except FileNotFoundError:
        found = []
    except OSError as error:
        raise CourseError(
            f"{submitted} cannot be listed ({error.strerror}); see that it is a folder you may read."
        ) from error
    if not found:
        raise CourseError(
            f"{submitted} holds no {lab or 'lab'}; lay submissions out as {submitted}/STUDENT/LAB/LAB.ipynb."
        )
    for (student, _), times in Counter((one.student, one.lab) for one in found).items():
        if times > 1:
            raise CourseError(
                f"{times} folders are called {student}, but for what cannot be shown; rename one of them."
            )
    return sorted(found, key=lambda submission: (submission.lab, submission.student))


def load(submission: Submission) -> Loaded:
    """Take in the notebook of a submission, whatever it is called; nothing but a regular file is opened.

    Raises:
        MissingError: there is none.
        UnreadableError: it is a link, too large or not permitted to be read, or several could be meant.
    """
    folder = submission.folder
    if folder.is_symlink() or folder.parent.is_symlink():
        raise UnreadableError(f"{printable(folder.name)} is a link to another folder; submit the notebook itself.")
    expected = f"{submission.lab}.ipynb"
    path, others = _choose(folder, expected)
    notes = [] if path == folder / expected else [f"Took {_name(path)} for {expected}."]
    notes += [f"Left {', '.join(map(_name, others[:5]))} beside it out."] if others else []
    return Loaded(_name(path), read_file(path), tuple(notes))


def read_file(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises:
        UnreadableError: it is anything else, too large, or not permitted to be read.
    """
    try:
        if path.is_symlink():
            raise UnreadableError(f"{_name(path)} is a link to another file; submit the notebook itself.")
        if path.is_dir():
            raise UnreadableError(f"{_name(path)} is not a file; submit the notebook itself.")
        # Without blocking, as opening a pipe would wait for somebody to write into it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise UnreadableError(f"{_name(path)} is not a file; submit the notebook itself.")
            content = file.read(LARGEST + 1) if facts.st_size <= LARGEST else b""
    except OSError as error:
        raise UnreadableError(
            f"{_name(path)} cannot be opened ({error.strerror}); make it readable, and grade again."
        ) from error
    if facts.st_size > LARGEST or len(content) > LARGEST:
        raise UnreadableError(
            f"{_name(path)} is larger than {LARGEST // 1_000_000} MB; clear its outputs and submit again."
        )
    return content


def read_timestamp(submission: Submission) -> str | None:
    """When a submission was handed in, as nbgrader's `timestamp.txt` says; None where there is none of use."""
    path = submission.folder / "timestamp.txt"
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open(encoding="utf-8") as file:
            return file.read(LONGEST_TIMESTAMP).strip() or None
    except (OSError, ValueError):
        return None


def _student(folder: str) -> str:
    """A student's name by that of a folder; it can be the name of a folder itself."""
    name = printable(folder, LONGEST_NAME)
    while len(name.encode()) > LONGEST_NAME:
        name = name[:-1]
    return name


def _lab_folders(submitted: Path) -> Iterator[Path]:
    for student in sorted(submitted.iterdir()):
        if student.name.startswith(".") or not student.is_dir():
            continue
        for entry in sorted(_listed(student)):
            if entry.name.startswith("."):
                continue
            if (kind := entry.suffix.casefold()) in (".ipynb", ".zip"):
                place = f"{printable(student.name)}/{printable(entry.name)}"
                what = "it" if kind == ".ipynb" else "the notebook in it"
                raise CourseError(
                    f"{place} lies outside a lab's folder; move {what} to {printable(student.name)}/LAB/LAB.ipynb."
                )
            if entry.is_dir():
                yield entry


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise CourseError(
            f"The folder {printable(folder.name)} cannot be listed ({error.strerror}); make it readable."
        ) from error


def _choose(folder: Path, expected: str) -> tuple[Path, list[Path]]:
    """The notebook that is meant, and the others."""
    files = _files(folder)
    best = folder / expected
    found = [path for path in files if NOTEBOOK.search(path.name)]
    if best in found or os.path.lexists(best):
        return best, [path for path in found if path != best]
    if not found:
        there = f" there is {_name(files[0])};" if files else ""
        raise MissingError(f"No notebook was handed in;{there} submit {expected}.")
    lab = best.stem.casefold()
    called = [path for path in found if path.name == expected]
    for group in (called, [path for path in found if path.name.casefold().startswith(lab)], found):
        if len(group) == 1:
            return group[0], [path for path in found if path != group[0]]
    there = ", ".join(map(_name, found[:5]))
    raise UnreadableError(f"{expected} is missing; there are {there}: submit one of them alone.")


def _files(folder: Path) -> list[Path]:
    """What lies in a folder and below, the nearest first; no hidden files, and no folder behind a link."""
    found, budget = [], MOST_FILES
    level = [folder]
    for _ in range(DEEPEST):
        entries: list[os.DirEntry[str]] = []
        for one in level:
            entries += _entries(one, budget - len(entries))
        budget -= len(entries)
        found += [Path(entry.path) for entry in entries if not entry.is_dir(follow_symlinks=False)]
        level = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return found


def _entries(folder: Path, most: int) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listed:
            entries = sorted(islice(listed, most), key=lambda entry: entry.name)
    except OSError as error:
        raise UnreadableError(
            f"Its folder cannot be read ({error.strerror}); make it readable, and grade again."
        ) from error
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in NO_WORK]


def _name(path: Path) -> str:
    return printable(path.name)
