"""Results → rows, a CSV file and columns of text."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from lvmlib.authoring.course import CourseError
from lvmlib.grading.marks import Marks
from lvmlib.grading.results import Result, Status, Verdict
from lvmlib.grading.table import COLUMNS, Row, format_table, row_of, write_table

ROW = Row("ada", "00-tiny", 5.0, 9.0, True, "graded", "")
FAILED = Row("bob", "00-tiny", None, 9.0, False, "timed out", "The notebook took longer than 60 seconds.")
NOBODY_SOLVED = Row("eve", "00-tiny", 0.0, 9.0, False, "graded", "")
VERDICTS = (Verdict("double", 2.0, 2.0, "✓ double: right"), Verdict("halve", 0.0, 3.0, "✗ halve: not written yet"))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_counts_tests_and_marks_by_hand() -> None:
    result = Result("ada", "00-tiny", Status.GRADED, verdicts=VERDICTS)
    assert row_of(result, None, 9.0) == Row("ada", "00-tiny", 2.0, 9.0, False, "graded", "")
    assert row_of(result, Marks(6.0, 9.0, True, ()), 9.0) == Row("ada", "00-tiny", 6.0, 9.0, True, "graded", "")


@pytest.mark.parametrize("status", [status for status in Status if not status.has_score])
def test_a_failure_has_no_score_whatever_the_gradebook_holds(status: Status) -> None:
    row = row_of(Result("ada", "00-tiny", status, ("It failed.",)), Marks(6.0, 9.0, True, ()), 9.0)
    assert row == Row("ada", "00-tiny", None, 9.0, False, status.value, "It failed.")


def test_the_instructor_reads_notes_and_suspicions() -> None:
    result = Result("ada", "00-tiny", Status.SUSPICIOUS, ("A copy was dropped.",), ("It forged answers.",), VERDICTS)
    assert row_of(result, None, 9.0).note == "A copy was dropped. It forged answers."


def test_a_zero_is_not_a_failure(tmp_path: Path) -> None:
    write_table(tmp_path / "grades.csv", [FAILED, NOBODY_SOLVED, ROW])
    assert [(line["student"], line["score"]) for line in read(tmp_path / "grades.csv")] == [
        ("ada", "5.0"), ("bob", ""), ("eve", "0.0"),
    ]  # fmt: skip


def test_lines_of_other_runs_stay(tmp_path: Path) -> None:
    path = tmp_path / "grades.csv"
    write_table(path, [ROW, FAILED])
    once = path.read_bytes()
    write_table(path, [ROW])
    assert path.read_bytes() == once
    write_table(path, [replace(FAILED, score=3.0), replace(ROW, lab="01-other")])
    assert [(line["lab"], line["student"], line["score"]) for line in read(path)] == [
        ("00-tiny", "ada", "5.0"), ("00-tiny", "bob", "3.0"), ("01-other", "ada", "5.0"),
    ]  # fmt: skip


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "＝", "'", "'=", " =", "\u200b="])
def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path: Path, start: str) -> None:
    path = tmp_path / "grades.csv"
    formula = f'{start}HYPERLINK("https://example.org";"ada")'
    hostile = Row(formula, formula, 5.0, 9.0, False, "graded", formula)
    write_table(path, [hostile, ROW])
    assert all(value[0] not in "=+-@＝\t\r\n" for line in read(path) for value in line.values() if value)
    once = path.read_bytes()
    write_table(path, [hostile])
    assert path.read_bytes() == once


@pytest.mark.parametrize(
    "other", ["ada\u200b", "ada\u202e", "ada\n", "'ada", "=ada", "'=ada", "ada\ud800", r"ada\u200b"]
)
def test_a_name_that_looks_like_another_takes_no_line(tmp_path: Path, other: str) -> None:
    path = tmp_path / "grades.csv"
    look_alikes = [replace(ROW, student=name, score=0.0) for name in (other, "=ada", "ada\u200b")]
    write_table(path, [ROW, *look_alikes])
    write_table(path, look_alikes)
    lines = read(path)
    assert len(lines) == len({row.student for row in [ROW, *look_alikes]})
    assert [line["score"] for line in lines if line["student"] == "ada"] == ["5.0"]


def test_a_cell_has_one_line_and_an_end(tmp_path: Path) -> None:
    write_table(tmp_path / "grades.csv", [replace(ROW, note="a\x1b[31m\nb\x00 " + "c" * 10**6)])
    text = (tmp_path / "grades.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 2
    assert len(text) < 5_000
    assert "a b c" in text


@pytest.mark.parametrize(
    "content",
    [
        b"assignment,score\n",
        ",".join(COLUMNS).encode() + b"\nada,00-tiny,5.0\n",
        ",".join(COLUMNS).encode() + b"\na,b,1,2,False,graded,,more\n",
        ",".join(COLUMNS).encode() + b'\na,b,1,2,False,graded,"torn',
        ",".join(COLUMNS).encode() + "\nJosé,b,1,2,False,graded,\n".encode("latin-1"),
        b"",
    ],
)
def test_a_table_that_is_not_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "grades.csv"
    path.write_bytes(content)
    with pytest.raises(CourseError, match="grades.csv is not a table of ours"):
        write_table(path, [ROW])
    assert path.read_bytes() == content


def test_a_table_that_a_spreadsheet_saved_again_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grades.csv"
    write_table(path, [ROW])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    write_table(path, [FAILED])
    assert [line["student"] for line in read(path)] == ["ada", "bob"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CourseError, match=r"^grades\.csv could not be written \(.+\); mend that and grade again\.$"):
        write_table(tmp_path / "file" / "grades.csv", [ROW])


def test_columns_of_text_line_up_for_wide_characters_too() -> None:
    table = format_table([ROW, FAILED, replace(ROW, student="山田太郎")])
    header, ada, bob, wide, empty, count = table.splitlines()
    assert header.split() == ["student", "lab", "score", "of", "by", "hand", "status"]
    assert ada.split() == ["ada", "00-tiny", "5", "9", "to", "do", "graded"]
    assert bob.endswith("–      9            timed out: The notebook took longer than 60 seconds.")
    assert wide.index("00-tiny") == ada.index("00-tiny") - 4
    assert empty == ""


def test_the_last_line_counts_every_status() -> None:
    last = format_table([ROW, NOBODY_SOLVED, FAILED]).splitlines()[-1]
    assert last == ("3 submissions: 2 graded, 0 partly, 0 suspicious, 1 timed out, 0 crashed, 0 unreadable, 0 missing")
    assert format_table([]).splitlines()[-1].startswith("0 submissions: 0 graded")
    assert format_table([ROW]).splitlines()[-1].startswith("1 submission: 1 graded")


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07red", "\x9b31mred", "red\r\n\x08", "\u202ered"]
)
def test_nothing_reaches_the_terminal_but_text(hostile: str) -> None:
    table = format_table([Row(hostile, hostile, None, 9.0, False, "crashed", hostile + "x" * 10**6)])
    lines = table.split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert "red" in lines[1]
    assert len(lines[1]) < 1_000
