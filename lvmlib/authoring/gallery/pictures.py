"""The pictures of a lab as files beside its page, so that a browser loads those that are looked at."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from nbformat.notebooknode import NotebookNode
from PIL import Image

from lvmlib.authoring.pictures import EXPERIMENT, KINDS, Picture, picture_of


@dataclass(frozen=True)
class Shown:
    """A picture of a page.

    Attributes:
        file: address of the file, relative to the site.
        width, height: in CSS pixels.
        still: the last frame of an animation, for those who want nothing to move; empty for a picture.
        experiment: the name of the experiment that drew it, empty without one.
        cover: whether it may stand for its lab.
    """

    file: str
    alt: str
    width: int
    height: int
    still: str = ""
    experiment: str = ""
    cover: bool = False


@dataclass
class Album:
    """The pictures of one lab, in order, and their files."""

    lab: str
    shown: list[Shown] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, cell: NotebookNode, output: NotebookNode) -> Shown | None:
        """Take in the picture of an output, where it has one."""
        picture = picture_of(output)
        if picture is None:
            return None
        stem = f"{self.lab}/{len(self.shown) + 1:02}"
        file = f"{stem}.{KINDS[picture.kind]}"
        self.files[file] = picture.content
        still = ""
        if picture.kind == "image/gif":
            still = f"{stem}-still.png"
            self.files[still] = last_frame(picture.content)
        named = EXPERIMENT.search(cell.source)
        experiment = named[1] if named else ""
        alt = picture.alt or experiment.replace("-", " ") or "Output of the cell above"
        covers = "cover" in cell.metadata.get("tags", [])
        self.shown.append(Shown(file, alt, *_size(picture, output), still, experiment, covers))
        return self.shown[-1]

    def cover(self) -> list[Shown]:
        """The pictures of the cell tagged `cover`, else the first of the lab."""
        return [shown for shown in self.shown if shown.cover] or self.shown[:1]


def last_frame(gif: bytes) -> bytes:
    """Where an animation ends, as a PNG."""
    image = Image.open(io.BytesIO(gif))
    image.seek(getattr(image, "n_frames", 1) - 1)
    still = io.BytesIO()
    image.convert("RGB").save(still, format="png", optimize=True)
    return still.getvalue()


def _size(picture: Picture, output: NotebookNode) -> tuple[int, int]:
    # Notebooks say how large a figure is meant to be; its pixels are twice as many, for sharp screens.
    told = output.get("metadata", {}).get(picture.kind, {})
    if "width" in told and "height" in told:
        return told["width"], told["height"]
    return Image.open(io.BytesIO(picture.content)).size
