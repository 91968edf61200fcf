"""An experiment of a lab: it runs on the student's own functions, and shows what it would draw while one is missing."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"

_missed: list[str] = []


@contextlib.contextmanager
def experiment(name: str) -> Iterator[None]:
    """Run the cell's code; where an exercise that it needs is not solved yet, say which and show the shipped picture.

    Variables made inside stay, as in any cell.  An experiment that uses what an earlier, missed one would have made is
    missed too.  Every other error is shown as usual.

    Args:
        name: the experiment, which is also the name of its picture.
    """
    if name in _missed:
        _missed.remove(name)
    try:
        yield
    except NotImplementedError as error:
        function = traceback.extract_tb(error.__traceback__)[-1].name
        _show_instead(name, f"This experiment needs `{function}`, which is not written yet.")
    except NameError as error:
        if not _missed:
            raise
        _show_instead(name, f"This experiment needs `{error.name}`, which an experiment above makes when it can run.")


def shipped(name: str) -> list[tuple[Path, str]]:
    """The pictures that an experiment draws when all its exercises are solved, each with what it shows in words."""
    found = sorted(
        path for path in PICTURES.glob(f"*/{name}*") if re.fullmatch(rf"{re.escape(name)}(-\d+)?", path.stem)
    )
    return [(path, json.loads((path.parent / "alt.json").read_text(encoding="utf-8"))[path.name]) for path in found]


def _show_instead(name: str, reason: str) -> None:
    from IPython.display import Image, display

    _missed.append(name)
    pictures = shipped(name)
    print(f"{reason} You can read on" + ("; with it, you would see:" if pictures else "."))
    for path, alt in pictures:
        display(Image(filename=str(path), alt=alt, width=_width(path)))


def _width(path: Path) -> int:
    """Of a picture in screen pixels, of which each holds several for sharpness."""
    import PIL.Image

    from lvmlib.show.figure import SHARPNESS

    with PIL.Image.open(path) as image:
        return image.width // SHARPNESS
