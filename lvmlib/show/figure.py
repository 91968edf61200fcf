"""The one figure that every picture is, and the one look they share."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lvmlib.front_end import Picture
from lvmlib.show.pixels import Bytes

DPI = 100
"""Screen pixels an inch."""
SHARPNESS = 2
"""Drawn pixels a screen pixel, so that text is sharp on dense screens."""

INK, FRAME, FAINT = "#222222", "#666666", "#e4e4e4"

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, *Color Universal Design*, 2008, without its yellow, which is too faint on white."""
LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
MARKERS = ("o", "^", "s", "X", "D", "v", "P")

_LOOK: dict[str, Any] = {
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FRAME,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": FRAME,
    "ytick.color": FRAME,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
}


@contextmanager
def look() -> Iterator[None]:
    """Draw in the course's look whatever the reader's ``rcParams`` are, and give those back."""
    with style.context(["default", _LOOK]):
        yield


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that pyplot does not know, with alternative text for those who cannot see it.

    Attributes:
        alt: What the picture shows, in a sentence.
    """

    def __init__(self, alt: str, **options: Any) -> None:
        with look():
            super().__init__(dpi=DPI, **options)
        self.alt = alt

    def pixels(self, sharpness: int = 1) -> Bytes:
        """The drawn picture, shape (height, width, 3)."""
        canvas = FigureCanvasAgg(self)
        self.dpi = DPI * sharpness
        try:
            with look():
                canvas.draw()
            return np.asarray(canvas.buffer_rgba())[..., :3].copy()
        finally:
            self.dpi = DPI

    def png(self) -> bytes:
        """The picture as PNG, the same bytes whenever it is drawn."""
        pixels = self.pixels(SHARPNESS)
        if (pixels == pixels[..., :1]).all():
            image = Image.fromarray(pixels[..., 0])
        elif any(axes.images for axes in self.axes):
            image = Image.fromarray(pixels)
        else:
            # 256 colours are enough for lines and marks, and save two thirds of the bytes.
            image = Image.fromarray(pixels).quantize(dither=Image.Dither.NONE)
        file = io.BytesIO()
        image.save(file, "png", optimize=True, dpi=(DPI * SHARPNESS, DPI * SHARPNESS))
        return file.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as a PNG file, all of it or nothing.

        Raises:
            ValueError: The name does not end in .png.
        """
        if Path(path).suffix.lower() != ".png":
            raise ValueError(f"{path} does not end in .png, the only format save() writes; savefig() writes others.")
        write(path, self.png())

    def __repr__(self) -> str:
        return f"<figure: {self.alt}>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        width, height = (round(inches * DPI) for inches in self.get_size_inches())
        return Picture(self.png(), self.alt, width, height)._repr_mimebundle_(**options)

    def _ipython_display_(self) -> None:
        # With %matplotlib inline, IPython prefers its own PNG of any figure, without alt text, to _repr_mimebundle_.
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file through a neighbour, so that nobody ever sees half of it."""
    part = Path(path).with_name(Path(path).name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
