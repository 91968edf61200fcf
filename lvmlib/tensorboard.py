"""A training's metrics and pictures as TensorBoard events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from torch import Tensor

Write = Callable[[int, Mapping[str, float], Mapping[str, Tensor]], None]


@contextmanager
def tensorboard(folder: str | Path | None, first_epoch: int = 1) -> Iterator[Write]:
    """Open `folder` for one training and give the function that writes an epoch to it.

    Args:
        folder: one a training; if an earlier one, from its first epoch, is in it, the next free FOLDER-2, FOLDER-3 …
            is taken, so that curves do not mix; None writes nothing.
        first_epoch: what an earlier, killed training wrote from this epoch on is hidden.

    Yields:
        `write(epoch, scalars, images)`; images are (C, H, W) or (N, C, H, W) in [0, 1] and are drawn as a grid.

    Raises:
        ImportError: TensorBoard is not installed.
        ValueError: from `write`, an image of another shape.
    """
    if folder is None:
        yield lambda epoch, scalars, images: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "fit(log=…) needs TensorBoard, which is not installed: run `pip install tensorboard`, or leave out log."
        ) from error

    folder = Path(folder) if first_epoch > 1 else _unused(Path(folder))
    with SummaryWriter(str(folder), purge_step=first_epoch if first_epoch > 1 else None) as writer:

        def write(epoch: int, scalars: Mapping[str, float], images: Mapping[str, Tensor]) -> None:
            for name, value in scalars.items():
                writer.add_scalar(name, value, epoch)
            for name, image in images.items():
                writer.add_images(name, _as_batch(name, image), epoch)
            # a killed training keeps what it logged
            writer.flush()

        yield write


def _unused(folder: Path) -> Path:
    candidates = chain([folder], (folder.with_name(f"{folder.name}-{number}") for number in count(2)))
    return next(candidate for candidate in candidates if not any(candidate.glob("events.out.tfevents.*")))


def _as_batch(name: str, image: Tensor) -> Tensor:
    batch = image[None] if image.ndim == 3 else image
    if batch.ndim != 4 or batch.shape[1] not in (1, 3):
        raise ValueError(
            f"on_epoch returned {name!r} of shape {tuple(image.shape)}; give (C, H, W) or (N, C, H, W) with 1 or 3 "
            "channels."
        )
    # the writer multiplies by 255 and would wrap around
    return batch.detach().float().clamp(0, 1).cpu()
