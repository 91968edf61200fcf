from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lvmlib.checkpoint import CheckpointError, capture, load, restore, save
from lvmlib.random_state import preserved_random_state, random_state, set_random_state


def draws(generator: torch.Generator) -> tuple[object, ...]:
    return (
        random.random(),
        float(np.random.rand()),
        float(np.random.randn()),
        torch.rand(3).tolist(),
        torch.rand(3, generator=generator).tolist(),
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    contents = {
        "particles": torch.randn(5, 3, 2, dtype=torch.float64),
        "step": 7,
        "sizes": [1, 2.5, None, "name"],
        "pair": (True, {"deep": torch.arange(3)}),
        "best": np.float64(0.25),
    }
    save(tmp_path / "new" / "folder" / "cloud.pt", contents)
    loaded = load(tmp_path / "new" / "folder" / "cloud.pt")
    assert torch.equal(loaded["particles"], contents["particles"])
    assert loaded["particles"].dtype == torch.float64
    assert loaded["step"] == 7
    assert loaded["sizes"] == [1, 2.5, None, "name"]
    assert loaded["pair"][0] is True
    assert torch.equal(loaded["pair"][1]["deep"], torch.arange(3))
    assert loaded["best"] == 0.25


def test_a_view_does_not_drag_its_storage_along(tmp_path: Path) -> None:
    save(tmp_path / "small.pt", {"row": torch.zeros(1_000_000)[:10]})
    assert (tmp_path / "small.pt").stat().st_size < 10_000


def test_what_cannot_be_loaded_again_is_not_written(tmp_path: Path) -> None:
    save(tmp_path / "a.pt", {"step": 1})
    with pytest.raises(CheckpointError, match=r"contents\['schedule'\]\[1\] is a function, which a"):
        save(tmp_path / "a.pt", {"schedule": [0, draws]})
    assert load(tmp_path / "a.pt") == {"step": 1}


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    save(tmp_path / "a.pt", {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "a.pt", {"step": 2})
    assert load(tmp_path / "a.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_kill_in_the_middle_of_writing_leaves_the_file_before(tmp_path: Path) -> None:
    save(tmp_path / "a.pt", {"step": 1})
    script = (
        "import os, signal, torch\n"
        "from lvmlib.checkpoint import save\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"save({str(tmp_path / 'a.pt')!r}, {{'step': 2, 'weights': torch.zeros(100_000)}})\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    assert load(tmp_path / "a.pt") == {"step": 1}


def test_a_file_that_cannot_be_read_is_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save(path, {"weights": torch.zeros(1000)})
    whole = path.read_bytes()
    foreign = tmp_path / "weights.pt"
    torch.save({"weights": torch.zeros(3)}, foreign)
    pickled = tmp_path / "pickled.pt"
    torch.save({"function": draws}, pickled)
    for broken in (whole[: len(whole) // 2], whole[:10], b"", b"<html>404</html>"):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"a\.pt cannot be read as a checkpoint \(cut short"):
            load(path)
        assert path.read_bytes() == broken
    with pytest.raises(CheckpointError, match=r"pickled\.pt cannot be read"):
        load(pickled)
    with pytest.raises(CheckpointError, match=r"weights\.pt is not an 'lvmlib checkpoint 1' file"):
        load(foreign)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.pt")


def trained(width: int = 4) -> tuple[nn.Module, torch.optim.Optimizer, Tensor, torch.Generator]:
    model = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(8, 3)).pow(2).sum().backward()
    optimizer.step()
    return model, optimizer, torch.randn(2, 3), torch.Generator().manual_seed(random.randrange(1000))


def named(parts: tuple[nn.Module, torch.optim.Optimizer, Tensor, torch.Generator]) -> dict[str, object]:
    return dict(zip(("model", "optimizer", "particles", "noise"), parts, strict=True))


def test_objects_are_restored_in_place(tmp_path: Path) -> None:
    first, second = named(trained()), named(trained())
    save(tmp_path / "a.pt", capture(first))
    restore(second, load(tmp_path / "a.pt"))
    assert str(capture(second)) == str(capture(first))
    assert torch.equal(second["particles"], first["particles"])
    assert torch.equal(torch.rand(3, generator=second["noise"]), torch.rand(3, generator=first["noise"]))


def sgd(parts: dict[str, object]) -> dict[str, object]:
    return {**parts, "optimizer": torch.optim.SGD(parts["model"].parameters())}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (lambda parts: {**parts, "critic": nn.Linear(1, 1)}, "lacks 'critic'"),
        (lambda parts: {name: parts[name] for name in ("model", "optimizer", "noise")}, "has 'particles', which this"),
        (sgd, "it holds a Adam as 'optimizer' where this training has a SGD"),
        (lambda parts: {**parts, "particles": torch.zeros(2, 4)}, r"'particles' has shape \(2, 3\) in it and \(2, 4\)"),
        (lambda parts: {**parts, "particles": torch.zeros(2, 3).double()}, "'particles' is torch.float32 in it and"),
        (lambda _: named(trained(width=5)), r"'model.0.weight' has shape \(4, 3\) in it and \(5, 3\) in this training"),
        (lambda parts: {**parts, "model": nn.Linear(3, 4)}, "it lacks 'model.weight'"),
        (lambda parts: {**parts, "model": nn.Sequential(nn.Linear(3, 4))}, "it holds 'model.1.bias', 'model.1.num_b"),
        (
            lambda parts: {**parts, "optimizer": torch.optim.Adam([nn.Parameter(torch.zeros(1))])},
            "loaded state dict contains a parameter group that doesn't match",
        ),
    ],
)
def test_what_does_not_fit_changes_nothing(changed: object, sentence: str) -> None:
    saved = capture(named(trained()))
    other = changed(named(trained()))
    before = str(capture(other))
    with pytest.raises(CheckpointError, match="a.pt does not fit this training: .*" + sentence) as caught:
        restore(other, saved, "a.pt")
    assert "\n" not in str(caught.value)
    assert str(capture(other)) == before


def test_an_object_without_state_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'beta' is a float; a checkpoint holds"):
        capture({"beta": 0.5})


def test_random_state_survives_a_file(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    np.random.randn()  # leaves the second of a pair of normals in NumPy's state
    save(tmp_path / "random.pt", random_state(generator))
    expected = draws(generator)
    draws(generator)
    set_random_state(load(tmp_path / "random.pt"), generator)
    assert draws(generator) == expected


def test_preserved_random_state_hides_every_draw() -> None:
    generator = torch.Generator().manual_seed(3)
    before = random_state(generator)
    expected = draws(generator)
    set_random_state(before, generator)
    with preserved_random_state(generator):
        draws(generator)
    assert draws(generator) == expected
