"""What a grader is pointed at: a folder of submissions, or a download of a learning platform."""

from __future__ import annotations

from pathlib import Path

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import grade_ids
from lvmlib.grading.downloads import is_canvas, unpack
from lvmlib.grading.submission import Submission, collect


def open_inbox(course: Course, where: Path, lab: str | None = None) -> tuple[list[Submission], list[str]]:
    """The submissions in a folder; a download is first laid out under `submitted/`, and the notes say how.

    Raises:
        CourseError: there are none, or the course does not have that lab.
    """
    if lab is not None:
        course.labs([lab])
    submitted = course.root / "submitted"
    if not _is_download(where, submitted):
        return collect(where, lab), []
    notes = unpack(where, submitted, {name: grade_ids(course, name) for name in course.labs()}, lab)
    return collect(submitted, lab), notes


def _is_download(where: Path, submitted: Path) -> bool:
    """Whether this is a zip, or a zip's content: notebooks or archives side by side, or in students' folders."""
    try:
        if where.is_file():
            return True
        names = [entry.name for entry in where.iterdir()]
        # What lies in submitted/, or as there, is not laid out once more.
        is_laid_out = where.resolve() == submitted.resolve() or any(where.glob("*/*/*.ipynb"))
        holds_archives = not is_laid_out and any(map(_is_zip, where.glob("*/*")))
    except OSError:  # the collector says what is wrong with it
        return False
    return holds_archives or any(map(_is_downloaded, names))


def _is_downloaded(name: str) -> bool:
    return name.endswith(".ipynb") or "_assignsubmission_" in name or (_is_zip(Path(name)) and is_canvas(name))


def _is_zip(path: Path) -> bool:
    return path.suffix.casefold() == ".zip"


def submission_of(submitted: Path, student: str, lab: str) -> Submission:
    """One student's submission.

    Raises:
        CourseError: there is none.
    """
    found = [one for one in collect(submitted, lab) if one.student == student]
    if not found:
        raise CourseError(f"{submitted} holds no {lab} of {student}; the table of grades lists who handed in what.")
    return found[0]
