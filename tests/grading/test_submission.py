"""Submissions are found in a folder, and the notebook that was meant is taken in whatever lies there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import submission as module
from lvmlib.grading.autograded import path_of
from lvmlib.grading.results import Result, Status
from lvmlib.grading.submission import MissingError, Submission, UnreadableError, collect, load, read_file

LAB = "03-vae"


@pytest.fixture
def ada(tmp_path: Path) -> Submission:
    folder = tmp_path / "submitted" / "ada" / LAB
    folder.mkdir(parents=True)
    return Submission("ada", LAB, folder)


def put(submission: Submission, name: str, content: bytes = b"{}") -> Path:
    path = submission.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_submissions_are_found_by_lab_and_student(tmp_path: Path) -> None:
    for student, lab in (("bob", "01-a"), ("ada", "02-b"), ("ada", "01-a"), (".hidden", "01-a"), ("ada", ".earlier")):
        (tmp_path / student / lab).mkdir(parents=True)
    (tmp_path / ".students.json").touch()
    (tmp_path / "read me.txt").touch()
    assert [(found.student, found.lab) for found in collect(tmp_path)] == [
        ("ada", "01-a"),
        ("bob", "01-a"),
        ("ada", "02-b"),
    ]
    assert [found.student for found in collect(tmp_path, "02-b")] == ["ada"]
    with pytest.raises(CourseError, match="holds no 03-c; lay submissions out as"):
        collect(tmp_path, "03-c")


def test_a_folder_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="nowhere holds no lab; lay submissions out as"):
        collect(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="file cannot be listed"):
        collect(tmp_path / "file")


@pytest.mark.parametrize(("name", "what"), [("03-vae.ipynb", "it"), ("03-vae.ZIP", "the notebook in it")])
def test_what_lies_outside_a_labs_folder_is_not_lost(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "ada" / "03-vae").mkdir(parents=True)
    (tmp_path / "zoe").mkdir()
    (tmp_path / "zoe" / name).touch()
    sentence = f"zoe/{name} lies outside a lab's folder; move {what} to zoe/LAB/LAB.ipynb."
    with pytest.raises(CourseError, match=re.escape(sentence)):
        collect(tmp_path)


def test_a_name_that_steers_a_terminal_is_told_without(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m\nb" / LAB).mkdir(parents=True)
    (found,) = collect(tmp_path)
    assert found.student == "a�[31m�b"
    assert found.folder.is_dir()
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff/03-vae")
    assert {one.student.encode("utf-8") for one in collect(tmp_path)} == {found.student.encode(), "�".encode()}
    (tmp_path / "a\x1b[31m\tb" / LAB).mkdir(parents=True)
    with pytest.raises(CourseError, match="2 folders are called a�.31m�b"):
        collect(tmp_path)


def test_a_notebook_of_the_right_name_is_taken_as_it_is(ada: Submission) -> None:
    put(ada, f"{LAB}.ipynb", b"content")
    put(ada, "notes.txt")
    loaded = load(ada)
    assert (loaded.name, loaded.content, loaded.notes) == (f"{LAB}.ipynb", b"content", ())


@pytest.mark.parametrize(
    "name", ["03-vae (1).ipynb", "my work.ipynb", "03-VAE.IPYNB", "03-vae.ipynb.txt", "work/deep/03-vae.ipynb"]
)
def test_the_only_notebook_is_taken_under_any_name(ada: Submission, name: str) -> None:
    put(ada, name, b"content")
    put(ada, "__MACOSX/._03-vae.ipynb")
    put(ada, ".ipynb_checkpoints/03-vae-checkpoint.ipynb")
    loaded = load(ada)
    assert loaded.content == b"content"
    assert loaded.notes == (f"Took {Path(name).name} for {LAB}.ipynb.",)


def test_of_two_notebooks_the_one_of_the_right_name_is_taken(ada: Submission) -> None:
    put(ada, f"{LAB}.ipynb", b"content")
    put(ada, "scratch.ipynb")
    loaded = load(ada)
    assert loaded.content == b"content"
    assert loaded.notes == ("Left scratch.ipynb beside it out.",)
    (ada.folder / f"{LAB}.ipynb").rename(ada.folder / f"{LAB}-Copy1.ipynb")
    assert load(ada).name == f"{LAB}-Copy1.ipynb"


def test_several_notebooks_under_other_names_are_listed(ada: Submission) -> None:
    for name in ("b.ipynb", "a\x1b.ipynb"):
        put(ada, name)
    with pytest.raises(UnreadableError, match="03-vae.ipynb is missing; there are a�.ipynb, b.ipynb"):
        load(ada)


def test_no_notebook_is_missing_and_what_is_there_instead_is_named(ada: Submission) -> None:
    with pytest.raises(MissingError, match="No notebook was handed in; submit 03-vae.ipynb"):
        load(ada)
    put(ada, "solution.py")
    with pytest.raises(MissingError, match=r"there is solution.py; submit 03-vae.ipynb"):
        load(ada)


def test_links_are_refused(ada: Submission, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(b"the solution")
    (ada.folder / f"{LAB}.ipynb").symlink_to(secret)
    with pytest.raises(UnreadableError, match="is a link to another file"):
        load(ada)
    (ada.folder / f"{LAB}.ipynb").unlink()
    (ada.folder / "deep").symlink_to(tmp_path)
    with pytest.raises(MissingError):
        load(ada)
    (ada.folder.parent / "04-nvil").symlink_to(ada.folder)
    with pytest.raises(UnreadableError, match="04-nvil is a link to another folder"):
        load(Submission("ada", "04-nvil", ada.folder.parent / "04-nvil"))
    (tmp_path / "submitted" / "eve").symlink_to(tmp_path / "submitted" / "ada")
    with pytest.raises(UnreadableError, match="is a link to another folder"):
        load(Submission("eve", LAB, tmp_path / "submitted" / "eve" / LAB))


def test_a_pipe_is_refused_without_waiting_for_it(ada: Submission) -> None:
    os.mkfifo(ada.folder / f"{LAB}.ipynb")
    with pytest.raises(UnreadableError, match="03-vae.ipynb is not a file"):
        load(ada)


def test_what_may_not_be_read_is_said_so(ada: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    put(ada, f"{LAB}.ipynb")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.os, "open", refuse)
    with pytest.raises(UnreadableError, match=r"03-vae.ipynb cannot be opened \(Permission denied\)"):
        load(ada)
    monkeypatch.setattr(module.os, "scandir", refuse)
    with pytest.raises(UnreadableError, match=r"Its folder cannot be read \(Permission denied\)"):
        load(ada)


def test_a_file_that_is_too_large_is_not_read(ada: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 10)
    put(ada, f"{LAB}.ipynb", b"x" * 10)
    assert load(ada).content == b"x" * 10
    put(ada, f"{LAB}.ipynb", b"x" * 11)
    with pytest.raises(UnreadableError, match="clear its outputs"):
        load(ada)


def test_a_tree_without_end_is_looked_at_in_part(ada: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    put(ada, "/".join(["deep"] * 20) + f"/{LAB}.ipynb")
    with pytest.raises(MissingError):
        load(ada)
    monkeypatch.setattr(module, "MOST_FILES", 3)
    for number in range(10):
        put(ada, f"{number}.ipynb")
    with pytest.raises(UnreadableError, match="03-vae.ipynb is missing"):
        load(ada)
    put(ada, f"{LAB}.ipynb", b"content")
    assert load(ada).content == b"content"


def test_a_folder_in_the_place_of_a_notebook_is_not_opened(ada: Submission) -> None:
    (ada.folder / f"{LAB}.ipynb").mkdir()
    with pytest.raises(UnreadableError, match="03-vae.ipynb is not a file"):
        load(ada)


def test_what_cannot_even_be_looked_at_is_said_so(ada: Submission) -> None:
    with pytest.raises(UnreadableError, match=r"cannot be opened \(File name too long\)"):
        read_file(ada.folder / ("x" * 300))


@pytest.mark.parametrize("name", ["Zoë\u00a0Müller", "a\u3000b", "a\u2028b", "\x1b" * 200])
def test_every_student_can_have_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "submitted" / name / LAB).mkdir(parents=True)
    (found,) = collect(tmp_path / "submitted")
    assert path_of(Course(tmp_path), Result(found.student, LAB, Status.GRADED)).parts[-3] == found.student
    (tmp_path / "feedback" / found.student).mkdir(parents=True)
