"""The image sets that lvmlib carries with it; they work without a network.

`LICENCES.md` beside this file says where they come from, `scripts/remake_datasets.py` makes them.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from lvmlib.datasets.integrity import DataError, file_damage
from lvmlib.datasets.raw import Raw, Split

FOLDER = Path(__file__).parent

CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "emoji": (
        "Smileys & Emotion",
        "People & Body",
        "Animals & Nature",
        "Food & Drink",
        "Travel & Places",
        "Activities",
        "Objects",
        "Symbols",
        "Flags",
        "Component",
    ),
}
EMOJI_FACTORS = ("emoji", "skin_tone", "second_skin_tone")


def read_grey(name: str, split: Split) -> Raw:
    """The embedded part of `mnist` or `fashion_mnist`, in balanced order: any first n images are class-balanced.

    Raises:
        DataError: the file in the package is damaged.
    """
    arrays = _open(name)
    return Raw(
        images=torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1),
        labels=torch.from_numpy(arrays[f"{split}_labels"]).long(),
        classes=CLASSES[name],
    )


def read_emoji(split: Split, category: int | None = None, skin_tones: bool = False) -> Raw:
    """Noto emoji, 3 × 32 × 32 on white.

    A fixed tenth of the emoji is the test split: 200 that share no picture with the others, each category in
    proportion. An emoji's skin-tone variants are always on its own side.

    Args:
        split: which side.
        category: keep one category only, an index into its `classes`.
        skin_tones: also give the variants, each after its emoji.

    Returns:
        Labels are categories. Factors are `emoji` (which base emoji), `skin_tone` (0 none, 1 light … 5 dark) and
        `second_skin_tone` (the same for the second person, 0 where there is none).

    Raises:
        DataError: the file in the package is damaged.
    """
    arrays = _open("emoji")
    labels, factors = arrays[f"{split}_labels"], arrays[f"{split}_factors"]
    keep = np.full(len(labels), True) if category is None else labels == category
    if not skin_tones:
        keep &= factors[:, EMOJI_FACTORS.index("skin_tone")] == 0
    pixels = arrays["palette"][arrays[f"{split}_images"][keep]]
    return Raw(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2),
        labels=torch.from_numpy(labels[keep]).long(),
        classes=CLASSES["emoji"],
        factors=torch.from_numpy(factors[keep]).long(),
        factor_names=EMOJI_FACTORS,
    )


def _open(name: str) -> np.lib.npyio.NpzFile:
    path = FOLDER / f"{name}.npz"
    damage = file_damage(path, _checksums().get(path.name, ""), "sha256")
    if damage:
        raise DataError(f"{path.name}, a part of lvmlib, {damage}: reinstall lvmlib.")
    return np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)


def _checksums() -> dict[str, str]:
    path = FOLDER / "SHA256SUMS"
    if not path.is_file():
        raise DataError(f"{path.name}, a part of lvmlib, is missing: reinstall lvmlib.")
    return {name: checksum for checksum, name in (line.split() for line in path.read_text("ascii").splitlines())}
