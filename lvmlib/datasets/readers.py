"""Decode complete image sets, each once and into one tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvmlib.datasets.complete import SETS
from lvmlib.datasets.embedded import CLASSES
from lvmlib.datasets.integrity import DataError
from lvmlib.datasets.order import balanced_order
from lvmlib.datasets.raw import Raw, Split

PHOTOGRAPH = (64, 64)  # photographs have no size of their own


def read(name: str, root: Path, split: Split, count: int, size: tuple[int, int] | None = None) -> Raw:
    """The first `count` images, in balanced order, of a set that `complete.fetch` has found whole.

    Args:
        size: what photographs are cropped and scaled to while they are decoded, 64 × 64 where None.

    Raises:
        DataError: a picture cannot be decoded.
    """
    return _READERS[name](name, root, split, count, size or PHOTOGRAPH)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the format of the MNIST files (http://yann.lecun.com/exdb/mnist)."""
    dimensions = np.fromfile(path, np.uint8, count=4)[3]
    shape = np.fromfile(path, ">i4", count=dimensions, offset=4)
    return np.fromfile(path, np.uint8, offset=4 + 4 * int(dimensions)).reshape(shape)


def _read_grey(name: str, root: Path, split: Split, count: int, size: tuple[int, int]) -> Raw:
    prefix = root / SETS[name].torchvision / "raw" / ("train" if split == "train" else "t10k")
    labels = read_idx(Path(f"{prefix}-labels-idx1-ubyte"))
    order = balanced_order(labels)[:count]
    images = read_idx(Path(f"{prefix}-images-idx3-ubyte"))[order]
    return Raw(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels[order]).long(), CLASSES[name])


def _read_svhn(name: str, root: Path, split: Split, count: int, size: tuple[int, int]) -> Raw:
    from torchvision.datasets import SVHN

    stored = SVHN(root, **SETS[name].splits[split])
    order = balanced_order(stored.labels)[:count]
    return Raw(
        images=torch.from_numpy(stored.data[order]),
        labels=torch.from_numpy(stored.labels[order]).long(),
        classes=tuple("0123456789"),
    )


def _read_flowers(name: str, root: Path, split: Split, count: int, size: tuple[int, int]) -> Raw:
    from torchvision.datasets import Flowers102

    stored = Flowers102(root, **SETS[name].splits[split])
    labels = np.asarray(stored._labels)
    order = balanced_order(labels)[:count]
    return Raw(
        images=_decode([Path(stored._image_files[i]) for i in order], size),
        labels=torch.from_numpy(labels[order]).long(),
        classes=tuple(getattr(Flowers102, "classes", map(str, range(1, 103)))),  # torchvision 0.21 has no names
    )


def _read_celeba(name: str, root: Path, split: Split, count: int, size: tuple[int, int]) -> Raw:
    """Labels say whether the person smiles; factors are all 40 attributes."""
    from torchvision.datasets import CelebA

    stored = CelebA(root, **SETS[name].splits[split])
    attributes = tuple(filter(None, stored.attr_names))
    smiling = stored.attr[:, attributes.index("Smiling")]
    order = torch.from_numpy(balanced_order(smiling.numpy())[:count])
    folder = root / "celeba" / "img_align_celeba"
    return Raw(
        images=_decode([folder / stored.filename[i] for i in order], size),
        labels=smiling[order].long(),
        classes=("not smiling", "smiling"),
        factors=stored.attr[order].long(),
        factor_names=attributes,
    )


def _decode(paths: Sequence[Path], size: tuple[int, int]) -> Tensor:
    """Photographs cut about their centre to the wanted proportions and scaled; uint8, shape (N, 3, *size)."""
    from PIL import Image, ImageOps, UnidentifiedImageError
    from tqdm.auto import tqdm

    height, width = size
    images = torch.empty(len(paths), 3, height, width, dtype=torch.uint8)
    for target, path in zip(images, tqdm(paths, desc="decoding", delay=2), strict=True):
        try:
            with Image.open(path) as picture:
                cut = ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.BILINEAR)
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(f"{path} cannot be decoded ({error}): delete it and load the set again.") from None
        target.copy_(torch.from_numpy(np.array(cut)).permute(2, 0, 1))
    return images


_READERS: dict[str, Callable[[str, Path, Split, int, tuple[int, int]], Raw]] = {
    "mnist": _read_grey,
    "fashion_mnist": _read_grey,
    "svhn": _read_svhn,
    "celeba": _read_celeba,
    "flowers102": _read_flowers,
}
