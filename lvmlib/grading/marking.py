"""Grade a folder of submissions: read, run and write, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from lvmlib.authoring.converters import read_settings
from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import read_assignment
from lvmlib.grading.autograde import grade
from lvmlib.grading.gradebook import Row, prepare, record
from lvmlib.grading.submission import collect


def mark(course: Course, submitted: Path, lab: str | None = None) -> Iterator[Row]:
    """Grade every submission in a folder, or those of one lab, in order, with a progress bar.

    Yields:
        A row as soon as its submission stands in the gradebook.

    Raises:
        CourseError: there are no submissions, or one names a lab that the course does not have.
    """
    from tqdm import tqdm

    submissions = collect(submitted, lab)
    course.labs({submission.lab for submission in submissions})
    with tempfile.TemporaryDirectory() as folder, tqdm(total=len(submissions), unit="submission") as bar:
        config = read_settings(course, Path(folder))
        for name, group in groupby(submissions, key=lambda submission: submission.lab):
            assignment = read_assignment(course, name)
            prepare(course, name)
            for submission in group:
                bar.set_description(f"{submission.student} {name}")
                yield record(course, grade(submission, assignment, config), assignment.points)
                bar.update()


def format_table(rows: Iterable[Row]) -> str:
    """Rows as columns of text, for a terminal."""
    lines = [("student", "lab", "score", "of", "by hand", "status")]
    for row in rows:
        score = "–" if row.score is None else f"{row.score:g}"
        by_hand = "to do" if row.needs_manual_grade else ""
        status = f"{row.status}: {row.note}" if row.note else row.status
        lines.append((row.student, row.lab, score, f"{row.max_score:g}", by_hand, status))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
