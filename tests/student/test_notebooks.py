"""Whatever saved a notebook, it is read; what is none is said to be none."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from notebooks_made import code, notebook

from lvmlib.student.notebooks import NotebookError, defined, grade_id_of, read_notebook

WRITTEN = json.dumps(notebook(code("é = 1", "one", count=1)), ensure_ascii=False)


@pytest.mark.parametrize(
    "content",
    [
        WRITTEN.encode(),
        codecs.BOM_UTF8 + WRITTEN.encode(),
        WRITTEN.encode("utf-16"),
        WRITTEN.encode("latin-1"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ipynb").write_bytes(content)
    (cell,) = read_notebook(tmp_path / "x.ipynb")["cells"]
    assert (cell["source"], grade_id_of(cell), cell["execution_count"]) == ("é = 1", "one", 1)


def test_a_broken_byte_leaves_all_other_letters_as_they_are(tmp_path: Path) -> None:
    written = json.dumps(notebook(code("μ, σ = 0, 1  # é")), ensure_ascii=False).encode()
    (tmp_path / "x.ipynb").write_bytes(written.replace("é".encode(), b"\xe9"))
    (cell,) = read_notebook(tmp_path / "x.ipynb")["cells"]
    assert cell["source"] == "μ, σ = 0, 1  # \ufffd"


def test_the_format_with_worksheets(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "input": ["x = 1\n", "y"], "language": "python", "outputs": [], "metadata": {}}]
    old = {"worksheets": [{"cells": cells, "metadata": {}}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}
    (tmp_path / "x.ipynb").write_text(json.dumps(old), encoding="utf-8")
    assert [cell["source"] for cell in read_notebook(tmp_path / "x.ipynb")["cells"]] == ["x = 1\ny"]


def test_odd_cells_are_mended_or_left_out(tmp_path: Path) -> None:
    odd = [1, {"cell_type": "magic"}, {"cell_type": "code", "source": ["a", 1], "metadata": [], "outputs": "x"}]
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": odd, "metadata": None}), encoding="utf-8")
    read = read_notebook(tmp_path / "x.ipynb")
    (cell,) = read["cells"]
    assert (cell["source"], cell["metadata"], cell["outputs"], read["metadata"]) == ("a", {}, [], {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"x.ipynb is empty; save it again"),
        (WRITTEN.encode()[:-9], r"is not a notebook, or was cut off; save it again"),
        (b"[1]", r"it lists no cells"),
        (b'{"cells": []}', r"has no cells"),
        (b"[" * 100_000, r"is not a notebook"),
        (b'{"worksheets": [1]}', r"is in an old format; open it in JupyterLab"),
    ],
)
def test_what_is_no_notebook_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.ipynb").write_bytes(content)
    with pytest.raises(NotebookError, match=sentence):
        read_notebook(tmp_path / "x.ipynb")
    with pytest.raises(NotebookError, match="cannot be opened"):
        read_notebook(tmp_path)


def test_names_that_a_cell_defines() -> None:
    source = "def f(x):\n    y = 1\nclass A:\n    pass\nz: int = 2\nw == 3\nasync def g(): ..."
    assert defined(source) == {"f", "A", "z", "g"}
