"""Remake the image sets embedded in lvmlib from their originals.

    python scripts/remake_datasets.py ORIGINALS [--out FOLDER] [--fetch]

ORIGINALS holds MNIST/raw and FashionMNIST/raw as torchvision lays them out, and emoji/32.png with emoji/emoji.json from
the npm package emoji-datasource-google. A file whose contents are already right is left as it is, since the bytes
of a compressed file depend on the version of zlib.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvmlib.datasets import complete
from lvmlib.datasets.embedded import CLASSES, FOLDER
from lvmlib.datasets.integrity import DataError, file_damage
from lvmlib.datasets.order import balanced_order, proportional_order
from lvmlib.datasets.readers import read_idx

Arrays = dict[str, Any]  # arrays by name

EMOJI_ADDRESS = "https://cdn.jsdelivr.net/npm/emoji-datasource-google@16.0.0/"
EMOJI_FILES = {  # where it lies in the package, SHA-256
    "emoji/32.png": (
        "img/google/sheets-256/32.png",
        "d2217df38f59c51b2f28608b657adc54724dc6de12bc149129a63d28fa1aa057",
    ),
    "emoji/emoji.json": ("emoji.json", "1d602e65be88772bf8cc368ce16b855d719eeddbafe128d471b80203f494d29f"),
}
CELL, BORDER = 32, 1
TEST_EMOJI = 200
SKIN_TONES = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the files go (default: into lvmlib)")
    parser.add_argument("--fetch", action="store_true", help="download what is missing in ORIGINALS")
    arguments = parser.parse_args()
    try:
        remake(arguments.originals, arguments.out, arguments.fetch)
    except DataError as error:
        parser.exit(1, f"{error}\n")


def remake(originals: Path, out: Path, fetch: bool) -> None:
    """Write mnist.npz, fashion_mnist.npz, emoji.npz and SHA256SUMS into `out`.

    Raises:
        DataError: an original is missing or damaged.
    """
    if fetch:
        fetch_originals(originals)
    verify_originals(originals)
    out.mkdir(parents=True, exist_ok=True)
    sets = {
        "mnist": grey(originals / "MNIST" / "raw"),
        "fashion_mnist": grey(originals / "FashionMNIST" / "raw"),
        "emoji": emoji(originals / "emoji"),
    }
    for name, arrays in sets.items():
        save(out / f"{name}.npz", arrays)
    sums = [f"{hashlib.sha256((out / f'{name}.npz').read_bytes()).hexdigest()}  {name}.npz\n" for name in sorted(sets)]
    (out / "SHA256SUMS").write_text("".join(sums), "ascii", newline="\n")


def fetch_originals(originals: Path) -> None:
    """Download what is missing or damaged; nothing is kept that has the wrong checksum."""
    for name in ("mnist", "fashion_mnist"):
        complete.fetch(name, originals)
    for path, (address, checksum) in EMOJI_FILES.items():
        if file_damage(originals / path, checksum, "sha256"):
            (originals / path).parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=originals) as folder:
                arrived = Path(folder) / "file"
                download(EMOJI_ADDRESS + address, arrived)
                if trouble := file_damage(arrived, checksum, "sha256"):
                    raise DataError(f"{EMOJI_ADDRESS}{address} {trouble}.")
                arrived.replace(originals / path)


def download(address: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(address, timeout=complete.SILENCE) as response:
            path.write_bytes(response.read())
    except OSError as error:
        raise DataError(f"{address} could not be downloaded: {error}.") from None


def verify_originals(originals: Path) -> None:
    emoji_damage = (
        f"{path} {trouble}"
        for path, (_, checksum) in EMOJI_FILES.items()
        if (trouble := file_damage(originals / path, checksum, "sha256"))
    )
    for trouble in (complete.damage("mnist", originals), complete.damage("fashion_mnist", originals), *emoji_damage):
        if trouble:
            raise DataError(f"In {originals}, {trouble}; lay the originals out anew, for example with --fetch.")


def grey(raw: Path) -> Arrays:
    """The first 6,000 and 1,000 images in balanced order: 600 and 100 of each class."""
    arrays: Arrays = {}
    for split, prefix, count in (("train", "train", 6000), ("test", "t10k", 1000)):
        labels = read_idx(raw / f"{prefix}-labels-idx1-ubyte")
        order = balanced_order(labels)[:count]
        arrays[f"{split}_images"] = read_idx(raw / f"{prefix}-images-idx3-ubyte")[order]
        arrays[f"{split}_labels"] = labels[order]
    return arrays


def emoji(folder: Path) -> Arrays:
    """All base emoji in proportional order, each followed by its skin-tone variants, as indices into one palette."""
    entries = json.loads((folder / "emoji.json").read_text("utf-8"))
    sheet, palette = read_sheet(folder / "32.png")
    labels = np.array([CLASSES["emoji"].index(entry["category"]) for entry in entries], np.uint8)
    variants = [list(variants_of(entry)) for entry in entries]
    pictures = [np.stack([cut(sheet, *place) for place, _ in tones]) for tones in variants]

    order = proportional_order(labels)
    shared = shared_pictures(pictures)
    test = [i for i in order if not shared[i]][:TEST_EMOJI]
    train = [i for i in order if i not in set(test)]
    arrays: Arrays = {"palette": palette}
    for split, members in (("train", train), ("test", test)):
        arrays[f"{split}_images"] = np.concatenate([pictures[i] for i in members])
        arrays[f"{split}_labels"] = np.concatenate([labels[[i] * len(variants[i])] for i in members])
        arrays[f"{split}_factors"] = np.array([(i, *tones) for i in members for _, tones in variants[i]], np.int16)
    return arrays


def read_sheet(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The sheet as palette indices, shape (height, width), and its palette on white, shape (colours, 3)."""
    from PIL import Image

    with Image.open(path) as picture:
        indices = np.asarray(picture)
        colours = np.array(picture.getpalette("RGB"), np.float64).reshape(-1, 3)
        transparency = np.frombuffer(picture.info["transparency"], np.uint8)
    opacity = np.ones((len(colours), 1))
    opacity[: len(transparency), 0] = transparency / 255
    on_white = np.round(colours * opacity + 255 * (1 - opacity)).astype(np.uint8)
    palette, renumbered = np.unique(on_white, axis=0, return_inverse=True)
    return renumbered.reshape(-1).astype(np.uint8)[indices], palette


def variants_of(entry: dict[str, Any]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where an emoji and its variants lie on the sheet, each with the skin tones of its first and second person."""
    yield (entry["sheet_x"], entry["sheet_y"]), (0, 0)
    variations = entry.get("skin_variations", {})
    couple = any("-" in key for key in variations)
    for key in sorted(variations):
        tones = [1 + SKIN_TONES.index(code) for code in key.split("-")]
        place = variations[key]["sheet_x"], variations[key]["sheet_y"]
        yield place, (tones[0], tones[-1] if couple else 0)


def cut(sheet: NDArray[np.uint8], column: int, row: int) -> NDArray[np.uint8]:
    step = CELL + 2 * BORDER
    top, left = row * step + BORDER, column * step + BORDER
    return sheet[top : top + CELL, left : left + CELL]


def shared_pictures(pictures: list[NDArray[np.uint8]]) -> list[bool]:
    """Which emoji have a picture in common with another one, as the flags of a country's territories do."""
    owned = [{picture.tobytes() for picture in own} for own in pictures]
    owners = Counter(picture for own in owned for picture in own)
    return [any(owners[picture] > 1 for picture in own) for own in owned]


def save(path: Path, arrays: Arrays) -> None:
    """Write a compressed file in one step, unless its contents are already these."""
    if path.exists() and same(path, arrays):
        return
    with TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        np.savez_compressed(made, **arrays)
        made.replace(path)


def same(path: Path, arrays: Arrays) -> bool:
    try:
        with np.load(path, allow_pickle=False) as stored:
            contents = dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return contents.keys() == arrays.keys() and all(
        contents[name].dtype == array.dtype and np.array_equal(contents[name], array) for name, array in arrays.items()
    )


if __name__ == "__main__":
    main()
