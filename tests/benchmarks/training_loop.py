"""Images per second of lvmlib's training loop and of the loop that tutorials show, on the same VAE.

    python -m tests.benchmarks.training_loop --threads 1 --mnist FOLDER

The plain loop draws batches of 64 from a shuffled `DataLoader` over `torchvision.datasets.MNIST(root, ToTensor())` and
reads every metric with `.item()` at every step; ours is `load`, `batches` and `fit`. Three trainings take turns in one
process, so that whatever else the machine does hits all of them. With several threads on a busy machine set
`OMP_WAIT_POLICY=passive`, or spinning threads are what is measured.

    plain           the loop as described, `torch.optim.Adam(parameters)`
    lvmlib          the same step and optimizer through lvmlib
    lvmlib, fused   lvmlib with `torch.optim.Adam(parameters, fused=True)`

"beside the step" is the time an image costs outside the step itself: fetching batches and reading metrics.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from lvmlib.data import ImageSet, batches, load
from lvmlib.fit import fit
from lvmlib.profile import seed_all

BATCH = 64
LATENT = 32
MNIST_FILES = {"train": "train", "test": "t10k"}

Step = Callable[[Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Speed:
    """What one way to train reached, one entry a repeat."""

    name: str
    images_per_second: Sequence[float]
    microseconds_beside: Sequence[float]


class Stopwatch:
    """A step that adds up its own time."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.seconds = 0.0

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        began = perf_counter()
        metrics = self.step(x)
        self.seconds += perf_counter() - began
        return metrics


def vae_step(fused: bool) -> Step:
    """A fresh MLP VAE, 784-512-256-128 with 32 latents, and one Adam step on its negative ELBO in nats."""
    widths = (784, 512, 256, 128)
    encoder = mlp((*widths, 2 * LATENT))
    decoder = mlp((LATENT, *reversed(widths)))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=fused or None)

    def step(x: Tensor) -> dict[str, Tensor]:
        x = x.flatten(1)
        mean, log_var = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        distortion = nn.functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") / len(x)
        rate = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum() / len(x)
        loss = distortion + rate
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss, "distortion": distortion, "rate": rate}

    return step


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_epoch(step: Step, loader: DataLoader[tuple[Tensor, Tensor]]) -> None:
    """An epoch as tutorials write it."""
    totals: dict[str, float] = {}
    for x, _ in loader:
        for name, value in step(x).items():
            totals[name] = totals.get(name, 0.0) + value.item()


def compare(root: Path, train: ImageSet, images: int, repeats: int) -> list[Speed]:
    """Train `repeats` epochs of `images` images in each way, by turns, after one epoch that is not counted."""
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor

    seed_all(0)
    dataset = MNIST(str(root), transform=ToTensor())
    if images < len(dataset):
        dataset = Subset(dataset, range(images))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    ours = batches(train[:images], BATCH, generator=torch.Generator().manual_seed(0), device="cpu")
    steps = {name: Stopwatch(vae_step(fused=name.endswith("fused"))) for name in ("plain", "lvmlib", "lvmlib, fused")}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(repeats + 1):
        for name, step in steps.items():
            step.seconds = 0.0
            began = perf_counter()
            if name == "plain":
                plain_epoch(step, loader)
            else:
                fit(step, ours, epochs=1, progress=False)
            whole = perf_counter() - began
            taken[name].append((images / whole, 1e6 * (whole - step.seconds) / images))
    return [Speed(name, *zip(*pairs[1:], strict=True)) for name, pairs in taken.items()]


@contextmanager
def mnist_folder(root: Path | None, sets: dict[str, ImageSet]) -> Iterator[Path]:
    """`root`, or else a temporary folder that holds `sets` as torchvision expects MNIST."""
    if root is not None:
        yield root
        return
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "MNIST", "raw")
        raw.mkdir(parents=True)
        for split, images in sets.items():
            pixels = (images.images * 255).round().to(torch.uint8).squeeze(1)
            write_idx(raw / f"{MNIST_FILES[split]}-images-idx3-ubyte", pixels)
            write_idx(raw / f"{MNIST_FILES[split]}-labels-idx1-ubyte", images.labels.to(torch.uint8))
        yield Path(folder)


def write_idx(path: Path, values: Tensor) -> None:
    """The IDX format of the MNIST files: magic with type and rank, extents, bytes; all big-endian."""
    unsigned_byte = 0x08
    header = [(unsigned_byte << 8) | values.ndim, *values.shape]
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in header) + values.numpy().tobytes())


def table(speeds: Sequence[Speed]) -> str:
    """Medians, with the least and the most in brackets."""
    plain = statistics.median(speeds[0].images_per_second)
    rows = [f"{'':16}{'images/s':>24}{'ratio':>8}{'µs an image beside the step':>32}"]
    for speed in speeds:
        rows.append(
            f"{speed.name:16}{spread(speed.images_per_second, 0):>24}"
            f"{statistics.median(speed.images_per_second) / plain:>8.2f}{spread(speed.microseconds_beside, 1):>32}"
        )
    return "\n".join(rows)


def spread(values: Sequence[float], digits: int) -> str:
    """`median (least–most)`."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="folder with torchvision's MNIST/raw; default: the embedded images")
    parser.add_argument("--images", type=int, default=6000, help="images an epoch")
    parser.add_argument("--repeats", type=int, default=7, help="epochs of each")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="torch threads")
    options = parser.parse_args(arguments)
    train, test = load("mnist")
    options.images = min(options.images, len(train))
    before = torch.get_num_threads()
    try:
        with mnist_folder(options.mnist, {"train": train, "test": test}) as root:
            for threads in options.threads:
                torch.set_num_threads(threads)
                print(f"{threads} thread{'s' * (threads > 1)}, {options.images:,} images, {options.repeats} repeats")
                print(table(compare(root, train, options.images, options.repeats)), flush=True)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
