"""What a step of particle gradient descent costs: against the machine's peak, one pass against two, and as it grows.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python -m tests.benchmarks.particle_step --threads 1

A step takes the particles of a batch, runs the generator on all of them, takes the gradients of
Σ|x − G(z)|²/(2σ²) + |z|²/2 by its weights θ and by z, moves θ by RMSprop with the first, times images / (batch ·
particles), and z by Langevin with the second, and puts the particles back (Kuntz, Lim & Johansen, 2023). Four tables:

    images             a small generator, a cloud of more and more images: memory grows, seconds a step do not
    batch × particles  the same generator, larger and larger steps: seconds grow in proportion
    passes             the wide generator; both gradients from one backward pass, from one in parts of 32 images, or
                       from a pass of its own for each, as published
    epoch              over all images, in one pass and in parts; its arithmetic as a share of the fastest float32
                       matrix product or convolution seen meanwhile (either can be the faster one)

Seconds are those of the CPU, all threads together, which a busy machine does not stretch by taking turns; of the epoch
also those on the wall. What is compared takes turns in one process, so that whatever else the machine does hits all of
it. "peak, MB" is the most memory that the process has held so far. Images are MNIST's at 32×32, repeated where the
cloud has more.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, process_time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lvmlib.data import load
from lvmlib.particles import ParticleCloud
from lvmlib.profile import seed_all
from lvmlib.residual import ResidualGenerator
from tests.benchmarks.training_loop import spread

LATENT = 64
SIGMA = 0.005
STEP_SIZE = 1e-4
PART = 32

Gradients = Callable[[nn.Module, Tensor, Tensor], Tensor]


def energy(network: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    """−log p(x, z) in nats up to a constant, summed over images (batch, …) and particles (batch, particles, latent)."""
    return (x[:, None] - network(z)).square().sum() / (2 * SIGMA**2) + z.square().sum() / 2


def one_pass(network: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    """The energy's gradient by z; that by the weights is added to theirs."""
    z = z.detach().requires_grad_()
    energy(network, x, z).backward()
    return torch.as_tensor(z.grad)


def one_pass_in_parts(network: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    return torch.cat([one_pass(network, *part) for part in zip(x.split(PART), z.split(PART), strict=True)])


def two_passes(network: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    energy(network, x, z).backward()
    network.requires_grad_(False)
    by_codes = one_pass(network, x, z)
    network.requires_grad_(True)
    return by_codes


WAYS: dict[str, Gradients] = {
    "one pass": one_pass,
    "one pass in parts": one_pass_in_parts,
    "two passes": two_passes,
}


class Training:
    """A generator, its optimizer and a cloud of particles."""

    def __init__(self, x: Tensor, images: int, particles: int, width: int) -> None:
        self.noise = seed_all(0)
        self.x = x
        self.network = ResidualGenerator(LATENT, width=width)
        self.optimizer = torch.optim.RMSprop(self.network.parameters(), lr=1e-3)
        self.cloud = ParticleCloud(images, particles, LATENT, generator=self.noise, device="cpu", quiet=True)

    def step(self, rows: Tensor, gradients: Gradients = one_pass) -> float:
        """One step; the CPU seconds it took."""
        began = process_time()
        z = self.cloud.take(rows)
        x = self.x.index_select(0, rows % len(self.x))
        self.optimizer.zero_grad()
        by_codes = gradients(self.network, x, z)
        for parameter in self.network.parameters():
            parameter.grad *= len(self.cloud) / (len(rows) * z.shape[1])
        self.optimizer.step()
        kick = torch.randn(z.shape, generator=self.noise)
        self.cloud.put(rows, z - STEP_SIZE * by_codes + (2 * STEP_SIZE) ** 0.5 * kick)
        return process_time() - began

    def rows(self, batch: int) -> Tensor:
        """Images of a batch, no image twice."""
        return torch.randperm(len(self.cloud), generator=self.noise)[:batch]

    def fetch(self, rows: Tensor) -> float:
        """CPU seconds of taking particles and putting them back."""
        began = process_time()
        self.cloud.put(rows, self.cloud.take(rows))
        return process_time() - began


def over_images(x: Tensor, counts: Sequence[int], batch: int, particles: int, width: int, repeats: int) -> str:
    """A row for each number of images: bytes and seconds."""
    trainings, peaks, seconds, fetches = [], [], [], []
    for count in sorted(counts):
        trainings.append(Training(x, count, particles, width))
        trainings[-1].step(trainings[-1].rows(batch))
        peaks.append(peak_memory())
    for _ in range(repeats):
        drawn = [(training, training.rows(batch)) for training in trainings]
        fetches.append([training.fetch(rows) for training, rows in drawn])
        seconds.append([training.step(rows) for training, rows in drawn])
    rows = [f"  {'images':>12}{'cloud, MB':>12}{'peak, MB':>12}{'ms a step':>26}{'of it take and put':>26}"]
    for training, peak, step, fetch in zip(trainings, peaks, columns(seconds), columns(fetches), strict=True):
        cloud = training.cloud.state_dict()["particles"].nbytes / 1e6
        times = f"{spread(milli(step), 1):>26}{spread(milli(fetch), 2):>26}"
        rows.append(f"  {len(training.cloud):12,}{cloud:12,.1f}{peak:12,.0f}{times}")
    return "\n".join(rows)


def over_codes(x: Tensor, sizes: Sequence[tuple[int, int]], width: int, repeats: int) -> str:
    """A row for each (batch, particles): seconds, also for each image and particle."""
    trainings, peaks, seconds = [], [], []
    for batch, particles in sorted(sizes, key=lambda pair: pair[0] * pair[1]):
        trainings.append((Training(x, max(batch, 1000), particles, width), batch))
        trainings[-1][0].step(trainings[-1][0].rows(batch))
        peaks.append(peak_memory())
    for _ in range(repeats):
        seconds.append([training.step(training.rows(batch)) for training, batch in trainings])
    rows = [f"  {'batch':>12}{'particles':>12}{'peak, MB':>12}{'ms a step':>26}{'µs a particle':>26}"]
    for (training, batch), peak, step in zip(trainings, peaks, columns(seconds), strict=True):
        particles = training.cloud.shape[1]
        each = [1e6 * taken / (batch * particles) for taken in step]
        rows.append(f"  {batch:12,}{particles:12,}{peak:12,.0f}{spread(milli(step), 1):>26}{spread(each, 0):>26}")
    return "\n".join(rows)


def over_ways(x: Tensor, batch: int, particles: int, width: int, repeats: int) -> str:
    """A row for each way to both gradients: images × particles per second, and times slower than one pass."""
    trainings = {name: Training(x, max(batch, 1000), particles, width) for name in WAYS}
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    for name, training in trainings.items():
        training.step(training.rows(min(batch, PART)), WAYS[name])
    for _ in range(repeats):
        for name, training in trainings.items():
            speeds[name].append(batch * particles / training.step(training.rows(batch), WAYS[name]))
    rows = [f"  {'':20}{'particles/s':>26}{'times slower':>26}"]
    for name, taken in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["one pass"], taken, strict=True)]
        rows.append(f"  {name:20}{spread(taken, 0):>26}{spread(ratios, 2):>26}")
    return "\n".join(rows)


def over_an_epoch(x: Tensor, images: int, batch: int, particles: int, width: int, gradients: Gradients) -> str:
    """Seconds of one epoch, and its arithmetic a second as a share of the most seen in the same minutes."""
    training = Training(x, images, particles, width)
    order = training.rows(images)
    training.step(order[: min(batch, PART)], gradients)
    seconds, spent, peaks = 0.0, 0.0, [fastest_arithmetic()]
    for rows in order.split(batch):
        began = perf_counter()
        spent += training.step(rows, gradients)
        seconds += perf_counter() - began
        peaks.append(fastest_arithmetic())
    speed, peak = arithmetic(width, particles) * images / spent / 1e9, max(peaks) / 1e9
    return (
        f"  {spent:.1f} s ({seconds:.1f} s on the wall), {images * particles / spent:,.0f} particles/s, "
        f"{speed:.1f} GFLOP/s, {speed / peak:.0%} of the fastest {peak:.1f}"
    )


def arithmetic(width: int, particles: int) -> int:
    """Floating-point operations of both gradients for one image, products and sums counted apart."""
    with torch.device("meta"):
        network, x, z = (
            ResidualGenerator(LATENT, width=width),
            torch.empty(1, 1, 32, 32),
            torch.empty(1, particles, LATENT),
        )
    with FlopCounterMode(display=False) as counter:
        one_pass(network, x, z)
    return counter.get_total_flops()


def fastest_arithmetic(side: int = 2048, width: int = 64) -> float:
    """Floating-point operations a second of a large matrix product or of convolutions that fit a cache."""
    a, b = torch.ones(side, side), torch.ones(side, side)
    x, weight = torch.ones(PART, width, 16, 16), torch.ones(width, width, 5, 5)
    convolved = 2 * weight.numel() * PART * 16 * 16
    speeds = []
    for _ in range(2):
        began = process_time()
        torch.mm(a, b)
        between = process_time()
        for _ in range(8):
            torch.conv2d(x, weight, padding=2)
        speeds += [2 * side**3 / (between - began), 8 * convolved / (process_time() - between)]
    return max(speeds)


def peak_memory() -> float:
    """Megabytes that the process has held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def columns(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    return list(zip(*rows, strict=True))


def milli(seconds: Sequence[float]) -> list[float]:
    return [1e3 * taken for taken in seconds]


def size(text: str) -> tuple[int, int]:
    """`128x10`, a batch and the particles of each image."""
    batch, particles = text.split("x")
    return int(batch), int(particles)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="of the epoch")
    parser.add_argument("--particles", type=int, default=10, help="of each image")
    parser.add_argument("--batch", type=int, default=128, help="images a step")
    parser.add_argument("--width", type=int, default=64, help="of the generator in the last two tables")
    parser.add_argument("--small", type=int, default=8, help="its width in the first two")
    parser.add_argument("--clouds", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="images of each cloud")
    sizes = ["32x5", "64x5", "128x5", "128x10", "128x20"]
    parser.add_argument("--sizes", type=size, nargs="+", default=[size(text) for text in sizes], help="BATCHxPARTICLES")
    parser.add_argument("--repeats", type=int, default=3, help="steps of each")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="torch threads")
    options = parser.parse_args(arguments)
    x = load("mnist", size=32)[0].images
    batch, particles, width, repeats = options.batch, options.particles, options.width, options.repeats
    before = torch.get_num_threads()
    try:
        for threads in options.threads:
            torch.set_num_threads(threads)
            print(f"{threads} thread{'s' * (threads > 1)}, {repeats} repeats, medians (least–most)")
            print(f"images: width {options.small}, batch {PART}, {particles} particles")
            print(over_images(x, options.clouds, PART, particles, options.small, repeats), flush=True)
            print(f"batch × particles: width {options.small}")
            print(over_codes(x, options.sizes, options.small, repeats), flush=True)
            print(f"passes: width {width}, batch {batch}, {particles} particles")
            print(over_ways(x, batch, particles, width, repeats), flush=True)
            for name in ("one pass", "one pass in parts"):
                print(f"epoch: width {width}, batch {batch}, {options.images:,} images × {particles} particles, {name}")
                print(over_an_epoch(x, options.images, batch, particles, width, WAYS[name]), flush=True)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
