"""The bytes of a submitted file become the cells of a lab.  A function of its arguments; it runs nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lvmlib.grading.assignment import Assignment, grade_id_of, nbgrader_of
from lvmlib.grading.matching import match, rebuild
from lvmlib.grading.results import Cell
from lvmlib.grading.submission import LARGEST, UnreadableError

MOST_SOURCE = 2_000_000
"""Characters of all cells together."""
MOST_CELLS = 1000
MOST_VALUES = 3_000_000
"""Of the JSON, lines of output included: as many are taken apart in a few seconds and a few hundred megabytes."""

TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
PICTURE = re.compile(r"data:[\w.+/-]{1,100};base64,[\w+/=%]{200,}+")
SURROGATE = re.compile(r"[\ud800-\udfff]")
BEYOND_ASCII = bytes(range(128, 256))
MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
OTHERS = {
    b"PK": "a zip archive",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "an archive",
    b"<": "a web page",
    b"\x89PNG": "a picture",
}


@dataclass(frozen=True)
class Notebook:
    """A submission in the form that was released, and what was mended for that, one sentence each.

    Attributes:
        cells: every released cell once, locked ones with their complete source, and the student's own; no outputs.
    """

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()


def read(name: str, content: bytes, assignment: Assignment) -> Notebook:
    """Read a submitted file as a notebook of the lab.

    Args:
        name: of the file, fit to be shown.

    Raises:
        UnreadableError: it is no notebook, is too large, or is none of this lab.
    """
    text, notes = _decode(name, content)
    cells, more = _cells(name, _parse(name, content, text))
    _refuse_other_labs(name, cells, assignment)
    matched = match(cells, assignment)
    if not any(released and nbgrader_of(released) for released in matched):
        raise UnreadableError(
            f"{name} holds no exercise of {assignment.lab}; work in the notebook that was handed out, and submit that."
        )
    restored, mended = rebuild(cells, matched, assignment)
    return Notebook(restored, (*notes, *more, *mended))


def _decode(name: str, content: bytes) -> tuple[str, list[str]]:
    if len(content) > LARGEST:
        raise UnreadableError(f"{name} is larger than {LARGEST // 1_000_000} MB; clear its outputs and submit again.")
    if not content.strip():
        raise UnreadableError(f"{name} is empty; save it again and resubmit.")
    encoding = _encoding(content)
    notes = [] if encoding == "utf-8-sig" else [f"{name} was stored as {encoding.upper()}."]
    try:
        return content.decode(encoding), notes
    except UnicodeDecodeError as error:
        if notes:
            raise _no_notebook(name, content) from error
        return _decode_broken(name, content)


def _decode_broken(name: str, content: bytes) -> tuple[str, list[str]]:
    text = content.decode("utf-8", "replace")
    letters = len(content) - len(content.translate(None, BEYOND_ASCII))
    if 4 * text.count("\ufffd") < letters:
        return text, [f"Replaced characters of {name} that are broken: {text.count(chr(0xFFFD))}."]
    return content.decode("latin-1"), [f"{name} was stored as Latin-1, not as UTF-8."]


def _encoding(content: bytes) -> str:
    marked = next((encoding for mark, encoding in MARKS.items() if content.startswith(mark)), None)
    if marked:
        return marked
    # A notebook starts with a brace: where a zero stands beside it, two bytes make a letter.
    start = content[:2]
    return {b"{\0": "utf-16-le", b"\0{": "utf-16-be"}.get(start, "utf-8-sig")


def _parse(name: str, content: bytes, text: str) -> dict[str, Any]:
    outline, texts = TEXT.subn(b"", text.encode() if b"\0" in content else content, MOST_VALUES + 1)
    if max(texts, outline.count(b",") + outline.count(b"[") + outline.count(b"{")) > MOST_VALUES:
        raise UnreadableError(f"{name} holds more than {MOST_VALUES:,} values; clear its outputs and submit again.")
    try:
        # Whole numbers as floats: their digits may be many, and no number of a notebook matters here.
        told = json.loads(text.lstrip("\ufeff"), strict=False, parse_int=float)
    except (ValueError, RecursionError, MemoryError) as error:
        raise _no_notebook(name, content) from error
    if not isinstance(told, dict):
        raise _no_notebook(name, content)
    return told


def _no_notebook(name: str, content: bytes) -> UnreadableError:
    start = content[:100].lstrip()
    kind = next((kind for mark, kind in OTHERS.items() if start.startswith(mark)), None)
    if kind:
        return UnreadableError(f"{name} is {kind}, not a notebook; submit the .ipynb file itself.")
    return UnreadableError(f"{name} is not a notebook, or was cut off; save it again and resubmit.")


def _cells(name: str, told: dict[str, Any]) -> tuple[list[Cell], list[str]]:
    listed = told.get("cells")
    sheets = told.get("worksheets")
    if not isinstance(listed, list) and isinstance(sheets, list):  # before nbformat 4
        found = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        listed = [cell for cells in found if isinstance(cells, list) for cell in cells]
    if not isinstance(listed, list):
        raise UnreadableError(f"{name} is not a notebook: it lists no cells; save it again and resubmit.")
    if len(listed) > MOST_CELLS:
        raise UnreadableError(f"{name} has {len(listed):,} cells; bring it below {MOST_CELLS:,} and submit again.")
    cells = [cell for raw in listed if (cell := _cell(raw))]
    notes = _tidy(cells)
    if sum(len(cell["source"]) for cell in cells) > MOST_SOURCE:
        raise UnreadableError(
            f"The cells of {name} hold more than {MOST_SOURCE // 1_000_000} MB of text; "
            "load data from files instead of pasting them, and submit again."
        )
    if len(cells) < len(listed):
        notes.append(f"Left entries out that are no cells: {len(listed) - len(cells)}.")
    return cells, notes


def _cell(raw: object) -> Cell | None:
    """What is kept of a cell: its kind, its names and its text."""
    if not isinstance(raw, dict):
        return None
    kind, source = raw.get("cell_type"), _text(raw.get("source", raw.get("input")))
    if kind == "heading":
        kind, source = "markdown", f"{'#' * _level(raw.get('level'))} {source}"
    if kind not in ("code", "markdown", "raw"):
        return None
    names: dict[str, Any] = {"nbgrader": {"grade_id": grade_id}} if (grade_id := grade_id_of(raw)) else {}
    return {"cell_type": kind, "id": raw.get("id"), "metadata": names, "source": source}


def _text(source: object) -> str:
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _level(level: object) -> int:
    return int(level) if isinstance(level, float) and 1 <= level <= 6 else 1


def _tidy(cells: list[Cell]) -> list[str]:
    """Take out of the texts, in place, what no file, database or compiler takes; and pictures pasted into prose."""
    told: Counter[str] = Counter()
    for cell in cells:
        source = cell["source"].replace("\r\n", "\n").replace("\r", "\n")
        if cell["cell_type"] != "code":
            source, pictures = PICTURE.subn("data:,", source)
            told["Left pictures out that were pasted into the text: {}."] += pictures
        source, broken = SURROGATE.subn("\ufffd", source)
        told["Replaced halves of characters: {}."] += broken
        told["Left zero characters out: {}."] += source.count("\0")
        cell["source"] = source.replace("\0", "")
    return [sentence.format(times) for sentence, times in told.items() if times]


def _refuse_other_labs(name: str, cells: Iterable[Cell], assignment: Assignment) -> None:
    own = {grade_id_of(cell) for cell in assignment.cells}
    found = {grade_id for cell in cells if (grade_id := grade_id_of(cell))}
    foreign = Counter(assignment.others[grade_id] for grade_id in found - own if grade_id in assignment.others)
    for lab, times in foreign.most_common(1):
        if times > len(found & own):
            raise UnreadableError(f"{name} is lab {lab}, not {assignment.lab}; submit {assignment.lab}.ipynb.")
