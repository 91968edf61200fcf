"""The table of grades: rows, as a CSV file for spreadsheets and as columns of text for a terminal."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.course import CourseError, write_atomically
from lvmlib.grading.results import Result, Status
from lvmlib.grading.words import plain

if TYPE_CHECKING:
    from lvmlib.grading.marks import Marks

# What spreadsheets take for a formula at the start of a cell; the apostrophe is here so that what quotes can be undone.
FORMULA_STARTS = tuple("=+-@＝＋－＠'")
LONGEST_CELL = 2_000
LONGEST_LINE = 200


@dataclass(frozen=True)
class Row:
    """One line of the table of grades; a submission that was not graded has no score, which is not a score of 0.

    Attributes:
        score: points by tests and by hand together.
        max_score: what the lab is worth.
        needs_manual_grade: whether an answer still waits to be marked by hand.
        status: one of `Status`, as text.
        note: what was mended or went wrong, and what was suspicious, for the instructor.
    """

    student: str
    lab: str
    score: float | None
    max_score: float
    needs_manual_grade: bool
    status: str
    note: str


COLUMNS = [column.name for column in fields(Row)]
TEXTS = ("student", "lab", "status", "note")


def row_of(result: Result, marks: Marks | None, max_score: float) -> Row:
    """The row of one submission.

    Args:
        marks: what the gradebook holds of it; without them the tests alone count.
        max_score: what the lab is worth.
    """
    score, by_hand = result.score, False
    if score is not None and marks is not None:
        score, by_hand = marks.score, marks.needs_manual_grade
    note = " ".join((*result.notes, *result.suspicions))
    return Row(result.student, result.lab, score, max_score, by_hand, result.status.value, note)


def format_table(rows: Iterable[Row]) -> str:
    """Rows as columns of text, for a terminal, and a last line that counts them by status."""
    rows = list(rows)
    lines = [("student", "lab", "score", "of", "by hand", "status"), *map(_columns, rows)]
    return "\n".join([*_align(lines), "", _count(rows)])


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV; a score that does not exist is an empty field.

    Lines of other students and labs, which an earlier run wrote, stay. Nothing in it is a formula to a spreadsheet.

    Raises:
        CourseError: the file that is there is not a table of ours, or it cannot be read or written.
    """
    try:
        lines = _read_table(path) | {(line["student"], line["lab"]): line for line in map(_line_of, rows)}
        write_atomically(path, _to_csv([lines[key] for key in sorted(lines, key=lambda key: (key[1], key[0]))]))
    except OSError as error:
        raise CourseError(f"{path.name} could not be written ({error.strerror}); mend that and grade again.") from error


def _columns(row: Row) -> tuple[str, ...]:
    score = "–" if row.score is None else f"{row.score:g}"
    by_hand = "to do" if row.needs_manual_grade else ""
    status = f"{row.status}: {row.note}" if row.note else row.status
    cells = (row.student, row.lab, score, f"{row.max_score:g}", by_hand, status)
    return tuple(plain(cell, LONGEST_LINE) for cell in cells)


def _align(lines: Sequence[tuple[str, ...]]) -> list[str]:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _count(rows: Sequence[Row]) -> str:
    times = Counter(row.status for row in rows)
    submissions = f"{len(rows)} submission{'' if len(rows) == 1 else 's'}"
    return f"{submissions}: {', '.join(f'{times[status]} {status}' for status in Status)}"


def _line_of(row: Row) -> dict[str, Any]:
    line = asdict(row) | {name: plain(getattr(row, name), LONGEST_CELL) for name in ("status", "note")}
    return line | {name: _spell_out(getattr(row, name)) for name in ("student", "lab")}


def _spell_out(name: str) -> str:
    """A name with its invisible characters as codes: names that look alike must not share a line."""
    return "".join(
        character if character.isprintable() and character != "\\" else character.encode("unicode_escape").decode()
        for character in name
    )


def _to_csv(lines: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(line | {name: _quote(line[name]) for name in TEXTS} for line in lines)
    return text.getvalue()


def _read_table(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    if not path.is_file():
        return {}
    foreign = CourseError(f"{path.name} is not a table of ours, as nbgrader's export; move it away and grade again.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True)
            if table.fieldnames != COLUMNS:
                raise foreign
            lines = list(map(_unquoted, table))
        return {(line["student"], line["lab"]): line for line in lines}
    except (ValueError, csv.Error) as error:
        raise foreign from error


def _quote(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _unquoted(line: dict[str, Any]) -> dict[str, Any]:
    if list(line) != COLUMNS or None in line.values():
        raise ValueError("a line has more or fewer fields than the table has columns")
    return line | {name: line[name].removeprefix("'") for name in TEXTS}
