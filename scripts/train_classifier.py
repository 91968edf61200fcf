"""Train the shipped digit classifier on the complete MNIST and write lvmlib/weights/classifier-mnist.safetensors.

    python scripts/train_classifier.py ORIGINALS

ORIGINALS is the folder that torchvision.datasets.MNIST calls its root. About three minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from lvmlib.classifier import Classifier

TARGET = Path(__file__).resolve().parents[1] / "lvmlib" / "weights" / "classifier-mnist.safetensors"
EPOCHS, BATCH, OUTLIERS, LEARNING_RATE = 8, 128, 32, 3e-3


def read(originals: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """All images (count, 1, 28, 28) in [0, 1] and their labels (count,)."""
    from torchvision.datasets import MNIST

    split = MNIST(str(originals), train=train)
    return split.data[:, None] / 255, split.targets


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 10°, zoomed by up to 10 % and moved by up to 2 pixels."""
    turn, zoom, right, down = 2 * torch.rand(4, len(images), generator=generator) - 1
    turn, zoom, right, down = turn * math.radians(10), 1 + zoom / 10, right / 7, down / 7
    cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    affine = torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)
    return F.grid_sample(images, F.affine_grid(affine, list(images.shape), align_corners=False), align_corners=False)


def outliers(images: Tensor, generator: torch.Generator) -> Tensor:
    """As many pictures of no digit: white noise, smooth noise, and digits whose 7×7 patches are shuffled.

    A classifier that never saw any is sure of what an untrained generator draws, and then measures nothing.
    """
    white, smooth, shuffled = images.tensor_split(3)
    level = torch.rand(len(white), 1, 1, 1, generator=generator)
    white = level * torch.rand(white.shape, generator=generator)
    side = int(torch.randint(2, 15, (), generator=generator))
    coarse = torch.randn(len(smooth), 1, side, side, generator=generator)
    smooth = F.interpolate(2 * coarse, smooth.shape[-2:], mode="bilinear").sigmoid()
    patches = F.unfold(shuffled, 7, stride=7)
    order = torch.rand(len(shuffled), 1, patches.shape[2], generator=generator).argsort(2)
    shuffled = F.fold(patches.gather(2, order.expand_as(patches)), shuffled.shape[-2:], 7, stride=7)
    return torch.cat([white, smooth, shuffled])


def train(images: Tensor, labels: Tensor) -> Classifier:
    """A classifier after EPOCHS passes over jittered images, learning rate on one cycle.

    Of outliers it learns to say that every class is as likely: Hendrycks, Mazeika & Dietterich, *Deep Anomaly Detection
    with Outlier Exposure*, 2019, equation 1 with weight ½.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    classifier = Classifier()
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        total = torch.zeros(())
        for chosen in torch.randperm(len(images), generator=generator)[: steps * BATCH].view(steps, BATCH):
            shown = jitter(images[chosen], generator)
            logits = classifier(torch.cat([shown, outliers(shown[:OUTLIERS], generator)]))
            digits, others = logits.split([BATCH, OUTLIERS])
            loss = F.cross_entropy(digits, labels[chosen]) - 0.5 * others.log_softmax(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        print(f"epoch {epoch + 1}: loss {total.item() / steps:.4f} nats", flush=True)
    return classifier


@torch.no_grad()
def judge(classifier: Classifier, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, cross entropy in nats and the share of images classified with over 0.9 confidence."""
    logits = torch.cat([classifier(batch) for batch in images.split(1000)])
    return {
        "accuracy": (logits.argmax(1) == labels).double().mean().item(),
        "cross entropy": F.cross_entropy(logits, labels).item(),
        "share over 0.9": (logits.softmax(1).amax(1) > 0.9).double().mean().item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path, help="root folder of torchvision's MNIST")
    originals = parser.parse_args().originals

    classifier = train(*read(originals, train=True))
    stored = {name: value.half() for name, value in classifier.state_dict().items()}
    classifier.load_state_dict(stored)
    scores = judge(classifier, *read(originals, train=False))
    for name, score in scores.items():
        print(f"test {name}: {score:.4f}")

    part = TARGET.with_suffix(".part")
    save_file(stored, part, metadata={"test_accuracy": f"{scores['accuracy']:.4f}"})
    os.replace(part, TARGET)
    print(f"wrote {TARGET} ({TARGET.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
