"""What a notebook holds that must not be handed in: outputs without end, and what tools note about their user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import expanduser
from typing import Any

from lvmlib.student.notebooks import Cell, Notebook

MEGABYTE = 1_000_000
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = ("nbgrader", "tags", "deletable", "editable")
"""Of a cell's metadata.  Colab's and editors' name the user, the machine, or the time."""
WIDGET = "application/vnd.jupyter.widget-view+json"
COLAB = "application/vnd.google.colaboratory"
OF_A_CELL = ("cell_type", "metadata", "source", "id", "outputs", "execution_count", "attachments")


@dataclass(frozen=True)
class Limits:
    """Bytes of one output, and of all outputs together, as the file holds them."""

    output: int = 1 * MEGABYTE
    outputs: int = 10 * MEGABYTE


def strip(notebook: Notebook, limits: Limits) -> tuple[Notebook, list[str]]:
    """A copy fit to be handed in, and one sentence for each kind of thing that was left out.

    Outputs over a limit become a short note; of all outputs the largest go first.  nbgrader's metadata stay.
    """
    cells = [_plain(cell) for cell in notebook["cells"]]
    notes = []
    if large := _without_large(cells, limits):
        size = sum(large)
        notes.append(
            f"Replaced {len(large)} large output{'s' if len(large) > 1 else ''} by a note ({megabytes(size)})."
        )
    stripped = {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": _minor(cells)}
    if _named(notebook) - _named(stripped):
        notes.append(f"Removed metadata of tools: {', '.join(sorted(_named(notebook) - _named(stripped)))}.")
    return stripped, notes


def megabytes(size: float) -> str:
    """Bytes for a reader: `3.2 MB`."""
    return f"{size / MEGABYTE:.1f} MB" if size >= MEGABYTE / 10 else f"{max(size, 1000) / 1000:.0f} kB"


def serialise(notebook: Notebook) -> bytes:
    """A notebook as the bytes of a file; the same notebook always gives the same bytes."""
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    return f"{text}\n".encode("utf-8", "replace")


def _minor(cells: list[Cell]) -> int:
    """The format in which cells have ids, or the one before, which knows none; Colab drops them."""
    if all(isinstance(cell.get("id"), str) for cell in cells):
        return 5
    for cell in cells:
        cell.pop("id", None)
    return 4


def _plain(cell: Cell) -> Cell:
    kept = {name: cell[name] for name in OF_A_CELL if name in cell}
    kept["metadata"] = {name: cell["metadata"][name] for name in KEPT if name in cell["metadata"]}
    if cell["cell_type"] == "code":
        kept["outputs"] = [plain for output in cell["outputs"] if (plain := _plain_output(output))]
    return kept


def _plain_output(output: dict[str, Any]) -> dict[str, Any] | None:
    """Without widgets, whose state is not handed in, and without the name of the user's folder."""
    plain = _without_home(output)
    if isinstance(plain.get("data"), dict):
        plain["data"] = {kind: data for kind, data in plain["data"].items() if kind != WIDGET and COLAB not in kind}
        if not plain["data"]:
            return None
    if "metadata" in plain:
        told = plain["metadata"] if isinstance(plain["metadata"], dict) else {}
        plain["metadata"] = {name: value for name, value in told.items() if "/" in name and COLAB not in name}
    return plain


def _without_home(value: Any, home: str = expanduser("~")) -> Any:
    if isinstance(value, str):
        return value.replace(home, "~") if len(home) > 3 else value
    if isinstance(value, list):
        return [_without_home(one, home) for one in value]
    if isinstance(value, dict):
        return {name: _without_home(one, home) for name, one in value.items()}
    return value


def _without_large(cells: list[Cell], limits: Limits) -> list[int]:
    """Replace outputs that are too large, in place, and give their sizes."""
    sizes = sorted(((_size(output), place, index) for place, index, output in _outputs(cells)), reverse=True)
    total = sum(size for size, _, _ in sizes)
    replaced = []
    for size, place, index in sizes:
        if size <= limits.output and total <= limits.outputs:
            break
        cells[place]["outputs"][index] = _note(size)
        total -= size
        replaced.append(size)
    return replaced


def _outputs(cells: list[Cell]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    for place, cell in enumerate(cells):
        for index, output in enumerate(cell.get("outputs", [])):
            yield place, index, output


def _size(output: dict[str, Any]) -> int:
    return len(json.dumps(output, ensure_ascii=False).encode("utf-8", "replace"))


def _note(size: int) -> dict[str, Any]:
    text = f"[An output of {megabytes(size)} was here; `lvm submit` left it out.]\n"
    return {"output_type": "stream", "name": "stdout", "text": text}


def _named(notebook: Notebook) -> set[str]:
    """The names of all metadata that are not the notebook's own."""
    named = set(notebook["metadata"]) | {name for cell in notebook["cells"] for name in cell["metadata"]}
    return named - {"kernelspec", "language_info", *KEPT}
