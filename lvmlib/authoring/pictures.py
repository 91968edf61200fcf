"""The pictures that an experiment draws, kept for students whose exercise is still missing.

A cell that calls `experiment("name")` gives `lvmlib/pictures/LAB/name.png` (or .gif); where it draws several, they
are `name-1.png`, `name-2.png` and so on, in order.  `alt.json` beside them holds what each shows, in words.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import CourseError, write_atomically

EXPERIMENT = re.compile(r"""\bexperiment\(\s*["']([\w-]+)["']""")
KINDS = {"image/png": "png", "image/gif": "gif"}
COLOURS = 256


def pictures_of(notebook: NotebookNode) -> dict[str, bytes]:
    """The files of a lab's folder of pictures, by name: its images, and alt.json where there are any.

    Args:
        notebook: executed.

    Raises:
        CourseError: two cells name the same experiment.
    """
    files: dict[str, bytes] = {}
    words: dict[str, str] = {}
    for name, outputs in _experiments(notebook):
        for number, (kind, output) in enumerate(outputs, start=1):
            stem = name if len(outputs) == 1 else f"{name}-{number}"
            file = f"{stem}.{KINDS[kind]}"
            if file in files:
                raise CourseError(f"Two cells call experiment({name!r}); give each experiment its own name.")
            image = base64.b64decode(output.data[kind])
            files[file] = _quantise(image) if kind == "image/png" else image
            words[file] = _alt_text(output, kind) or name.replace("-", " ")
    if files:
        files["alt.json"] = (json.dumps(words, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    return files


def write_pictures(folder: Path, files: dict[str, bytes]) -> None:
    """Make a folder hold these files and no others."""
    for name, content in files.items():
        write_atomically(folder / name, content)
    for path in folder.glob("*"):
        if path.name not in files:
            path.unlink()


def _experiments(notebook: NotebookNode) -> Iterator[tuple[str, list[tuple[str, NotebookNode]]]]:
    for cell in notebook.cells:
        named = EXPERIMENT.search(cell.source) if cell.cell_type == "code" else None
        if named:
            yield named[1], [(kind, output) for output in cell.outputs if (kind := _kind(output))]


def _kind(output: NotebookNode) -> str | None:
    return next((kind for kind in ("image/gif", "image/png") if kind in output.get("data", {})), None)


def _alt_text(output: NotebookNode, kind: str) -> str:
    metadata = output.get("metadata", {})
    return str(metadata.get(kind, {}).get("alt") or metadata.get("alt") or "")


def _quantise(png: bytes) -> bytes:
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    small = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()
