"""Train the shipped generators of digits on the complete MNIST and write lvmlib/weights/generator-*.safetensors.

    python scripts/train_generators.py ORIGINALS [gan] [wgan-gp]

ORIGINALS is the folder that torchvision.datasets.MNIST calls its root. About twenty minutes on one core for each of the
two. Every report writes the weights as they are by then, so that a training that is interrupted is not lost.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lvmlib import batches, load
from lvmlib.classifier import load_classifier
from lvmlib.networks import mlp_discriminator, mlp_generator

WEIGHTS = Path(__file__).resolve().parents[1] / "lvmlib" / "weights"
LATENT, BATCH, BETAS, AVERAGE = 16, 64, (0.0, 0.99), 0.999
EPOCHS = {"gan": 50, "wgan-gp": 60}
LEARNING_RATE = {"gan": 1e-3, "wgan-gp": 2e-3}
EPOCHS_BETWEEN_REPORTS = 5
CRITIC_STEPS, PENALTY = 2, 10.0

Turn = Callable[[Tensor], Tensor]
"""What a player does with a batch of real images: the loss that it then descends."""


def codes(count: int) -> Tensor:
    return torch.randn(count, LATENT)


def gan(discriminator: nn.Module, generator: nn.Module) -> tuple[Turn, Turn]:
    """Losses of the two players: Goodfellow et al., *Generative Adversarial Nets*, 2014, the non-saturating ones."""

    def discriminator_loss(x: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generator(codes(len(x)))
        # the two forward passes share one spectral normalisation
        with parametrize.cached():
            return F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fake)).mean()

    def generator_loss(x: Tensor) -> Tensor:
        return F.softplus(-discriminator(generator(codes(len(x))))).mean()

    return discriminator_loss, generator_loss


def wgan_gp(critic: nn.Module, generator: nn.Module) -> tuple[Turn, Turn]:
    """Losses of the two players: Gulrajani et al., *Improved Training of Wasserstein GANs*, 2017, equation 3."""

    def critic_loss(x: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generator(codes(len(x)))
        eps = torch.rand(len(x), 1, 1, 1)
        between = (eps * x + (1 - eps) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return critic(fake).mean() - critic(x).mean() + PENALTY * penalty

    def generator_loss(x: Tensor) -> Tensor:
        return -critic(generator(codes(len(x)))).mean()

    return critic_loss, generator_loss


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def linear_end(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate as it is for the first half of `steps`, then on a straight line to 0."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0, min(1, 2 - 2 * step / steps)))


@torch.no_grad()
def judge(generator: nn.Module, count: int = 10_000) -> tuple[float, list[float]]:
    """Share of samples that are classified with over 0.9 confidence, and the share of each class among those."""
    classifier = load_classifier("mnist")
    images = torch.cat([generator(code) for code in codes(count).split(1000)])
    confidence, digit = classifier(images).softmax(1).max(1)
    sure = digit[confidence > 0.9]
    return len(sure) / count, (torch.bincount(sure, minlength=10) / max(1, len(sure))).tolist()


def write(name: str, generator: nn.Module, epochs: int) -> str:
    """Store `generator` as float16 and say what it is worth then."""
    stored = {path: value.half() if value.is_floating_point() else value for path, value in state_of(generator)}
    rounded = mlp_generator(LATENT)
    rounded.load_state_dict(stored)
    share, classes = judge(rounded.eval())
    target = WEIGHTS / f"generator-{name}.safetensors"
    part = target.with_suffix(".part")
    metadata = {"share_over_0.9": f"{share:.4f}", "epochs": f"{epochs}", "source": "scripts/train_generators.py"}
    part.write_bytes(save(stored, metadata))
    os.replace(part, target)
    return f"{share:.1%} over 0.9, classes {', '.join(f'{share:.0%}' for share in classes)}"


def state_of(generator: nn.Module) -> list[tuple[str, Tensor]]:
    return [(path, value.detach().clone()) for path, value in generator.state_dict().items()]


def train(name: str, x: Tensor) -> None:
    """Train one generator and report, and write, a moving average of its weights."""
    torch.manual_seed(0)
    generator = mlp_generator(LATENT)
    opponent = mlp_discriminator(spectral=name == "gan")
    opponents_loss, generator_loss = {"gan": gan, "wgan-gp": wgan_gp}[name](opponent, generator)
    opponents_turns = {"gan": 1, "wgan-gp": CRITIC_STEPS}[name]
    players = [
        torch.optim.Adam(player.parameters(), LEARNING_RATE[name], BETAS, fused=True)
        for player in (opponent, generator)
    ]
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE), use_buffers=True)
    train_batches = batches(x, BATCH, drop_last=True, device="cpu")
    steps = EPOCHS[name] * len(train_batches)
    schedules = [linear_end(players[0], steps), linear_end(players[1], steps // opponents_turns)]
    began, step = perf_counter(), 0
    for epoch in range(1, EPOCHS[name] + 1):
        for real in train_batches:
            step += 1
            descend(players[0], opponents_loss(real))
            schedules[0].step()
            if step % opponents_turns == 0:
                opponent.requires_grad_(False)
                descend(players[1], generator_loss(real))
                opponent.requires_grad_(True)
                schedules[1].step()
                average.update_parameters(generator)
        if epoch % EPOCHS_BETWEEN_REPORTS == 0:
            report = write(name, copy.deepcopy(average.module).eval(), epoch)
            print(f"{name}, epoch {epoch}, {perf_counter() - began:.0f} s: {report}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path, help="root folder of torchvision's MNIST")
    parser.add_argument("names", nargs="*", choices=list(EPOCHS), default=list(EPOCHS), help="which generators")
    arguments = parser.parse_args()
    images = load("mnist", count=60000, root=arguments.originals)[0].images
    for name in arguments.names:
        train(name, images)


if __name__ == "__main__":
    main()
