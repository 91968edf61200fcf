"""Complete image sets, brought by torchvision on demand and kept in its folder layout."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lvmlib.datasets.integrity import DataError, file_damage, is_web_page
from lvmlib.datasets.raw import Split

ARCHIVES = {".gz", ".tgz", ".zip"}
SILENCE = 30  # seconds without a byte after which a download has failed


@dataclass(frozen=True)
class Complete:
    """What is known of a set before it is there.

    Attributes:
        torchvision: its class in torchvision.datasets.
        splits: how that class is asked for each of our splits.
        counts: images in each split.
        files: MD5 of every file that is read, by path below the root.
        pictures: folder of single pictures below the root and how many it holds; None if `files` is all.
    """

    torchvision: str
    splits: dict[Split, dict[str, str | bool]]
    counts: dict[Split, int]
    files: dict[str, str]
    pictures: tuple[str, int] | None = None


SETS = {
    "mnist": Complete(
        torchvision="MNIST",
        splits={"train": {"train": True}, "test": {"train": False}},
        counts={"train": 60000, "test": 10000},
        files={
            "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion_mnist": Complete(
        torchvision="FashionMNIST",
        splits={"train": {"train": True}, "test": {"train": False}},
        counts={"train": 60000, "test": 10000},
        files={
            "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
    ),
    "svhn": Complete(
        torchvision="SVHN",
        splits={"train": {"split": "train"}, "test": {"split": "test"}},
        counts={"train": 73257, "test": 26032},
        files={
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
    ),
    "celeba": Complete(
        torchvision="CelebA",
        splits={"train": {"split": "train"}, "test": {"split": "test"}},
        counts={"train": 162770, "test": 19962},
        files={
            "celeba/list_attr_celeba.txt": "75e246fa4810816ffd6ee81facbd244c",
            "celeba/identity_CelebA.txt": "32bd1bd63d3c78cd57e08160ec5ed1e2",
            "celeba/list_bbox_celeba.txt": "00566efa6fedff7a56946cd1c10f1c16",
            "celeba/list_landmarks_align_celeba.txt": "cc24ecafdb5b50baae59b03474781f8c",
            "celeba/list_eval_partition.txt": "d32c9cbf5e040fd4025c592c306e6668",
        },
        pictures=("celeba/img_align_celeba", 202599),
    ),
    "flowers102": Complete(
        torchvision="Flowers102",
        # The official test split is six times the training split; with nothing to classify, learn from the larger.
        splits={"train": {"split": "test"}, "test": {"split": "val"}},
        counts={"train": 6149, "test": 1020},
        files={
            "flowers-102/imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
            "flowers-102/setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
        },
        pictures=("flowers-102/jpg", 8189),
    ),
}

OFFLINE = {
    "mnist": "ask for at most 6,000 training and 1,000 test images, which lvmlib carries with it",
    "fashion_mnist": "ask for at most 6,000 training and 1,000 test images, which lvmlib carries with it",
    "svhn": 'use load("mnist", channels=3) or load("emoji")',
    "celeba": 'use load("emoji", category="People & Body", skin_tones=True)',
    "flowers102": 'use load("emoji")',
}


def default_root() -> Path:
    """`$LVM_DATA`, or else `lvmlib` in the platform's folder for caches."""
    if chosen := os.environ.get("LVM_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lvmlib"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "lvmlib"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvmlib"


def fetch(name: str, root: Path) -> None:
    """Make sure a complete set lies whole under `root`, downloading it if it does not.

    The download goes to a temporary folder beside its destination and is moved only once every checksum is right; a
    damaged file that is already there is replaced by then, and left alone if the download fails.

    Raises:
        DataError: the set cannot be downloaded, or what came is not the set.
    """
    before = damage(name, root)
    if before is None:
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=root, prefix=f".{name}-") as folder:
            _download(name, Path(folder))
            if after := damage(name, Path(folder)):
                raise DataError(after)
            _move(Path(folder), root)
    except Exception as error:  # torchvision, urllib, zipfile, gdown and the file system each raise their own
        raise DataError(_sorry(name, root, before, error)) from None


def damage(name: str, root: Path) -> str | None:
    """Say what is wrong with a set under `root`, or None if it is whole."""
    known = SETS[name]
    for path, checksum in known.files.items():
        if trouble := file_damage(root / path, checksum, "md5"):
            return f"{path} {trouble}"
    if known.pictures:
        path, expected = known.pictures
        found = sum(1 for _ in os.scandir(root / path)) if (root / path).is_dir() else 0
        if found < expected:
            return f"{path} holds {found:,} of {expected:,} pictures"
    return None


def _download(name: str, folder: Path) -> None:
    from torchvision import datasets

    dataset = getattr(datasets, SETS[name].torchvision)
    try:
        with _no_endless_wait():
            for arguments in SETS[name].splits.values():
                dataset(folder, download=True, **arguments)
    except Exception:  # each downloader has its own; all of them only see a wrong checksum in a log-in page
        if any(is_web_page(path) for path in folder.rglob("*") if path.is_file()):
            raise DataError("a web page came instead of the data, as from a log-in page or a host that moved") from None
        raise


@contextmanager
def _no_endless_wait() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _move(source: Path, root: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and path.suffix not in ARCHIVES:
            target = root / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _sorry(name: str, root: Path, before: str, error: Exception) -> str:
    cause = " ".join(str(error).split()) or type(error).__name__
    here = f" ({root}: {before})" if _is_there(name, root) else ""
    return f"The complete {name} could not be downloaded{here}: {cause.rstrip('.')}; without it, {OFFLINE[name]}."


def _is_there(name: str, root: Path) -> bool:
    """Whether anything of the set, perhaps damaged, is under `root`."""
    return any((root / path).exists() for path in SETS[name].files)
