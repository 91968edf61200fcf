"""Every lab on a device of its own: what is computed together lies together, which a test on the CPU would not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerator import DEVICE, Accelerator
from full_sizes import make_full, too_large
from on_device import ON_CPU, experiment_of, prepare, run, sources
from torch import Tensor, nn

from lvmlib.authoring.course import Course, find_course

LABS = find_course().labs()

LEFT_BEHIND = {
    "01-gan": ("noise", "torch.randn(len(x), latent, device=device)", "torch.randn(len(x), latent)"),
    "02-wgan": ("data", ".randn(count, 1)).to(device)", ".randn(count, 1))"),
    "03-vae": ("noise", "torch.randn(samples, *mean.shape, device=mean.device)", "torch.randn(samples, *mean.shape)"),
    "04-nvil": ("codes", "TEN = torch.eye(10, device=device)", "TEN = torch.eye(10)"),
    "05-beta-vae": ("networks", "nn.ModuleList(vaes).to(device)", "nn.ModuleList(vaes)"),
    "06-particle-em": ("mask", "mask = masks.expanded(x, observed).to(device)", "mask = masks.expanded(x, observed)"),
}
"""What a change of the text leaves on the CPU."""


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(monkeypatch, "smoke")


@pytest.mark.slow
@pytest.mark.parametrize("lab", LABS)
def test_a_lab_at_its_full_sizes_mixes_no_devices_and_fits_a_small_gpu(
    lab: str, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_full(monkeypatch)
    cells = sources(course, lab)
    ran = run(cells, Accelerator())
    experiments = {name for cell in cells if (name := experiment_of(cell))}
    assert experiments - ran.keys() == experiments & ON_CPU
    assert too_large(ran) == {}


@pytest.mark.slow
@pytest.mark.parametrize("lab", LABS)
def test_a_lab_that_mixes_devices_is_found(lab: str, course: Course) -> None:
    _, there, here = LEFT_BEHIND[lab]
    cells = sources(course, lab)
    changed = [cell.replace(there, here) for cell in cells]
    assert changed != cells
    with pytest.raises((RuntimeError, ValueError), match="device"):
        run(changed, Accelerator())


@pytest.mark.slow
def test_the_choice_that_no_experiment_makes_mixes_no_devices(course: Course) -> None:
    """Particle EM with every image's particles moved in every step."""
    definitions = [cell for cell in sources(course, "06-particle-em") if not experiment_of(cell)]
    swept = "from functools import partial\npgd = partial(pgd, sweep=True)\ntrain_pgd('swept', train, cfg)"
    assert f"cell {len(definitions)}" in run([*definitions, swept], Accelerator())


def _there() -> Tensor:
    return torch.ones(4, 3, device=DEVICE)


def _here() -> Tensor:
    return torch.ones(4, 3)


def _first_row() -> Tensor:
    return torch.zeros(1, dtype=torch.int64, device=DEVICE)


MIXED: dict[str, Callable[[], object]] = {
    "noise": lambda: _there() + torch.randn(4, 3),
    "a mask": lambda: torch.where(_here() > 0, _there(), 0.0),
    "a weight": lambda: nn.Linear(3, 2)(_there()),
    "a buffer": lambda: nn.functional.batch_norm(_there(), torch.zeros(3), torch.ones(3)),
    "observations": lambda: nn.functional.mse_loss(_there(), _here()),
    "one of several": lambda: torch.cat([_there(), _here()]),
    "rows of the CPU by a device's": lambda: _here()[_first_row()],
    "a device's rows, selected": lambda: _there().index_select(0, torch.tensor([0])),
    "a number of the device": lambda: _here() * _there().sum(),
    "written to the CPU": lambda: _here().add_(_there()),
    "rows written to the CPU": lambda: _here().index_put_((_first_row(),), torch.tensor(1.0)),
    "a generator of the CPU": lambda: torch.randn(3, generator=torch.Generator(), device=DEVICE),
    "for NumPy": lambda: _there().numpy(),
}


@pytest.mark.parametrize("what", MIXED)
def test_mixed_devices_are_refused(what: str) -> None:
    with Accelerator(), pytest.raises((RuntimeError, TypeError)):
        MIXED[what]()


def test_what_a_gpu_allows_is_allowed() -> None:
    with Accelerator():
        there = _there() * torch.tensor(2.0)
        there[torch.tensor([0, 1])] = 0.0
        here = _here()
        here[0] = there[0]
        network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(DEVICE).to(DEVICE)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        network(there).sum().backward()
        optimizer.step()
        assert (network[0].weight.grad.device, here.device, there.cpu().device) == (DEVICE, here.device, here.device)
        assert float(there.sum()) == 0.5
        assert there[torch.tensor([True, False, True, True])].shape[1:] == (3,)
