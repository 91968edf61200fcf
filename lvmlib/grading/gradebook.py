"""The one writer: nbgrader's gradebook, autograded notebooks, feedback, and the table of grades."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.build import serialise
from lvmlib.authoring.converters import ConverterError, convert, read_settings
from lvmlib.authoring.course import Course, CourseError, write_atomically
from lvmlib.grading.autograde import Outcome, Status


@dataclass(frozen=True)
class Row:
    """One line of the table of grades; a submission that was not graded has no score, which is not a score of 0."""

    student: str
    lab: str
    score: float | None
    max_score: float
    needs_manual_grade: bool
    status: str
    note: str


def prepare(course: Course, lab: str) -> None:
    """Enter a lab's cells into the gradebook, which is created if need be.

    Raises:
        ConverterError: cells were added or removed after submissions were graded.
    """
    from nbgrader.converters import GenerateAssignment

    with tempfile.TemporaryDirectory() as folder:
        config = read_settings(course, Path(folder))
        config.CourseDirectory.assignment_id = lab
        convert(GenerateAssignment, config)


def record(course: Course, outcome: Outcome, points: float) -> Row:
    """Enter an outcome into the gradebook, write its autograded notebook and its feedback, and tell what stands there.

    A manual score or a comment that is in the gradebook already stays.

    Args:
        points: what the lab is worth.
    """
    submission = outcome.submission
    try:
        if outcome.notebook is not None:
            _record_scores(course, outcome, outcome.notebook)
            _write_feedback(course, outcome)
    except ConverterError as error:
        outcome = Outcome(submission, Status.FAILED, notes=[*outcome.notes, f"The gradebook refused it: {error}"])
    score, by_hand = _read_score(course, outcome) if outcome.status is Status.GRADED else (None, False)
    return Row(submission.student, submission.lab, score, points, by_hand, outcome.status, "; ".join(outcome.notes))


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV; a score that does not exist is an empty field.

    Lines of other students and labs, which an earlier run wrote, stay.
    """
    lines = _read_table(path) | {(row.student, row.lab): asdict(row) for row in rows}
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(line for _, line in sorted(lines.items(), key=lambda entry: (entry[0][1], entry[0][0])))
    write_atomically(path, text.getvalue())


def _read_table(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if table.fieldnames != [field.name for field in fields(Row)]:
            raise CourseError(
                f"{path.name} is not a table of ours, as nbgrader's export; move it away and grade again."
            )
        return {(line["student"], line["lab"]): line for line in table}


def _record_scores(course: Course, outcome: Outcome, notebook: NotebookNode) -> None:
    # nbgrader's autograde without its execution: it saves what the outputs of an executed notebook say.
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, SaveAutoGrades

    submission = outcome.submission
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = read_settings(course, work, links=("solutions", "autograded"))
        config.CourseDirectory.assignment_id = submission.lab
        config.CourseDirectory.student_id = submission.student
        config.Autograde.sanitize_preprocessors = [CheckCellMetadata]
        config.Autograde.autograde_preprocessors = [SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]
        executed = work / "submitted" / submission.student / submission.lab / f"{submission.lab}.ipynb"
        write_atomically(executed, serialise(notebook))
        timestamp = submission.folder / "timestamp.txt"
        if timestamp.is_file():
            shutil.copy(timestamp, executed.parent)
        convert(Autograde, config, force=True)


def _write_feedback(course: Course, outcome: Outcome) -> None:
    from nbgrader.converters import GenerateFeedback

    with tempfile.TemporaryDirectory() as folder:
        config = read_settings(course, Path(folder), links=("autograded", "feedback"))
        config.CourseDirectory.assignment_id = outcome.submission.lab
        config.CourseDirectory.student_id = outcome.submission.student
        convert(GenerateFeedback, config, force=True)


def _read_score(course: Course, outcome: Outcome) -> tuple[float, bool]:
    from nbgrader.api import Gradebook

    lab, student = outcome.submission.lab, outcome.submission.student
    with tempfile.TemporaryDirectory() as folder:
        config = read_settings(course, Path(folder))
    with Gradebook(config.CourseDirectory.db_url) as gradebook:
        submitted = gradebook.find_submission_notebook(lab, lab, student)
        return submitted.score, submitted.needs_manual_grade
