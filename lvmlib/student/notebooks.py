"""A student's notebook file, whatever saved it, as plain data."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

from lvmlib.authoring.course import CourseError

Cell = dict[str, Any]
Notebook = dict[str, Any]
"""As nbformat 4 has it; sources are single strings, and every cell has its metadata, code its outputs."""

MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
AGAIN = "save it again, or take the copy in .ipynb_checkpoints beside it"
DEFINED = re.compile(r"^(?:async +)?(?:def|class) +(\w+)|^(\w+) *(?::[^=\n]*)?=(?!=)", re.MULTILINE)


class NotebookError(CourseError):
    """A notebook cannot be found or read; the message says why, and what to do."""


def read_notebook(path: Path) -> Notebook:
    """Read a notebook of any format, from JupyterLab, Colab or an editor; the file stays as it is.

    Raises:
        NotebookError: it cannot be opened, or is no notebook.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotebookError(
            f"{path.name} cannot be opened ({error.strerror}); see that it is a file you may read."
        ) from error
    if not content.strip():
        raise NotebookError(f"{path.name} is empty; {AGAIN}.")
    return _tidy(path.name, _parse(path.name, _decode(content)))


def nbgrader_of(cell: Cell) -> dict[str, Any]:
    """What nbgrader keeps about a cell; empty where it is none of its cells, or the metadata are lost."""
    told = cell["metadata"].get("nbgrader")
    return told if isinstance(told, dict) else {}


def grade_id_of(cell: Cell) -> str:
    """A cell's grade id; empty where it has none."""
    grade_id = nbgrader_of(cell).get("grade_id")
    return grade_id if isinstance(grade_id, str) else ""


def is_code(cell: Cell) -> bool:
    """Whether it is a cell with code in it."""
    return cell["cell_type"] == "code" and bool(cell["source"].strip())


def is_answer(cell: Cell) -> bool:
    """Whether it is where a question that a person marks is answered."""
    told = nbgrader_of(cell)
    return cell["cell_type"] != "code" and bool(told.get("grade") and told.get("solution"))


def defined(source: str) -> frozenset[str]:
    """Names that lines without indentation define or assign."""
    return frozenset(function or name for function, name in DEFINED.findall(source))


def beginning(cell: Cell) -> str:
    """How a cell begins, for a reader to know it again."""
    first = cell["source"].strip().partition("\n")[0]
    return first if len(first) <= 40 else f"{first[:39]}…"


def _decode(content: bytes) -> str:
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return _decode_broken(content)


def _decode_broken(content: bytes) -> str:
    """UTF-8 of which a few bytes are broken, and stay the only ones that are; or else Latin-1."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    beyond_ascii = len(content) - len(content.decode("ascii", "ignore"))
    return text if 4 * text.count("\ufffd") < beyond_ascii else content.decode("latin-1")


def _parse(name: str, text: str) -> Notebook:
    try:
        told = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"{name} is not a notebook, or was cut off; {AGAIN}.") from error
    if isinstance(told, dict) and isinstance(told.get("worksheets"), list):
        told = _upgrade(name, text)
    if not isinstance(told, dict) or not isinstance(told.get("cells"), list):
        raise NotebookError(f"{name} is not a notebook: it lists no cells; open it in JupyterLab and save it again.")
    return told


def _upgrade(name: str, text: str) -> Notebook:
    """A notebook of before 2015, with worksheets, in today's form."""
    from lvmlib import authoring  # noqa: F401 - spares nbformat a second at its import

    try:
        import nbformat

        upgraded: Notebook = json.loads(nbformat.writes(nbformat.reads(text, as_version=4)))
        return upgraded
    except Exception as error:  # the converter meets whatever a file holds
        raise NotebookError(f"{name} is in an old format; open it in JupyterLab and save it there.") from error


def _tidy(name: str, told: Notebook) -> Notebook:
    cells = [cell for raw in told["cells"] if isinstance(raw, dict) and (cell := _cell(raw))]
    if not cells:
        raise NotebookError(f"{name} has no cells; open the lab's notebook and save it again.")
    metadata = told.get("metadata")
    minor = told.get("nbformat_minor")
    return told | {
        "cells": cells,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "nbformat": 4,
        "nbformat_minor": minor if isinstance(minor, int) else 0,
    }


def _cell(raw: Cell) -> Cell | None:
    if raw.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    metadata = raw.get("metadata")
    cell = raw | {"source": _text(raw.get("source")), "metadata": metadata if isinstance(metadata, dict) else {}}
    if cell["cell_type"] == "code":
        outputs = raw.get("outputs")
        cell["outputs"] = [one for one in outputs if isinstance(one, dict)] if isinstance(outputs, list) else []
        count = raw.get("execution_count")
        cell["execution_count"] = count if isinstance(count, int) else None
    return cell


def _text(source: object) -> str:
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
