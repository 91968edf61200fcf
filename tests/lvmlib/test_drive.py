"""What should outlive a Colab session goes to Google Drive."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lvmlib import drive, fit
from lvmlib.checkpoint import CheckpointError, load, save

Mounted = list[str]


def train(checkpoint: str | Path, epochs: int = 1, progress: bool = True) -> list[int]:
    """The steps that a training made."""
    weight, made = torch.zeros(1), []

    def step(batch: int) -> dict[str, torch.Tensor]:
        made.append(batch)
        weight.add_(1)
        return {"loss": weight[0].clone()}

    fit(step, [0, 1], epochs=epochs, checkpoint=checkpoint, state={"weight": weight}, progress=progress)
    return made


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[[Path], None]], Mounted]:
    """Make this look like Colab, with what mounting does there; the calls of it are counted."""

    def pretend(mounting: Callable[[Path], None]) -> Mounted:
        calls: Mounted = []

        def mount(point: str) -> None:
            calls.append(point)
            mounting(Path(point))

        package, module, inner = ModuleType("google"), ModuleType("google.colab"), ModuleType("google.colab.drive")
        package.colab, module.drive, inner.mount = module, inner, mount  # type: ignore[attr-defined]
        for found in (package, module, inner):
            monkeypatch.setitem(sys.modules, found.__name__, found)
        monkeypatch.setattr(drive, "MOUNT", tmp_path / "drive")
        return calls

    monkeypatch.chdir(tmp_path)
    return pretend


def grant(point: Path) -> None:
    (point / "MyDrive").mkdir(parents=True)


def refuse(_: Path) -> None:
    raise ValueError("mount failed")


def test_a_checkpoint_goes_to_drive_which_is_mounted_once(colab, tmp_path: Path, capsys) -> None:
    calls = colab(grant)
    assert train("drive:digits/pgd.pt") == [0, 1]
    file = tmp_path / "drive" / "MyDrive" / "lvm" / "digits" / "pgd.pt"
    assert load(file)["state"]["weight"]["value"] == 2
    assert train("drive:digits/pgd.pt", epochs=3) == [0, 1, 0, 1]
    assert calls == [str(tmp_path / "drive")]
    assert f"resumed from {file} after epoch 1" in capsys.readouterr().out
    assert [path.name for path in file.parent.iterdir()] == ["pgd.pt"]


def test_a_mount_that_has_died_is_mounted_again(colab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, dead, look = colab(grant), tmp_path / "drive" / "MyDrive", os.stat

    def stat_of(path: Path, **options: object) -> os.stat_result:
        if path == dead and not calls:
            raise OSError(107, "Transport endpoint is not connected")
        return look(path, **options)

    monkeypatch.setattr(os, "stat", stat_of)
    assert drive.locate("drive:pgd.pt") == dead / "lvm" / "pgd.pt"


@pytest.mark.parametrize(
    ("mounting", "reason"), [(refuse, "mount failed"), (lambda _: None, "drive/MyDrive is not there")]
)
def test_where_access_is_refused_nothing_is_trained(colab, tmp_path: Path, mounting, reason: str) -> None:
    colab(mounting)
    made: list[int] = []
    with pytest.raises(CheckpointError, match=rf"^Google Drive was not mounted \(.*{reason}\)") as caught:
        made = train("drive:pgd.pt")
    assert "\n" not in str(caught.value) and "allow access" in str(caught.value)
    assert made == [] and not list(tmp_path.rglob("*.pt"))


def test_elsewhere_the_file_is_beside_the_notebook_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train("drive:digits/pgd.pt")
    assert (tmp_path / "digits" / "pgd.pt").is_file()
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "Drive" in line] == [
        "Google Drive is there on Colab only; drive:digits/pgd.pt is digits/pgd.pt in this notebook's folder."
    ]
    train("drive:digits/pgd.pt", epochs=2, progress=False)
    assert "Drive" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", ".", "/pgd.pt", "../pgd.pt", "a/../../pgd.pt", "..", "..\\pgd.pt", "C:pgd.pt"])
@pytest.mark.parametrize("online", [True, False])
def test_a_name_that_leaves_the_folder_is_refused(colab, tmp_path: Path, name: str, online: bool) -> None:
    calls = colab(grant) if online else []
    with pytest.raises(ValueError, match="names no file below MyDrive/lvm; give a relative name") as caught:
        train(f"drive:{name}")
    assert "\n" not in str(caught.value)
    assert calls == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["pgd.pt", "/tmp/drive:pgd.pt", "runs/pgd.pt", Path("pgd.pt")])
def test_other_paths_are_as_they_are(path: str | Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drive.locate(path) == Path(path)
    assert capsys.readouterr().out == ""


def test_a_folder_that_cannot_be_synced_keeps_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = [], os.fsync

    def fsync(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        if synced[-1]:
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for step in (1, 2):
        save(tmp_path / "a.pt", {"step": step})
    assert load(tmp_path / "a.pt") == {"step": 2}
    assert synced == [False, True] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
