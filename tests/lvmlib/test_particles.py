from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lvmlib import particles as particles_module
from lvmlib.checkpoint import CheckpointError, load
from lvmlib.data import batches
from lvmlib.fit import fit
from lvmlib.history import History
from lvmlib.particles import ParticleCloud


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVM_DEVICE", "cpu")


def made(images: int = 7, particles: int = 3, latent: int = 2, *, seed: int = 0, **options: Any) -> ParticleCloud:
    generator = torch.Generator().manual_seed(seed)
    return ParticleCloud(images, particles, latent, generator=generator, **({"quiet": True} | options))


# --- making one


def test_particles_start_from_the_standard_normal_prior() -> None:
    z = made(500, 10, 20).pooled()
    # 100,000 numbers; five standard errors
    assert abs(z.mean().item()) < 5 / len(z.flatten()) ** 0.5
    assert abs(z.square().mean().item() - 1) < 5 * (2 / len(z.flatten())) ** 0.5
    assert z.dtype == torch.float32


def test_the_generator_decides_and_no_other_stream_moves() -> None:
    before = torch.get_rng_state()
    assert torch.equal(made(seed=1).pooled(), made(seed=1).pooled())
    assert not torch.equal(made(seed=1).pooled(), made(seed=2).pooled())
    assert torch.equal(torch.get_rng_state(), before)


def test_one_line_says_how_large_it_is_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    cloud = made(10_000, 10, 64, quiet=False)
    assert capsys.readouterr().out == "particles: 10,000 × 10 × 64, 25.6 MB, on cpu\n"
    assert repr(cloud) == "particles: 10,000 × 10 × 64, 25.6 MB, on cpu"
    made()
    assert capsys.readouterr().out == ""
    assert repr(made()) == "particles: 7 × 3 × 2, 0.2 kB, on cpu"


def test_its_length_is_the_number_of_images() -> None:
    assert len(made()) == 7 and made().shape == (7, 3, 2)


@pytest.mark.parametrize("sizes", [(0, 3, 2), (7, 0, 2), (7, 3, 0), (7, -1, 2)])
def test_a_cloud_of_nothing_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^A cloud of .* holds nothing; give images, particles and latent ≥ 1\.$"):
        made(*sizes)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="^share is"):
        made(share=share)


def test_a_generator_of_another_device_is_refused() -> None:
    elsewhere: Any = SimpleNamespace(device=torch.device("cuda"))
    with pytest.raises(ValueError, match="^The generator is one of cuda; particles are drawn on the CPU"):
        ParticleCloud(7, 3, 2, generator=elsewhere)


@pytest.mark.parametrize(("free", "home"), [(4 * 168, "meta"), (4 * 168 - 1, "cpu")])
def test_it_lives_on_the_device_that_computes_if_that_has_four_times_the_room(
    monkeypatch: pytest.MonkeyPatch, free: int, home: str
) -> None:
    monkeypatch.setattr(particles_module, "_free_bytes", lambda device: free)
    cloud = made(device="meta")
    assert cloud.home == torch.device(home) and cloud.device == torch.device("meta")
    assert cloud.take([1, 2]).device == torch.device("meta")
    assert repr(cloud).endswith("on meta" if home == "meta" else "on cpu, meta gets it by the batch")


def test_where_the_free_memory_is_unknown_it_stays_on_the_cpu() -> None:
    assert particles_module._free_bytes(torch.device("xpu")) == 0


# --- rows


@pytest.mark.parametrize("rows", [[4, 0, 6], (4, 0, 6), torch.tensor([4, 0, 6]), torch.tensor([4, 0, 6]).int()])
def test_what_is_taken_are_the_particles_of_the_rows_in_their_order(rows: Any) -> None:
    cloud = made()
    everything = cloud.pooled().reshape(cloud.shape)
    assert torch.equal(cloud.take(rows), everything[[4, 0, 6]])


def test_what_is_taken_is_a_copy_and_a_leaf() -> None:
    cloud = made()
    before = cloud.pooled()
    z = cloud.take([1, 2]).requires_grad_()
    assert z.is_leaf
    with torch.no_grad():
        z += 1
    assert torch.equal(cloud.pooled(), before)


def test_what_was_put_is_taken_bit_by_bit_and_nothing_else_moves() -> None:
    cloud = made()
    before = cloud.pooled().reshape(cloud.shape)
    where = cloud.state_dict()["particles"].data_ptr()
    z = torch.randn(3, 3, 2)
    cloud.put(torch.tensor([5, 0, 2]), z)
    assert torch.equal(cloud.take([5, 0, 2]), z)
    assert torch.equal(cloud.take([1, 3, 4, 6]), before[[1, 3, 4, 6]])
    assert cloud.state_dict()["particles"].data_ptr() == where


def test_putting_keeps_values_and_no_graph() -> None:
    cloud = made()
    z = cloud.take([1]).requires_grad_()
    cloud.put([1], 2 * z)
    assert not cloud.state_dict()["particles"].requires_grad and not cloud.take([1]).requires_grad


def test_no_operation_of_a_step_is_larger_than_its_batch() -> None:
    """Whatever tensors a step makes, none has more numbers than the batch, so its cost cannot grow with the images."""
    from torch.utils._python_dispatch import TorchDispatchMode

    sizes: list[int] = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            # index_copy_ returns the tensor that it changed in part
            if isinstance(result, Tensor) and not str(function).startswith("aten.index_copy_"):
                sizes.append(result.numel())
            return result

    cloud = made(1000)
    with Sizes():
        cloud.put([3, 500], cloud.take([3, 500]) + 1)
    assert sizes and max(sizes) == 2 * 3 * 2


def test_no_rows_are_none() -> None:
    cloud = made()
    before = cloud.pooled()
    assert cloud.take([]).shape == (0, 3, 2)
    cloud.put([], cloud.take([]))
    assert torch.equal(cloud.pooled(), before)


@pytest.mark.parametrize(
    ("rows", "error", "sentence"),
    [
        ([7], IndexError, "There is no image 7; the cloud holds those of images 0 to 6"),
        ([0, -1], IndexError, "There is no image -1; the cloud"),
        (torch.tensor([0.0]), TypeError, r"rows is torch\.float32 of shape \(1,\); give the numbers of images"),
        (torch.ones(7, dtype=torch.bool), TypeError, r"rows is torch\.bool of shape \(7,\)"),
        (torch.tensor(3), TypeError, r"rows is torch\.int64 of shape \(\)"),
        (torch.zeros(2, 2, dtype=torch.int64), TypeError, r"rows is torch\.int64 of shape \(2, 2\)"),
    ],
)
def test_rows_that_are_none_of_its_images_are_refused(rows: Any, error: type[Exception], sentence: str) -> None:
    cloud = made()
    before = cloud.pooled()
    with pytest.raises(error, match="^" + sentence):
        cloud.take(rows)
    with pytest.raises(error, match="^" + sentence):
        cloud.put(rows, torch.zeros(1, 3, 2))
    assert torch.equal(cloud.pooled(), before)


@pytest.mark.parametrize("free", [0, 10**9])
def test_rows_that_the_cpu_knows_are_looked_at_wherever_the_cloud_lives(
    monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    monkeypatch.setattr(particles_module, "_free_bytes", lambda device: free)
    with pytest.raises(IndexError, match="^There is no image 7"):
        made(device="meta").take([1, 7])


@pytest.mark.parametrize(
    ("rows", "z", "sentence"),
    [
        ([0, 1], torch.zeros(3, 3, 2), "z is 3 × 3 × 2 where these rows need 2 × 3 × 2; put back as much as take"),
        ([0, 1], torch.zeros(2, 1, 2), "z is 2 × 1 × 2 where these rows need 2 × 3 × 2"),
        ([0], torch.tensor(1.0), "z is one number where these rows need 1 × 3 × 2"),
        ([0], torch.zeros(3, 2), "z is 3 × 2 where these rows need 1 × 3 × 2"),
        (
            [0],
            torch.zeros(1, 3, 2).double(),
            r"z is torch\.float64 on cpu and the cloud works in torch\.float32 on cpu",
        ),
        ([0], torch.zeros(1, 3, 2, device="meta"), r"z is torch\.float32 on meta and the cloud works in"),
        ([4, 4], torch.zeros(2, 3, 2), "rows names an image twice, and only one of its updates could be kept"),
    ],
)
def test_particles_that_do_not_fit_are_refused(rows: list[int], z: Tensor, sentence: str) -> None:
    cloud = made()
    before = cloud.pooled()
    with pytest.raises(ValueError, match="^" + sentence):
        cloud.put(rows, z)
    assert torch.equal(cloud.pooled(), before)


def test_chunks_cover_every_image_once_in_order() -> None:
    cloud = made()
    parts = list(cloud.chunks(3))
    assert torch.cat([rows for rows, _ in parts]).tolist() == list(range(7))
    assert [len(z) for _, z in parts] == [3, 3, 1]
    assert torch.equal(torch.cat([z for _, z in parts]).flatten(0, 1), cloud.pooled())
    for rows, z in cloud.chunks(4):
        cloud.put(rows, z + rows[:, None, None])
    assert torch.equal(cloud.take([6]), parts[2][1] + 6)
    with pytest.raises(ValueError, match="^size is 0; give the number of images in a chunk"):
        next(cloud.chunks(0))


def test_pooled_particles_are_a_copy_image_after_image() -> None:
    cloud = made()
    assert cloud.pooled().shape == (21, 2)
    assert torch.equal(cloud.pooled([5, 1]), torch.cat([cloud.take([5])[0], cloud.take([1])[0]]))
    before = cloud.pooled()
    cloud.pooled().zero_()
    cloud.pooled([0]).zero_()
    assert torch.equal(cloud.pooled(), before)


# --- other devices, without having one


def pgd_step(cloud: ParticleCloud, network: nn.Module, optimizer: Any, x: Tensor, rows: Tensor) -> None:
    z = cloud.take(rows).requires_grad_()
    energy = (x[:, None] - network(z)).square().sum() + 0.5 * z.square().sum()
    optimizer.zero_grad()
    energy.backward()
    optimizer.step()
    cloud.put(rows, z.detach() - 0.1 * z.grad)


def test_a_step_runs_on_a_device_that_is_not_the_cpu() -> None:
    with FakeTensorMode(), torch.device("meta"):
        network = nn.Linear(2, 5)
        optimizer = torch.optim.RMSprop(network.parameters())
        cloud = made(device="meta")
        pgd_step(cloud, network, optimizer, torch.rand(4, 5), torch.arange(4))
        assert cloud.home == cloud.state_dict()["particles"].device == torch.device("meta")


def test_a_step_that_mixes_devices_is_refused() -> None:
    with FakeTensorMode():
        with torch.device("meta"):
            network = nn.Linear(2, 5)
            optimizer = torch.optim.RMSprop(network.parameters())
            x, rows = torch.rand(4, 5), torch.arange(4)
        cloud = made(device="meta")
        with pytest.raises(RuntimeError, match="device"):
            pgd_step(cloud, network, optimizer, torch.rand(4, 5), rows)
        with pytest.raises(
            ValueError, match=r"^z is torch\.float32 on cpu and the cloud works in torch.float32 on meta"
        ):
            cloud.put(rows, torch.zeros(4, 3, 2))
        pgd_step(cloud, network, optimizer, x, rows)


# --- saving and resuming


def test_a_saved_cloud_is_loaded_bit_by_bit_and_in_place() -> None:
    cloud, other = made(seed=1), made(seed=2)
    where = other.state_dict()["particles"].data_ptr()
    other.load_state_dict(cloud.state_dict())
    assert torch.equal(other.pooled(), cloud.pooled())
    assert other.state_dict()["particles"].data_ptr() == where
    cloud.put([0], torch.zeros(1, 3, 2))
    assert (other.take([0]) != 0).any()


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {"particles": torch.zeros(7, 4, 2)},
            r"7 × 4 × 2 particles of torch\.float32 do not go into a cloud of 7 × 3 × 2",
        ),
        ({"particles": torch.zeros(7, 3, 2).double()}, r"7 × 3 × 2 particles of torch\.float64 do not go into a cloud"),
        ({"particles": torch.zeros(1, 3, 2)}, "1 × 3 × 2 particles"),
        ({"z": torch.zeros(7, 3, 2)}, "a cloud's state holds its 'particles', and this one z"),
        ({}, "a cloud's state holds its 'particles', and this one nothing"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state: dict[str, Tensor], sentence: str) -> None:
    cloud = made()
    before = cloud.pooled()
    with pytest.raises(ValueError, match="^" + sentence):
        cloud.load_state_dict(state)
    assert torch.equal(cloud.pooled(), before)


class Training:
    """Particle gradient descent on a toy: a linear network, its optimizer, a cloud and a generator of noise."""

    def __init__(self, seed: int = 0, particles: int = 3) -> None:
        torch.manual_seed(seed)
        self.network = nn.Linear(2, 4)
        self.optimizer = torch.optim.RMSprop(self.network.parameters(), lr=0.01)
        self.noise = torch.Generator().manual_seed(seed)
        self.cloud = ParticleCloud(10, particles, 2, generator=self.noise, quiet=True)
        x = torch.rand(10, 4, generator=torch.Generator().manual_seed(5))
        order = torch.Generator().manual_seed(seed)
        self.batches = batches((x, torch.arange(10)), 4, generator=order, device="cpu")
        self.steps = 0
        self.before_put: Callable[[int], Any] = lambda step: None

    def step(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, rows = batch
        z = self.cloud.take(rows).requires_grad_()
        energy = 5 * (x[:, None] - self.network(z)).square().sum() + 0.5 * z.square().sum()
        self.optimizer.zero_grad()
        energy.backward()
        self.optimizer.step()
        self.steps += 1
        self.before_put(self.steps)
        noise = torch.randn(z.shape, generator=self.noise)
        self.cloud.put(rows, z.detach() - 0.05 * z.grad + 0.1**0.5 * noise)
        return {"energy": energy.detach() / len(rows)}

    def run(self, epochs: int, checkpoint: Path | None = None) -> History:
        state = {"network": self.network, "optimizer": self.optimizer, "particles": self.cloud, "noise": self.noise}
        return fit(self.step, self.batches, epochs=epochs, checkpoint=checkpoint, state=state, progress=False)

    def numbers(self) -> list[list[float]]:
        tensors = [*self.network.parameters(), self.cloud.pooled(), torch.randn(3, generator=self.noise)]
        return [tensor.flatten().tolist() for tensor in tensors]


def stop(step: int) -> None:
    if step == 8:
        raise InterruptedError


def test_a_training_that_was_stopped_resumes_bit_by_bit(tmp_path: Path) -> None:
    whole = Training()
    history, expected = whole.run(5), whole.numbers()
    stopped = Training()
    stopped.before_put = stop
    with pytest.raises(InterruptedError):
        stopped.run(5, tmp_path / "a.pt")
    # in the same session, with the cloud as the stopped step left it, and in another one
    for resumed in (stopped, Training(seed=99)):
        resumed.before_put = lambda step: None
        copy = tmp_path / f"{id(resumed)}.pt"
        copy.write_bytes((tmp_path / "a.pt").read_bytes())
        assert resumed.run(5, copy) == history
        assert resumed.numbers() == expected


def test_a_training_that_was_killed_resumes_bit_by_bit(tmp_path: Path) -> None:
    whole = Training()
    history, expected = whole.run(5), whole.numbers()
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_particles import Training
        training = Training()
        training.before_put = lambda step: step == 8 and os.kill(os.getpid(), signal.SIGKILL)
        training.run(5, Path({str(tmp_path / "a.pt")!r}))
    """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(load(tmp_path / "a.pt")["history"]["rows"]) == 2
    resumed = Training(seed=99)
    assert resumed.run(5, tmp_path / "a.pt") == history
    assert resumed.numbers() == expected


def test_a_checkpoint_of_another_cloud_changes_neither_the_cloud_nor_the_network(tmp_path: Path) -> None:
    Training().run(2, tmp_path / "a.pt")
    saved = (tmp_path / "a.pt").read_bytes()
    other, same = Training(seed=1, particles=5), Training(seed=1, particles=5)
    sentence = r"a\.pt does not fit this training: 10 × 3 × 2 particles of torch\.float32 do not go into a cloud of 10"
    with pytest.raises(CheckpointError, match=sentence):
        other.run(3, tmp_path / "a.pt")
    assert other.numbers() == same.numbers()
    assert (tmp_path / "a.pt").read_bytes() == saved
