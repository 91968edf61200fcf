from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from lvmlib.data import DataError, ImageSet, batches, load
from lvmlib.datasets import complete, embedded

GREY = ["mnist", "fashion_mnist"]
OFFLINE = [*GREY, "emoji", "sprites"]


def pictures(images: ImageSet) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.images}


# What every set gives


@pytest.mark.parametrize("name", OFFLINE)
def test_images_are_floats_between_0_and_1_with_labels(name: str) -> None:
    for images in load(name, count=500):
        assert images.images.dtype == torch.float32
        assert images.images.is_contiguous()
        assert 0 <= images.images.min() < 0.01
        assert 0.99 < images.images.max() <= 1
        assert images.labels.dtype == torch.int64
        assert images.labels.shape == (len(images),)
        assert 0 <= images.labels.min() <= images.labels.max() < len(images.classes)


@pytest.mark.parametrize(
    ("name", "train_count", "test_count", "shape"),
    [
        ("mnist", 6000, 1000, (1, 28, 28)),
        ("fashion_mnist", 6000, 1000, (1, 28, 28)),
        ("emoji", 1711, 200, (3, 32, 32)),
        ("sprites", 6000, 1000, (1, 64, 64)),
    ],
)
def test_without_arguments_a_set_has_its_usual_size(
    name: str, train_count: int, test_count: int, shape: tuple[int, ...]
) -> None:
    train, test = load(name)
    assert train.images.shape == (train_count, *shape)
    assert test.images.shape == (test_count, *shape)


@pytest.mark.parametrize("name", OFFLINE)
def test_fewer_images_are_the_beginning_of_more(name: str) -> None:
    few, more = load(name, count=40, test_count=5), load(name, count=90, test_count=30)
    for small, large in zip(few, more, strict=True):
        assert torch.equal(small.images, large.images[: len(small)])
        assert torch.equal(small.labels, large.labels[: len(small)])


@pytest.mark.parametrize("name", [*GREY, "emoji"])
def test_no_picture_is_in_both_splits(name: str) -> None:
    train, test = load(name)
    assert not pictures(train) & pictures(test)


@pytest.mark.parametrize("name", GREY)
@pytest.mark.parametrize("count", [1, 7, 10, 605, 6000])
def test_any_count_is_class_balanced(name: str, count: int) -> None:
    train, test = load(name, count=count)
    for images in (train, test):
        frequencies = images.labels.bincount(minlength=10)
        assert frequencies.max() - frequencies.min() <= (len(images) % 10 > 0)


def test_labels_belong_to_their_images() -> None:
    train, test = load("mnist")
    means = torch.stack([train.of_class(str(digit)).images.mean(0) for digit in range(10)])
    nearest = torch.cdist(test.images.flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == test.labels).float().mean() > 0.75


# Size, colour, threshold


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("size", [1, 17, 32, (16, 40), (50, 30)])
def test_any_size_can_be_had(name: str, size: int | tuple[int, int]) -> None:
    train, _ = load(name, size=size, count=5, test_count=1)
    assert train.images.shape[-2:] == ((size, size) if isinstance(size, int) else size)
    assert 0 <= train.images.min() <= train.images.max() <= 1


def test_halving_the_size_averages_and_keeps_the_axes() -> None:
    native, small = load("fashion_mnist", count=20)[0], load("fashion_mnist", size=(14, 28), count=20)[0]
    averaged = avg_pool2d(native.images, (2, 1))
    assert (averaged - small.images).abs().mean() < 0.03
    assert torch.equal(load("fashion_mnist", size=28, count=20)[0].images, native.images)


def test_grey_sets_in_colour_repeat_the_channel() -> None:
    grey, colour = (load("mnist", count=10, channels=channels)[0].images for channels in (1, 3))
    assert torch.equal(colour, grey.expand(-1, 3, -1, -1))


def test_colour_sets_in_grey_are_luma() -> None:
    colour, grey = (load("emoji", count=10, channels=channels)[0].images for channels in (3, 1))
    luma = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    torch.testing.assert_close(grey[:, 0], luma)


def test_binarised_images_are_thresholded_at_a_half() -> None:
    grey, binary = (load("mnist", size=20, count=100, binarised=flag)[0].images for flag in (False, True))
    assert torch.equal(binary, (grey >= 0.5).float())


MEASURE = """
import resource, sys
from lvmlib.data import load
load({name!r}, size=64, count=300, test_count=1)
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
train, _ = load({name!r}, size=64, count=6000, test_count=1)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * unit / (train.images.numel() * 4))
"""


@pytest.mark.parametrize("name", ["mnist", "sprites"])
def test_memory_stays_under_three_times_the_tensor(name: str) -> None:
    # A process starts with its parent's peak on Linux, so the measured one needs a small parent.
    script = MEASURE.format(name=name)
    small = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}], check=True)"
    run = subprocess.run([sys.executable, "-c", small], capture_output=True, text=True, check=True)
    assert 0.5 < float(run.stdout) < 3


# Emoji


def test_emoji_lie_on_white() -> None:
    train, _ = load("emoji", category="Smileys & Emotion")
    corners = train.images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 1).float().mean() > 0.95


@pytest.mark.parametrize("category", ["Food & Drink", "food & drink", "FOOD & DRINK"])
def test_one_category_of_emoji(category: str) -> None:
    train, test = load("emoji", category=category)
    everything = load("emoji")
    for chosen, complete_split in zip((train, test), everything, strict=True):
        assert torch.equal(chosen.images, complete_split.of_class("Food & Drink").images)
    assert (len(train), len(test)) == (117, 14)


def test_categories_are_split_in_proportion() -> None:
    train, test = load("emoji")
    for label in range(len(train.classes)):
        held_out, rest = int((test.labels == label).sum()), int((train.labels == label).sum())
        assert abs(held_out - 200 / 1911 * (held_out + rest)) <= 4  # flags of one picture cannot be held out
        assert held_out > 0


def test_skin_tones_come_with_their_factors() -> None:
    assert [len(images) for images in load("emoji", skin_tones=True)] == [3336, 450]
    for base, toned in zip(load("emoji"), load("emoji", skin_tones=True), strict=True):
        assert toned.factor_names == ("emoji", "skin_tone", "second_skin_tone")
        assert base.factors is not None and toned.factors is not None
        emoji, tone, second = toned.factors.T
        assert torch.equal(toned.images[tone == 0], base.images)
        assert (base.factors[:, 1:] == 0).all()
        assert (tone.max(), second.max()) == (5, 5)
        assert (second[tone == 0] == 0).all()
        assert (toned.labels[tone > 0] == toned.classes.index("People & Body")).all()
        of_one_person = Counter(emoji[(second == 0) & (tone > 0)].tolist())
        of_two = Counter(emoji[second > 0].tolist())
        assert set(of_one_person.values()) == {5}
        assert set(of_two.values()) == {25}


def test_skin_tones_run_from_light_to_dark() -> None:
    train, _ = load("emoji", skin_tones=True, channels=1)
    assert train.factors is not None
    _, tone, second = train.factors.T
    brightness = [float(train.images[(tone == value) & (second == 0)].mean()) for value in range(1, 6)]
    light, medium_light, *darker = brightness  # the first has black hair, the second blond
    assert min(light, medium_light) > darker[0] > darker[1] > darker[2]


def test_an_emoji_and_its_variants_are_on_one_side() -> None:
    train, test = load("emoji", skin_tones=True)
    assert train.factors is not None and test.factors is not None
    assert not set(train.factors[:, 0].tolist()) & set(test.factors[:, 0].tolist())
    assert not pictures(train) & pictures(test)


# Wrong arguments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"name": "fasion_mnist"},
            r"no image set 'fasion_mnist' \(did you mean fashion_mnist\?\); choose one of mnist, ",
        ),
        (
            {"name": "imagenet64"},
            r"no image set 'imagenet64'; choose one of mnist, fashion_mnist, emoji, sprites, svhn",
        ),
        ({"name": "emoji", "count": 1712}, "emoji has 1,711 training images so chosen, not 1,712; ask for fewer"),
        ({"name": "emoji", "test_count": 201}, "emoji has 200 test images so chosen, not 201"),
        ({"name": "emoji", "category": "Flags", "count": 246}, "emoji has 245 training images so chosen, not 246"),
        ({"name": "mnist", "count": 60001}, "mnist has 60,000 training images so chosen, not 60,001"),
        ({"name": "celeba", "count": 200000}, "celeba has 162,770 training images so chosen, not 200,000"),
        ({"name": "sprites", "count": 737280}, "sprites has 727,280 training images so chosen, not 737,280"),
        ({"name": "mnist", "count": 0}, 'a number from 1 up, or "all"; this one is 0'),
        ({"name": "mnist", "count": "some"}, "this one is 'some'"),
        ({"name": "mnist", "count": 1e3}, "this one is 1000.0"),
        ({"name": "mnist", "channels": 4}, "channels is 1 .* or 3 .*, not 4"),
        ({"name": "mnist", "size": 0}, r"size is one side in pixels or \(height, width\), not 0"),
        ({"name": "mnist", "size": (8, 8, 3)}, r"not \(8, 8, 3\)"),
        ({"name": "mnist", "category": "Flags"}, "category and skin_tones choose among emoji; mnist has neither"),
        ({"name": "emoji", "category": "Smilies & Emotion"}, r"did you mean Smileys & Emotion\?"),
        ({"name": "emoji", "category": "Cars"}, "no category of emoji 'Cars'.*Travel & Places"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        load(**arguments)  # type: ignore[arg-type]
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_names_of_sets_may_be_written_in_capitals() -> None:
    assert load("MNIST", count=3)[0].name == "mnist"


# Embedded files


@pytest.mark.parametrize(
    ("contents", "trouble"),
    [
        (None, "is missing"),
        (b"", "is empty"),
        (b"PK\x03\x04half", r"has the wrong checksum \(8 bytes; perhaps half a download\)"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "is a web page saved under the name of a data file"),
    ],
)
def test_a_damaged_embedded_file_asks_for_a_new_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes | None, trouble: str
) -> None:
    (tmp_path / "SHA256SUMS").write_bytes((embedded.FOLDER / "SHA256SUMS").read_bytes())
    if contents is not None:
        (tmp_path / "mnist.npz").write_bytes(contents)
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=rf"^mnist\.npz, a part of lvmlib, {trouble}: reinstall lvmlib\.$"):
        load("mnist")


def test_missing_checksums_ask_for_a_new_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    with pytest.raises(DataError, match="^SHA256SUMS, a part of lvmlib, is missing: reinstall lvmlib"):
        load("emoji")


# Complete sets, with a small stand-in for each


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def md5(contents: bytes) -> str:
    return hashlib.md5(contents).hexdigest()


def small_mnist() -> dict[str, bytes]:
    """7,000 + 1,500 tiny images in which every pixel is ten times the label."""
    files = {}
    for prefix, count in (("train", 7000), ("t10k", 1500)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.broadcast_to(labels[:, None, None] * 10, (count, 4, 4)).astype(np.uint8)
        files[f"MNIST/raw/{prefix}-images-idx3-ubyte"] = idx(images)
        files[f"MNIST/raw/{prefix}-labels-idx1-ubyte"] = idx(labels)
    return files


def write(root: Path, files: dict[str, bytes]) -> None:
    for path, contents in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(contents)


def everything_under(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of a complete MNIST, made small, whose checksums lvmlib now expects."""
    files = small_mnist()
    small = replace(
        complete.SETS["mnist"],
        counts={"train": 7000, "test": 1500},
        files={path: md5(contents) for path, contents in files.items()},
    )
    monkeypatch.setitem(complete.SETS, "mnist", small)
    return files


def host(monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes], error: Exception | None = None) -> None:
    """Let torchvision's class `name` bring these files, and then fail if there is an error."""

    class Download:
        def __init__(self, root: Path, download: bool, **_: object) -> None:
            assert download
            write(Path(root), files)
            if error:
                raise error

    monkeypatch.setattr(f"torchvision.datasets.{name}", Download)


NO_NETWORK = URLError("Name or service not known")


def test_complete_set_already_there_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes]
) -> None:
    host(monkeypatch, "MNIST", {}, NO_NETWORK)
    write(tmp_path, mnist)
    train, test = load("mnist", count="all", root=tmp_path)
    assert (len(train), len(test)) == (7000, 1500)
    for images in (train, test):
        torch.testing.assert_close(images.images[:, 0, 0, 0], images.labels * 10 / 255)
    assert everything_under(tmp_path) == mnist


def test_more_than_is_embedded_comes_balanced_from_the_complete_set(tmp_path: Path, mnist: dict[str, bytes]) -> None:
    write(tmp_path, mnist)
    train, test = load("mnist", count=6500, root=tmp_path)
    assert train.labels.bincount().tolist() == [650] * 10
    assert len(test) == 1000
    assert len(load("mnist", count=10, test_count=1001, root=tmp_path)[1]) == 1001


def test_complete_set_is_downloaded_once_and_kept_without_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes]
) -> None:
    host(monkeypatch, "MNIST", {**mnist, "MNIST/raw/train-images-idx3-ubyte.gz": b"archive"})
    load("mnist", count="all", root=tmp_path / "new")
    assert everything_under(tmp_path / "new") == mnist
    host(monkeypatch, "MNIST", {}, NO_NETWORK)
    assert len(load("mnist", count="all", root=str(tmp_path / "new"))[0]) == 7000


def test_root_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes]
) -> None:
    write(tmp_path / "data", mnist)
    monkeypatch.setenv("LVM_DATA", str(tmp_path / "data"))
    assert len(load("mnist", count="all")[0]) == 7000


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/lvmlib"),
        ("linux", {"XDG_CACHE_HOME": "caches"}, "caches/lvmlib"),
        ("darwin", {}, "home/Library/Caches/lvmlib"),
        ("win32", {}, "home/AppData/Local/lvmlib"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/lvmlib"),
    ],
)
def test_the_platform_has_a_folder_for_caches(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mnist: dict[str, bytes],
    platform: str,
    variables: dict[str, str],
    folder: str,
) -> None:
    for name in ("LVM_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "platform", platform)
    write(tmp_path / folder, mnist)
    host(monkeypatch, "MNIST", {}, NO_NETWORK)
    assert len(load("mnist", count="all")[0]) == 7000


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("mnist", "ask for at most 6,000 training and 1,000 test images, which lvmlib carries with it"),
        ("fashion_mnist", "ask for at most 6,000 training and 1,000 test images, which lvmlib carries with it"),
        ("svhn", r'use load\("mnist", channels=3\) or load\("emoji"\)'),
        ("celeba", r'use load\("emoji", category="People & Body", skin_tones=True\)'),
        ("flowers102", r'use load\("emoji"\)'),
    ],
)
def test_without_a_network_the_sentence_names_the_set_the_cause_and_what_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, instead: str
) -> None:
    half = {path: b"half" for path in complete.SETS[name].files}
    host(monkeypatch, complete.SETS[name].torchvision, half, NO_NETWORK)
    with pytest.raises(DataError) as caught:
        load(name, count="all", root=tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []
    pattern = rf"The complete {name} could not be downloaded: .*Name or service not known.*; without it, {instead}\."
    assert re.fullmatch(pattern, str(caught.value))


@pytest.mark.parametrize("name", ["mnist", "svhn", "flowers102"])
def test_torchvision_itself_fails_in_one_sentence_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DataError, match=f"^The complete {name} could not be downloaded: .*not known") as caught:
        load(name, count="all", root=tmp_path)
    assert "\n" not in str(caught.value)
    assert socket.getdefaulttimeout() is None
    assert list(tmp_path.iterdir()) == []


DAMAGE = {
    "half": (b"\x00\x00\x08\x01", r"has the wrong checksum \(4 bytes; perhaps half a download\)"),
    "empty": (b"", "is empty"),
    "web page": (b"<html><body>Sign in</body></html>", "is a web page saved under the name of a data file"),
    "missing": (None, "is missing"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_in_the_cache_is_named_and_left_alone_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes], kind: str
) -> None:
    contents, trouble = DAMAGE[kind]
    broken = "MNIST/raw/t10k-labels-idx1-ubyte"
    found = {path: data for path, data in {**mnist, broken: contents}.items() if data is not None}
    write(tmp_path, found)
    host(monkeypatch, "MNIST", {}, NO_NETWORK)
    with pytest.raises(DataError, match=rf"mnist could not be downloaded \(.*{broken} {trouble}\): .*not known"):
        load("mnist", count="all", root=tmp_path)
    assert everything_under(tmp_path) == found


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_in_the_cache_is_replaced_by_a_new_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes], kind: str
) -> None:
    contents, _ = DAMAGE[kind]
    broken = {**mnist, "MNIST/raw/train-images-idx3-ubyte": contents}
    write(tmp_path, {path: data for path, data in broken.items() if data is not None})
    host(monkeypatch, "MNIST", mnist)
    assert len(load("mnist", count="all", root=tmp_path)[0]) == 7000
    assert everything_under(tmp_path) == mnist


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_download_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes], kind: str
) -> None:
    contents, trouble = DAMAGE[kind]
    broken = {**mnist, "MNIST/raw/train-labels-idx1-ubyte": contents}
    host(monkeypatch, "MNIST", {path: data for path, data in broken.items() if data is not None})
    with pytest.raises(DataError, match=f"train-labels-idx1-ubyte {trouble}; without it, ask for at most 6,000"):
        load("mnist", count="all", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_log_in_page_instead_of_data_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: dict[str, bytes]
) -> None:
    page = {"MNIST/raw/train-images-idx3-ubyte.gz": b"<!doctype HTML><title>Sign in"}
    host(monkeypatch, "MNIST", page, RuntimeError("File not found or corrupted."))
    with pytest.raises(DataError, match="could not be downloaded: a web page came instead of the data"):
        load("mnist", count="all", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, mnist: dict[str, bytes]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"mnist could not be downloaded: .*file"):
        load("mnist", count="all", root=tmp_path / "file")


def test_svhn_is_read_from_its_matlab_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    for split, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 10 + 1  # SVHN writes 10 for the digit 0
        images = np.broadcast_to(labels * 20, (32, 32, 3, count)).astype(np.uint8)
        savemat(tmp_path / f"{split}_32x32.mat", {"X": images, "y": labels[:, None]})
    sums = {f"{split}_32x32.mat": md5((tmp_path / f"{split}_32x32.mat").read_bytes()) for split in ("train", "test")}
    listed = {split: ["", f"{split}_32x32.mat", sums[f"{split}_32x32.mat"]] for split in ("train", "test")}
    monkeypatch.setattr(SVHN, "split_list", listed)
    small = replace(complete.SETS["svhn"], files=sums, counts={"train": 40, "test": 20})
    monkeypatch.setitem(complete.SETS, "svhn", small)

    train, test = load("svhn", count=20, size=16, root=tmp_path)
    assert train.images.shape == (20, 3, 16, 16)
    assert len(test) == 20
    assert train.labels.bincount().tolist() == [2] * 10
    shade = torch.where(train.labels == 0, 10, train.labels) * 20 / 255
    torch.testing.assert_close(train.images, shade[:, None, None, None].expand_as(train.images))


def photograph(path: Path, red: int, width: int = 90, height: int = 60) -> None:
    """Red in the middle third, blue at both sides."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (width, height), (0, 0, 255))
    picture.paste((red, 0, 0), (width // 3, 0, 2 * width // 3, height))
    picture.save(path, quality=95, subsampling=0)


@pytest.fixture
def flowers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Flowers-102 in eight photographs: five to train on, two to test, one that neither uses."""
    from scipy.io import savemat
    from torchvision.datasets import Flowers102

    folder = tmp_path / "flowers-102"
    for image in range(1, 9):
        photograph(folder / "jpg" / f"image_{image:05d}.jpg", red=25 * image)
    savemat(folder / "imagelabels.mat", {"labels": np.arange(1, 9)})
    savemat(folder / "setid.mat", {"tstid": np.arange(1, 6), "valid": np.arange(6, 8), "trnid": np.array([8])})
    sums = {name: md5((folder / f"{name}.mat").read_bytes()) for name in ("imagelabels", "setid")}
    known = {"label": ("imagelabels.mat", sums["imagelabels"]), "setid": ("setid.mat", sums["setid"])}
    monkeypatch.setattr(Flowers102, "_file_dict", known)
    small = replace(
        complete.SETS["flowers102"],
        counts={"train": 5, "test": 2},
        files={f"flowers-102/{name}.mat": checksum for name, checksum in sums.items()},
        pictures=("flowers-102/jpg", 8),
    )
    monkeypatch.setitem(complete.SETS, "flowers102", small)
    return tmp_path


def test_flowers_are_cut_about_the_centre_and_scaled(flowers: Path) -> None:
    train, test = load("flowers102", size=(20, 10), root=flowers)
    assert (len(train), len(test)) == (5, 2)
    assert sorted(train.labels.tolist()) == [0, 1, 2, 3, 4]
    assert train.images.shape == (5, 3, 20, 10)
    assert (train.images[:, 2] < 0.2).all()  # of the 90 × 60 photograph the middle 30 columns, all red
    torch.testing.assert_close(train.images[:, 0, 10, 5], (train.labels + 1) * 25 / 255, atol=0.03, rtol=0)


def test_photographs_without_a_size_are_64_pixels_square(flowers: Path) -> None:
    train, _ = load("flowers102", root=flowers)
    assert train.images.shape == (5, 3, 64, 64)
    assert (train.images[:, 2, :, [0, -1]] > 0.8).all()  # 60 of the 90 columns, blue at both sides


def test_a_photograph_that_cannot_be_decoded_is_named(flowers: Path) -> None:
    picture = flowers / "flowers-102" / "jpg" / "image_00003.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(DataError, match=r"image_00003\.jpg cannot be decoded \(.*\): delete it and load the set again"):
        load("flowers102", root=flowers)


def test_a_half_unpacked_folder_is_not_used(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (flowers / "flowers-102" / "jpg" / "image_00008.jpg").unlink()
    host(monkeypatch, "Flowers102", {}, NO_NETWORK)
    with pytest.raises(DataError, match=r"flowers-102/jpg holds 7 of 8 pictures\): .*not known.*load\(\"emoji\"\)"):
        load("flowers102", root=flowers)


def test_celeba_has_attributes_as_factors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CelebA

    folder = tmp_path / "celeba"
    names = [f"{image:06d}.jpg" for image in range(1, 7)]
    for image, name in enumerate(names):
        photograph(folder / "img_align_celeba" / name, red=40 * image, width=178, height=218)
    rows = [f"{name} {1 if image % 2 else -1} -1" for image, name in enumerate(names)]
    four = [f"{name} 0 0 0 0" for name in names]
    tables = {
        "list_attr_celeba.txt": ["6", "Smiling Young", *rows],
        "identity_CelebA.txt": [f"{name} 1" for name in names],
        "list_bbox_celeba.txt": ["6", "image_id x_1 y_1 width height", *four],
        "list_landmarks_align_celeba.txt": ["6", "lefteye_x lefteye_y righteye_x righteye_y", *four],
        "list_eval_partition.txt": [f"{name} {0 if image < 4 else 2}" for image, name in enumerate(names)],
    }
    write(folder, {name: "\n".join(lines).encode() for name, lines in tables.items()})
    sums = {name: md5((folder / name).read_bytes()) for name in tables}
    monkeypatch.setattr(CelebA, "file_list", [("", checksum, name) for name, checksum in sums.items()])
    small = replace(
        complete.SETS["celeba"],
        counts={"train": 4, "test": 2},
        files={f"celeba/{name}": checksum for name, checksum in sums.items()},
        pictures=("celeba/img_align_celeba", 6),
    )
    monkeypatch.setitem(complete.SETS, "celeba", small)

    train, test = load("celeba", size=32, root=tmp_path)
    assert train.images.shape == (4, 3, 32, 32)
    assert train.factor_names == ("Smiling", "Young")
    assert train.factors is not None
    assert torch.equal(train.factors[:, 0], train.labels)
    assert (train.factors[:, 1] == 0).all()
    shades = (train.images[:, 0, 16, 16] * 255 / 40).round().long()
    assert sorted(shades.tolist()) == [0, 1, 2, 3]
    assert torch.equal(shades % 2, train.labels)
    assert test.classes == ("not smiling", "smiling")


# ImageSet


@pytest.fixture
def five() -> ImageSet:
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 3) / 5
    labels = torch.tensor([0, 1, 0, 1, 1])
    return ImageSet("five", images, labels, ("Even", "Odd"), torch.arange(5)[:, None], ("number",))


def test_an_image_set_says_what_it_is(five: ImageSet) -> None:
    assert repr(load("fashion_mnist")[0]) == "fashion_mnist: 6,000 images of 1×28×28"
    assert repr(five[0]) == "five: 1 image of 1×2×3"


@pytest.mark.parametrize(
    ("index", "numbers"),
    [
        (3, [3]),
        (-1, [4]),
        (slice(1, 4, 2), [1, 3]),
        ([4, 0], [4, 0]),
        (torch.tensor([2, 2]), [2, 2]),
        (torch.tensor([True, False, False, True, False]), [0, 3]),
    ],
)
def test_a_part_of_an_image_set_keeps_everything_together(
    five: ImageSet, index: int | slice | list[int] | torch.Tensor, numbers: list[int]
) -> None:
    part = five[index]
    assert part.factors is not None
    assert part.factors[:, 0].tolist() == numbers
    assert torch.equal(part.images, five.images[numbers])
    assert torch.equal(part.labels, five.labels[numbers])
    assert (part.name, part.classes, part.factor_names) == ("five", ("Even", "Odd"), ("number",))


def test_there_is_no_image_beyond_the_last(five: ImageSet) -> None:
    with pytest.raises(IndexError):
        five[5]


def test_images_of_one_class(five: ImageSet) -> None:
    assert five.of_class("odd").labels.tolist() == [1, 1, 1]
    with pytest.raises(
        ValueError, match=r"no class of five 'Evens' \(did you mean Even\?\); choose one of Even, Odd\."
    ):
        five.of_class("Evens")


def test_an_image_set_moves_as_a_whole(five: ImageSet) -> None:
    moved = five.to("meta")
    assert moved.factors is not None
    assert {part.device.type for part in (moved.images, moved.labels, moved.factors)} == {"meta"}


def test_an_image_set_needs_a_label_for_each_image(five: ImageSet) -> None:
    with pytest.raises(ValueError, match="five has 5 images and 4 labels"):
        ImageSet("five", five.images, five.labels[:4], five.classes)


# batches


def test_batches_hold_every_image_once_an_epoch_in_a_new_order(five: ImageSet) -> None:
    epochs = batches(five.factors, 2, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert len(epochs) == 3
    first, second = ([batch.flatten().tolist() for batch in epochs] for _ in range(2))
    assert [len(batch) for batch in first] == [2, 2, 1]
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == [0, 1, 2, 3, 4]
    assert first != second


def test_batches_of_an_image_set_are_its_images(five: ImageSet) -> None:
    (batch,) = batches(five, 5, shuffle=False)
    assert torch.equal(batch, five.images)


def test_batches_of_several_tensors_stay_aligned(five: ImageSet) -> None:
    for pair in batches((five, five.labels), 2):
        assert isinstance(pair, tuple)
        images, labels = pair
        numbers = (images[:, 0, 0, 0] * 5).round().long()
        assert torch.equal(five.labels[numbers], labels)


def test_a_batch_is_a_copy(five: ImageSet) -> None:
    images = five.images.clone()
    for batch in batches(images, 5, shuffle=False):
        batch.zero_()
    assert torch.equal(images, five.images)


def test_the_generators_state_is_the_order() -> None:
    epochs = batches(torch.arange(100), 10, generator=torch.Generator().manual_seed(3))
    list(epochs)
    assert epochs.generator is not None
    state = epochs.generator.get_state()
    expected = torch.cat(list(epochs))
    saved = torch.Generator()
    saved.set_state(state)
    resumed = batches(torch.arange(100), 10, generator=saved)
    assert torch.equal(torch.cat(list(resumed)), expected)


def test_without_a_generator_the_global_seed_decides() -> None:
    epochs = batches(torch.arange(100), 10)
    assert epochs.generator is None
    orders = []
    for _ in range(2):
        torch.manual_seed(5)
        orders.append(torch.cat(list(epochs)))
    assert torch.equal(*orders)


def test_drop_last_leaves_out_the_smaller_batch() -> None:
    epochs = batches(torch.arange(10), 4, drop_last=True)
    assert len(epochs) == len(list(epochs)) == 2
    assert {len(batch) for batch in epochs} == {4}
    assert len(list(batches(torch.arange(8), 4, drop_last=True))) == len(list(batches(torch.arange(8), 4))) == 2


def test_batches_live_on_the_training_device(monkeypatch: pytest.MonkeyPatch) -> None:
    (batch,) = batches(torch.zeros(4, 2), 4, device="cpu")
    assert batch.device.type == "cpu"
    monkeypatch.setenv("LVM_DEVICE", "meta")
    (batch,) = batches(torch.zeros(4, 2), 4)
    assert batch.device.type == "meta"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: batches((torch.zeros(3), torch.zeros(4)), 2), "tensors of one length; these have 3, 4"),
        (lambda: batches((), 2), "tensors of one length; these have none"),
        (lambda: batches(torch.zeros(3), 0), "batch_size=0 makes no batch of 3 images"),
        (lambda: batches(torch.zeros(0), 2), "batch_size=2 makes no batch of 0 images"),
        (lambda: batches(torch.zeros(3), 4, drop_last=True), "batch_size=4 makes no batch of 3 images"),
    ],
)
def test_batches_that_cannot_be_are_one_sentence(make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=sentence):
        make()
