"""A grader can be pointed at a folder of submissions, or at a download as it comes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from recorded import SMALL

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.inbox import open_inbox, submission_of

HANDED_IN = {"lovelaceada_1_2_00-small.ipynb": b"{}", "turingalan_3_4_00-small.ipynb": b"[]"}


def test_a_folder_of_submissions_is_taken_as_it_is(small: Course, tmp_path: Path) -> None:
    (tmp_path / "handed in" / "ada" / SMALL).mkdir(parents=True)
    submissions, notes = open_inbox(small, tmp_path / "handed in")
    assert [(one.student, one.lab) for one in submissions] == [("ada", SMALL)]
    assert notes == [] and not (small.root / "submitted").exists()


@pytest.mark.parametrize("packed", [True, False])
def test_a_download_is_laid_out_first(small: Course, tmp_path: Path, packed: bool) -> None:
    where = tmp_path / "download"
    if packed:
        with zipfile.ZipFile(where, "w") as archive:
            for name, content in HANDED_IN.items():
                archive.writestr(name, content)
    else:
        where.mkdir()
        for name, content in HANDED_IN.items():
            (where / name).write_bytes(content)
    submissions, notes = open_inbox(small, where, SMALL)
    assert [one.student for one in submissions] == ["lovelaceada", "turingalan"]
    assert {one.folder.parents[1] for one in submissions} == {small.root / "submitted"}
    assert notes == []


def test_what_cannot_be_taken_in_is_one_sentence(small: Course, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="no lab '09-none'"):
        open_inbox(small, tmp_path, "09-none")
    with pytest.raises(CourseError, match=r"cannot be listed \(File name too long\); see that"):
        open_inbox(small, tmp_path / ("x" * 300))


def test_one_students_submission_is_found_by_name(small: Course, tmp_path: Path) -> None:
    (tmp_path / "ada" / SMALL).mkdir(parents=True)
    assert submission_of(tmp_path, "ada", SMALL).folder == tmp_path / "ada" / SMALL
    with pytest.raises(CourseError, match="holds no 00-small of bob; the table of grades lists"):
        submission_of(tmp_path, "bob", SMALL)
