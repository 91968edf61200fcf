"""What a grader is pointed at: a folder of submissions, or a download of a learning platform."""

from __future__ import annotations

from pathlib import Path

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import grade_ids
from lvmlib.grading.downloads import unpack
from lvmlib.grading.submission import Submission, collect


def open_inbox(course: Course, where: Path, lab: str | None = None) -> tuple[list[Submission], list[str]]:
    """The submissions in a folder; a download is first laid out under `submitted/`, and the notes say how.

    Raises:
        CourseError: there are none, or the course does not have that lab.
    """
    if lab is not None:
        course.labs([lab])
    if not _is_download(where):
        return collect(where, lab), []
    submitted = course.root / "submitted"
    notes = unpack(where, submitted, {name: grade_ids(course, name) for name in course.labs()}, lab)
    return collect(submitted, lab), notes


def _is_download(where: Path) -> bool:
    """Whether this is a zip, or a zip's content: notebooks side by side, or Moodle's folders."""
    try:
        if where.is_file():
            return True
        names = [entry.name for entry in where.iterdir()]
    except OSError:  # the collector says what is wrong with it
        return False
    return any(name.endswith(".ipynb") or "_assignsubmission_" in name for name in names)


def submission_of(submitted: Path, student: str, lab: str) -> Submission:
    """One student's submission.

    Raises:
        CourseError: there is none.
    """
    found = [one for one in collect(submitted, lab) if one.student == student]
    if not found:
        raise CourseError(f"{submitted} holds no {lab} of {student}; the table of grades lists who handed in what.")
    return found[0]
