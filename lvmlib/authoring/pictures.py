"""The pictures that an experiment draws, kept for students whose exercise is still missing.

A cell that calls `experiment("name")` gives `lvmlib/pictures/LAB/name.png`, or `name.gif` for an animation; where it
draws several, they are `name-1.png`, `name-2.gif` and so on, in order.  `alt.json` beside them says what each shows.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import CourseError, write_atomically

EXPERIMENT = re.compile(r"""\bexperiment\(\s*["']([\w-]+)["']""")
KINDS = {"image/gif": "gif", "image/png": "png"}
COLOURS = 256
LARGEST = 2_000_000
"""Bytes of a picture; all of them are installed with the library."""


@dataclass(frozen=True)
class Picture:
    """An image that a cell shows.

    Attributes:
        kind: `image/png` or `image/gif`.
        content: the file's bytes.
        alt: what it shows in words, empty where the cell does not say.
    """

    kind: str
    content: bytes
    alt: str


def picture_of(output: NotebookNode) -> Picture | None:
    """The image of a cell's output; an animation is one too, though a notebook stores it as HTML."""
    from lvmlib.show import Animation

    data, metadata = output.get("data", {}), output.get("metadata", {})
    for kind in KINDS:
        if kind in data:
            alt = metadata.get(kind, {}).get("alt") or metadata.get("alt") or ""
            return Picture(kind, base64.b64decode(data[kind]), str(alt))
    animation = Animation.from_html(data.get("text/html", ""))
    return Picture("image/gif", animation.gif, animation.alt) if animation else None


def pictures_of(notebook: NotebookNode) -> dict[str, bytes]:
    """The files of a lab's folder of pictures, by name: its images, and alt.json where there are any.

    Args:
        notebook: executed.

    Raises:
        CourseError: two cells name the same experiment, or a picture is over two megabytes.
    """
    files: dict[str, bytes] = {}
    words: dict[str, str] = {}
    for name, pictures in _experiments(notebook):
        for number, picture in enumerate(pictures, start=1):
            stem = name if len(pictures) == 1 else f"{name}-{number}"
            file = f"{stem}.{KINDS[picture.kind]}"
            if file in files:
                raise CourseError(f"Two cells call experiment({name!r}); give each experiment its own name.")
            files[file] = _quantise(picture.content) if picture.kind == "image/png" else picture.content
            words[file] = picture.alt or name.replace("-", " ")
            if len(files[file]) > LARGEST:
                size = f"{len(files[file]) / 1e6:.1f} MB and may have {LARGEST / 1e6:g}"
                raise CourseError(f"{file} of experiment({name!r}) has {size}; draw fewer or smaller frames.")
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


def _experiments(notebook: NotebookNode) -> Iterator[tuple[str, list[Picture]]]:
    for cell in notebook.cells:
        named = EXPERIMENT.search(cell.source) if cell.cell_type == "code" else None
        if named:
            yield named[1], [picture for output in cell.outputs if (picture := picture_of(output))]


def _quantise(png: bytes) -> bytes:
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    small = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()
