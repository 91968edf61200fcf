"""An experiment of a lab: it runs on the student's own functions, and shows what it would draw while one is missing."""

from __future__ import annotations

import contextlib
import dis
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from lvmlib.front_end import Picture
from lvmlib.probe import is_stub, stub_name

PICTURES = Path(__file__).parent / "pictures"


class Missed(NamedTuple):
    """An experiment that could not run, and the exercise that it lacked; the first one, where others followed it."""

    exercise: str
    experiment: str


_makers: dict[str, Missed] = {}
"""Variables that a missed experiment would have made."""


@contextlib.contextmanager
def experiment(name: str) -> Iterator[None]:
    """Run the cell's code; where an exercise that it needs is not solved yet, say which and show the shipped picture.

    Variables made inside stay, as in any cell.  An experiment that uses what an earlier, missed one would have made is
    missed too.  Every other error is shown as usual.

    Args:
        name: the experiment, which is also the name of its picture.
    """
    try:
        yield
    except (NotImplementedError, NameError) as error:
        frames = [step.tb_frame for step in _steps(error.__traceback__)]
        missed = _missed(name, error, frames)
        if missed is None:
            raise
        cell = frames[0]
        _makers.update({made: missed for made in _made_in(cell) if made not in cell.f_globals})
        _show_instead(name, missed)


def _missed(name: str, error: NotImplementedError | NameError, frames: list[FrameType]) -> Missed | None:
    """What is behind an error, or None if the error is the student's to see."""
    if isinstance(error, NotImplementedError):
        return Missed(stub_name(error), name) if is_stub(error) else None
    in_the_cell_itself = frames[-1].f_code.co_filename == frames[0].f_code.co_filename
    return _makers.get(error.name or "") if in_the_cell_itself else None


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        if step.tb_frame.f_code.co_filename != __file__:
            yield step
        step = step.tb_next


def _made_in(cell: FrameType) -> set[str]:
    return {step.argval for step in dis.get_instructions(cell.f_code) if step.opname in ("STORE_NAME", "STORE_GLOBAL")}


def shipped(name: str) -> list[tuple[Path, str]]:
    """The pictures that an experiment draws when all its exercises are solved, each with what it shows in words."""
    found = sorted(
        path for path in PICTURES.glob(f"*/{name}*") if re.fullmatch(rf"{re.escape(name)}(-\d+)?", path.stem)
    )
    return [(path, json.loads((path.parent / "alt.json").read_text(encoding="utf-8"))[path.name]) for path in found]


def _show_instead(name: str, missed: Missed) -> None:
    from IPython.display import display

    pictures = shipped(name)
    promise = "; with it, you would see:" if pictures else "."
    if missed.experiment == name:
        reason = f"needs `{missed.exercise}`, which is not written yet."
    else:
        reason = (
            f"needs what experiment `{missed.experiment}` makes, and `{missed.exercise}` was not written yet when that "
            "ran; once it is, run the cells from there again."
        )
    print(f"This experiment {reason} You can read on{promise}")
    for path, alt in pictures:
        display(_picture(path, alt))


def _picture(path: Path, alt: str) -> Any:
    if path.suffix == ".gif":
        from lvmlib.show import Animation

        return Animation(path.read_bytes(), alt)
    return Picture(path.read_bytes(), alt, *_size(path))


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG in screen pixels, of which each holds several for sharpness."""
    import PIL.Image

    from lvmlib.show.figure import SHARPNESS

    with PIL.Image.open(path) as image:
        return image.width // SHARPNESS, image.height // SHARPNESS
