"""What a device holds is counted, every tensor once and as long as it lives; test_devices.py asks it of every lab."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerator import DEVICE, Accelerator
from full_sizes import LIMIT, make_full, too_large
from on_device import Ran, experiment_of, prepare, run, sources
from torch import nn

from lvmlib.authoring.course import Course

MEGABYTE = torch.Size([250_000])


@pytest.fixture(autouse=True)
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(monkeypatch, "full")
    make_full(monkeypatch)


def test_memory_is_that_of_all_that_lives_at_a_time() -> None:
    accelerator = Accelerator()
    with accelerator:
        kept = torch.zeros(MEGABYTE, device=DEVICE)
        seen = kept.view(500, 500)[:, :100]
        del kept
        for _ in range(3):
            gone = torch.ones(MEGABYTE, device=DEVICE) * 2
            del gone
        assert (accelerator.held, accelerator.peak) == (1e6, 3e6)
        del seen
        assert accelerator.held == 0


def test_a_step_holds_activations_and_then_gradients_and_moments() -> None:
    accelerator = Accelerator()
    with accelerator:
        network = nn.Sequential(nn.Linear(100, 500), nn.Tanh(), nn.Linear(500, 1)).to(DEVICE)
        parameters = sum(parameter.nbytes for parameter in network.parameters())
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        x = torch.randn(1000, 100, device=DEVICE)
        loss = network(x).square().mean()
        activations = 4 * 1000 * 500
        assert accelerator.held - x.nbytes - parameters >= activations
        loss.backward()
        del loss
        optimizer.step()
        assert accelerator.held - x.nbytes == pytest.approx(4 * parameters, abs=100)


def test_what_is_too_large_is_named() -> None:
    ran = {"small": Ran(operations=1, peak=10**9), "large": Ran(operations=1, peak=int(LIMIT))}
    assert too_large(ran).keys() == {"large"}


@pytest.mark.slow
def test_a_batch_that_is_too_large_is_found(course: Course) -> None:
    cells = [cell.replace("batch=128", "batch=4096") for cell in sources(course, "06-particle-em")]
    last = [experiment_of(cell) for cell in cells].index("pgd-training")
    assert too_large(run(cells[: last + 1], Accelerator())).keys() == {"pgd-training"}
