from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lvmlib.datasets
from lvmlib.data import load

FOLDER = Path(lvmlib.datasets.__file__).parent
SCRIPT = Path(__file__).parents[2] / "scripts" / "remake_datasets.py"
NAMES = ["emoji", "fashion_mnist", "mnist"]


def remake(originals: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(originals), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def test_checksums_are_those_of_the_files() -> None:
    lines = [f"{hashlib.sha256((FOLDER / f'{name}.npz').read_bytes()).hexdigest()}  {name}.npz" for name in NAMES]
    assert (FOLDER / "SHA256SUMS").read_text("ascii").splitlines() == lines
    assert sorted(path.stem for path in FOLDER.glob("*.npz")) == NAMES


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_grey_sets_hold_as_many_images_of_each_class(name: str) -> None:
    arrays = contents(FOLDER / f"{name}.npz")
    for split, each in (("train", 600), ("test", 100)):
        assert np.bincount(arrays[f"{split}_labels"]).tolist() == [each] * 10
        assert arrays[f"{split}_images"].shape == (10 * each, 28, 28)
        assert arrays[f"{split}_images"].dtype == np.uint8


def test_emoji_are_all_there() -> None:
    arrays = contents(FOLDER / "emoji.npz")
    factors = np.concatenate([arrays["train_factors"], arrays["test_factors"]])
    labels = np.concatenate([arrays["train_labels"], arrays["test_labels"]])
    base = factors[:, 1] == 0
    assert sorted(factors[base, 0]) == list(range(1911))
    assert len(np.unique(factors, axis=0)) == len(factors) == 1911 + 1875
    assert np.bincount(labels[base]).tolist() == [169, 386, 159, 131, 218, 85, 264, 224, 270, 5]
    for split, count in (("train", 3336), ("test", 450)):
        assert arrays[f"{split}_images"].shape == (count, 32, 32)
        assert arrays[f"{split}_images"].max() < len(arrays["palette"])


def test_missing_originals_are_named(tmp_path: Path) -> None:
    run = remake(tmp_path / "nowhere", tmp_path / "out")
    assert run.returncode == 1
    assert run.stderr.strip() == (
        f"In {tmp_path / 'nowhere'}, MNIST/raw/train-images-idx3-ubyte is missing; "
        "lay the originals out anew, for example with --fetch."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.originals
def test_embedded_files_are_what_the_originals_give(tmp_path: Path) -> None:
    run = remake(Path(os.environ["LVM_ORIGINALS"]), tmp_path)
    assert run.returncode == 0, run.stderr
    for name in NAMES:
        embedded, remade = contents(FOLDER / f"{name}.npz"), contents(tmp_path / f"{name}.npz")
        assert embedded.keys() == remade.keys()
        for key, array in embedded.items():
            assert array.dtype == remade[key].dtype
            assert np.array_equal(array, remade[key])


@pytest.mark.originals
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_embedded_images_are_the_beginning_of_the_complete_set(name: str) -> None:
    complete = load(name, count="all", root=os.environ["LVM_ORIGINALS"])
    assert [len(images) for images in complete] == [60000, 10000]
    for few, all_of_them in zip(load(name), complete, strict=True):
        assert torch.equal(few.images, all_of_them.images[: len(few)])
        assert torch.equal(few.labels, all_of_them.labels[: len(few)])


@pytest.mark.originals
def test_files_that_are_right_keep_their_bytes(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    with np.load(FOLDER / "mnist.npz") as arrays:
        np.savez(tmp_path / "mnist.npz", **arrays)  # the same contents in other bytes
    (tmp_path / "emoji.npz").write_bytes(b"broken")
    before = (tmp_path / "mnist.npz").read_bytes()
    run = remake(Path(os.environ["LVM_ORIGINALS"]), tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "mnist.npz").read_bytes() == before
    assert contents(tmp_path / "emoji.npz").keys() == contents(FOLDER / "emoji.npz").keys()
    assert f"{hashlib.sha256(before).hexdigest()}  mnist.npz" in (tmp_path / "SHA256SUMS").read_text("ascii")
