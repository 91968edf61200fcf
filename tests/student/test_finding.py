"""`3`, `03-vae` and paths name one notebook, or one sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmlib.student.finding import find_notebook
from lvmlib.student.notebooks import NotebookError


def lay(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("wanted", ["3", "03", "03-vae", "03-vae.ipynb", "./03-vae.ipynb"])
def test_a_notebook_in_the_working_folder(tmp_path: Path, wanted: str) -> None:
    lay(tmp_path, "03-vae.ipynb", "04-nvil.ipynb", "13-other.ipynb", "03-vae.zip")
    assert find_notebook(wanted, tmp_path) == tmp_path / "03-vae.ipynb"


@pytest.mark.parametrize("start", ["", "course", "course/03-vae", "course/04-nvil", "notes/deep"])
def test_a_notebook_in_the_course_around(tmp_path: Path, start: str) -> None:
    lay(tmp_path, "course/03-vae/03-vae.ipynb", "course/04-nvil/04-nvil.ipynb", "notes/deep/x.txt")
    assert find_notebook("3", tmp_path / start) == tmp_path / "course" / "03-vae" / "03-vae.ipynb"


def test_a_renamed_notebook(tmp_path: Path) -> None:
    lay(tmp_path, "[mine]/03-vae (1).ipynb", "one/any.ipynb")
    found = tmp_path / "[mine]" / "03-vae (1).ipynb"
    assert find_notebook("3", tmp_path / "[mine]") == find_notebook("03-vae (1).ipynb", tmp_path / "[mine]") == found
    assert find_notebook("one/", tmp_path) == tmp_path / "one" / "any.ipynb"


def test_of_several_the_exact_name_is_taken_and_a_number_means_none(tmp_path: Path) -> None:
    lay(tmp_path, "03-vae.ipynb", "03-vae-Copy1.ipynb")
    assert find_notebook("03-vae", tmp_path) == tmp_path / "03-vae.ipynb"
    with pytest.raises(NotebookError, match=r"several notebooks of lab 3: 03-vae-Copy1.ipynb, 03-vae.ipynb; name"):
        find_notebook("3", tmp_path)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("97", r"no notebook of lab 97 in .*, in course/ there, or in a folder above; go to"),
        (" ", r"Say which lab: a number or a name"),
        ("x.ipynb", r"There is no file x.ipynb in "),
        ("a/", r"a/ is a folder with no notebook; give"),
    ],
)
def test_what_is_not_there_is_said_with_where_was_looked(tmp_path: Path, wanted: str, sentence: str) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(NotebookError, match=sentence):
        find_notebook(wanted, tmp_path)
