"""Image sets in memory: each one tensor, decoded once; batches are index selects from it on the training device."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lvmlib import sprites
from lvmlib.datasets import complete, embedded, readers
from lvmlib.datasets.convert import binarise_, to_images
from lvmlib.datasets.integrity import DataError
from lvmlib.datasets.order import shuffled
from lvmlib.datasets.raw import Raw, Split
from lvmlib.profile import profile

__all__ = ["DataError", "ImageSet", "batches", "load"]

NAMES = ("mnist", "fashion_mnist", "emoji", "sprites", "svhn", "celeba", "flowers102")
EMBEDDED: dict[Split, int] = {"train": 6000, "test": 1000}
SPRITES: dict[Split, int] = {"train": sprites.TOTAL - 10_000, "test": 10_000}

Count = int | Literal["all"] | None


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with what is known of them.

    Attributes:
        name: as given to `load`.
        images: float32 in [0, 1], shape (N, channels, height, width).
        labels: int64, shape (N,); indexes `classes`.
        classes: what a label means.
        factors: int64, shape (N, F), the known factors of variation; None where none is known.
        factor_names: F names.

    Raises:
        ValueError: images, labels and factors differ in number.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {len(part) for part in (self.images, self.labels, self.factors) if part is not None}
        if len(counts) > 1:
            raise ValueError(
                f"{self.name} has {len(self.images):,} images and {len(self.labels):,} labels; give one of each "
                "(and one row of factors) an image."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> ImageSet:
        """A part of the set; an integer gives a set of one image, so the batch axis stays.

        Raises:
            IndexError: there is no such image.
        """
        rows: Any = [index] if isinstance(index, int) else index
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            factors=None if self.factors is None else self.factors[rows],
        )

    def of_class(self, name: str) -> ImageSet:
        """The images of one class.

        Raises:
            ValueError: there is no such class.
        """
        return self[self.labels == _index(name, self.classes, f"class of {self.name}")]

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on another device."""
        return replace(
            self,
            images=self.images.to(device),
            labels=self.labels.to(device),
            factors=None if self.factors is None else self.factors.to(device),
        )

    def __repr__(self) -> str:
        shape = "×".join(str(extent) for extent in self.images.shape[1:])
        return f"{self.name}: {len(self):,} image{'s' * (len(self) != 1)} of {shape}"


def load(
    name: str,
    *,
    size: int | tuple[int, int] | None = None,
    count: Count = None,
    test_count: Count = None,
    channels: int | None = None,
    binarised: bool = False,
    category: str | None = None,
    skin_tones: bool = False,
    root: str | Path | None = None,
) -> tuple[ImageSet, ImageSet]:
    """An image set, as training and test split; the same arguments always give the same images in the same order.

    `mnist` and `fashion_mnist` (6,000 + 1,000), `emoji` (1,711 + 200) and `sprites` need no network. More of the first
    two, `svhn`, `celeba` and `flowers102` come through torchvision and are kept under `root`; files that torchvision
    put there before are used as they are. Any first n images of a set with classes hold them equally often, as far as
    they last; those of `emoji` in proportion.

    Args:
        name: mnist, fashion_mnist, emoji, sprites, svhn, celeba or flowers102.
        size: pixels, one side or (height, width); None keeps the set's own (64 for photographs and sprites).
            Photographs are cut about the centre to the wanted proportions, everything else is stretched.
        count: training images; None for 6,000 or all there are, "all" for the complete set.
        test_count: test images; None for 1,000 or all there are, and for all if `count` is "all".
        channels: 1 (luma) or 3; None keeps the set's own.
        binarised: threshold every pixel at ½.
        category: of `emoji`, keep one category only.
        skin_tones: of `emoji`, add the skin-tone variants, each after its emoji (1,625 + 250 pictures, all of people).
        root: where complete sets are kept; None for `$LVM_DATA`, or else the platform's folder for caches.

    Returns:
        (train, test). Labels of `emoji` are categories, of `sprites` shapes, of `celeba` smiling. Factors are known for
        `emoji` (emoji, skin_tone, second_skin_tone; 0 for none, 1 light to 5 dark), `sprites` (shape, scale,
        orientation, x, y) and `celeba` (40 attributes).

    Raises:
        ValueError: an argument is not one of those above, or the set has fewer images.
        DataError: the set cannot be had: no network, or a file that is damaged.
    """
    name = NAMES[_index(name, NAMES, "image set")]
    _check_options(name, channels, category, skin_tones)
    shape = _check_size(size)
    if test_count is None and count == "all":
        test_count = "all"

    def part(split: Split, wanted: Count) -> ImageSet:
        if name == "sprites":
            return _sprites(split, wanted, shape, channels, binarised)
        if name == "emoji":
            raw = _emoji(split, wanted, category, skin_tones)
        else:
            raw = _stored(name, split, wanted, shape, root)
        _, stored_channels, height, width = raw.images.shape
        images = to_images(raw.images, shape or (height, width), channels or stored_channels, binarised)
        return ImageSet(name, images, raw.labels, raw.classes, raw.factors, raw.factor_names)

    return part("train", count), part("test", test_count)


def _sprites(
    split: Split, wanted: Count, size: tuple[int, int] | None, channels: int | None, binarised: bool
) -> ImageSet:
    count = _resolve("sprites", split, wanted, SPRITES[split])
    cells = torch.from_numpy(shuffled(sprites.TOTAL))
    start = 0 if split == "train" else SPRITES["train"]
    factors = sprites.factors_of(cells[start : start + count])
    images = sprites.render(factors, size or 64).expand(-1, channels or 1, -1, -1).contiguous()
    if binarised:
        binarise_(images)
    return ImageSet("sprites", images, factors[:, 0], sprites.SHAPES, factors, tuple(sprites.FACTORS))


def _emoji(split: Split, wanted: Count, category: str | None, skin_tones: bool) -> Raw:
    chosen = None if category is None else _index(category, embedded.CLASSES["emoji"], "category of emoji")
    raw = embedded.read_emoji(split, chosen, skin_tones)
    return raw.first(_resolve("emoji", split, wanted, len(raw)))


def _stored(name: str, split: Split, wanted: Count, size: tuple[int, int] | None, root: str | Path | None) -> Raw:
    count = _resolve(name, split, wanted, complete.SETS[name].counts[split])
    if name in embedded.CLASSES and count <= EMBEDDED[split]:
        return embedded.read_grey(name, split).first(count)
    folder = complete.default_root() if root is None else Path(root).expanduser()
    complete.fetch(name, folder)
    return readers.read(name, folder, split, count, size)


def _resolve(name: str, split: Split, wanted: Count, available: int) -> int:
    """How many images to take of those there are."""
    if wanted is None:
        return min(EMBEDDED[split], available)
    if wanted == "all":
        return available
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise ValueError(f'A count of images is a number from 1 up, or "all"; this one is {wanted!r}.')
    if wanted > available:
        kind = "training" if split == "train" else "test"
        raise ValueError(f'{name} has {available:,} {kind} images so chosen, not {wanted:,}; ask for fewer, or "all".')
    return wanted


def _check_options(name: str, channels: int | None, category: str | None, skin_tones: bool) -> None:
    if channels not in (None, 1, 3):
        raise ValueError(f"channels is 1 (grey) or 3 (red, green, blue), not {channels!r}.")
    if name != "emoji" and (category is not None or skin_tones):
        raise ValueError(f"category and skin_tones choose among emoji; {name} has neither.")


def _check_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise ValueError(f"size is one side in pixels or (height, width), not {size!r}.")
    return pair


def _index(name: str, names: Sequence[str], kind: str) -> int:
    """Position of a name, upper or lower case alike."""
    lower = [known.lower() for known in names]
    if name.lower() in lower:
        return lower.index(name.lower())
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    guess = f" (did you mean {names[lower.index(near[0])]}?)" if near else ""
    raise ValueError(f"There is no {kind} {name!r}{guess}; choose one of {', '.join(names)}.")


class Batches:
    """What `batches` gives: iterate over it once an epoch.

    Attributes:
        generator: decides the order; its state is all there is to save. None for torch's global one.
        batch_size: images in a batch.
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        unpack: bool,
        batch_size: int,
        generator: torch.Generator | None,
        shuffle: bool,
        drop_last: bool,
    ) -> None:
        self.generator = generator
        self.batch_size = batch_size
        self._tensors = tensors
        self._unpack = unpack
        self._shuffle = shuffle
        self._drop_last = drop_last

    def __len__(self) -> int:
        count = len(self._tensors[0])
        return count // self.batch_size if self._drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        # Drawn on the CPU, so that a seed gives the same order on every device.
        count = len(self._tensors[0])
        order = torch.randperm(count, generator=self.generator) if self._shuffle else torch.arange(count)
        order = order.to(self._tensors[0].device)
        for rows in order.split(self.batch_size)[: len(self)]:
            batch = tuple(tensor.index_select(0, rows) for tensor in self._tensors)
            yield batch[0] if self._unpack else batch


def batches(
    images: ImageSet | Tensor | Sequence[ImageSet | Tensor],
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    device: torch.device | str | None = None,
) -> Batches:
    """Minibatches without per-sample work; every pass over the result is an epoch in a new order.

        for x in batches(train, 64): …
        for x, label in batches((train, train.labels), 64): …

    Args:
        images: an image set or tensor, or several of one length; of a set its images are taken.
        batch_size: images in a batch; the last one of an epoch may be smaller.
        generator: decides the order, on the CPU; None for torch's global one.
        shuffle: draw a new order each epoch; otherwise keep that of the images.
        drop_last: leave out a smaller last batch.
        device: where the batches are wanted; None for `profile.device`. The tensors are moved there once.

    Returns:
        A re-iterable of tensors (of tuples of tensors, where several were given), with `len` and `.generator`.

    Raises:
        ValueError: lengths differ, or there would be no batch at all.
    """
    single = isinstance(images, ImageSet | Tensor)
    parts: Sequence[ImageSet | Tensor] = (images,) if isinstance(images, ImageSet | Tensor) else images
    target = profile.device if device is None else device
    tensors = tuple((part.images if isinstance(part, ImageSet) else part).to(target) for part in parts)
    lengths = [len(tensor) for tensor in tensors]
    if len(set(lengths)) != 1:
        raise ValueError(f"batches needs tensors of one length; these have {', '.join(map(str, lengths)) or 'none'}.")
    if batch_size < 1 or lengths[0] < (batch_size if drop_last else 1):
        raise ValueError(f"batch_size={batch_size} makes no batch of {lengths[0]:,} images; choose one from 1 to that.")
    return Batches(tensors, single, batch_size, generator, shuffle, drop_last)
