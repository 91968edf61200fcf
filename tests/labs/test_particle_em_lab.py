"""Lab 06's own algorithms: one pass for two gradients, a training that survives being killed, honest in-painting."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import distributions as td

from lvmlib import load, masks, seed_all
from lvmlib.networks import ConvolutionalEncoder
from lvmlib.particles import ParticleCloud
from lvmlib.residual import ResidualGenerator


@pytest.fixture
def lab(definitions, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the notebook defines, at the size of `smoke`."""
    monkeypatch.setenv("LVM_PROFILE", "smoke")
    return definitions("06-particle-em")


@pytest.fixture
def generator(lab: dict[str, Any]) -> ResidualGenerator:
    seed_all(3)
    return ResidualGenerator(4, width=8)


def test_one_pass_gives_the_gradients_of_two(lab: dict[str, Any], generator: ResidualGenerator) -> None:
    x, rows, total = torch.rand(3, 1, 32, 32), torch.tensor([4, 0, 2]), 6
    images = lab["train"][:total]
    cloud = ParticleCloud(total, 2, 4, generator=seed_all(5), quiet=True)
    before = cloud.take(range(total))

    z = cloud.take(rows).requires_grad_()
    (of_particles,) = torch.autograd.grad(lab["log_joint"](generator, x, z).sum(), z)
    mean = lab["log_joint"](generator, x, cloud.take(rows)).mean(1).sum() * total / len(rows)
    of_theta = torch.autograd.grad(mean, list(generator.parameters()))
    moved = lab["langevin"](
        z.detach().flatten(0, 1), lambda _: of_particles.flatten(0, 1), lab["cfg"].step_size, 1, seed_all(7)
    )

    optimizer = torch.optim.SGD(generator.parameters(), lr=0.0)
    lab["pgd"](generator, optimizer, cloud, images, lab["cfg"].step_size, seed_all(7))((x, rows))

    assert torch.allclose(cloud.take(rows), moved.view(3, 2, 4), rtol=1e-5, atol=1e-6)
    assert torch.equal(cloud.take([1, 3, 5]), before[[1, 3, 5]])
    found = [parameter.grad for parameter in generator.parameters()]
    limit = min(1.0, 3000 * total / math.sqrt(sum(float(part.square().sum()) for part in of_theta)))
    for one, other in zip(found, of_theta, strict=True):
        assert one is not None
        assert torch.allclose(one, other * limit, rtol=1e-3, atol=1e-3 * float(other.abs().max()) + 1e-6)


def test_a_killed_training_goes_on_bit_by_bit(lab: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    images, langevin = lab["train"][:40], lab["langevin"]
    sizes = SimpleNamespace(**vars(lab["cfg"]) | dict(batch=20, epochs=4))

    def trained(checkpoint: str | None):
        seed_all(20)
        return lab["train_pgd"]("test", images, sizes, checkpoint)

    generator, cloud, history = trained(None)

    calls = iter(range(1_000))

    def killed(*arguments):
        if next(calls) == 5:  # two batches an epoch, so in the third
            raise MemoryError
        return langevin(*arguments)

    monkeypatch.setitem(lab, "langevin", killed)
    with pytest.raises(MemoryError):
        trained("runs/pgd.pt")
    monkeypatch.setitem(lab, "langevin", langevin)
    seed_all(99)
    again, resumed, continued = lab["train_pgd"]("test", images, sizes, "runs/pgd.pt")

    assert continued == history
    assert torch.equal(resumed.pooled(), cloud.pooled())
    for one, other in zip(again.parameters(), generator.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shape", [(32, 32), (1, 32, 32), (3, 1, 32, 32)])
def test_draws_differ_where_hidden_and_only_there(
    lab: dict[str, Any], generator: ResidualGenerator, shape: tuple[int, ...]
) -> None:
    x = lab["held_out"].images[:3]
    observed = masks.centre(32, 12).expand(shape)
    best, drawn = lab["fill_in"](generator, x, observed, seed_all(1), draws=3)
    mask = masks.expanded(x, observed)
    assert torch.equal(best[mask], x[mask])
    assert torch.equal(drawn[:, mask], x[mask].expand(3, -1))
    differ = (drawn[0] != drawn[1]) | (drawn[1] != drawn[2])
    assert differ[~mask].float().mean() > 0.9

    changed = torch.where(mask, x, 1000.0)
    again, _ = lab["fill_in"](generator, changed, observed, seed_all(1), draws=3)
    assert torch.equal(best, again)


def test_each_image_gets_its_own_best_start(lab: dict[str, Any], generator: ResidualGenerator) -> None:
    x = lab["held_out"].images[:20]
    mask = masks.expanded(x, masks.centre(32, 12))
    losses, z = lab["search"](generator, x, mask, seed_all(2))
    chosen = lab["best_start"](losses, z)
    reached = -lab["log_joint"](generator, x, chosen[:, None], mask)[:, 0]
    assert torch.allclose(reached, losses.min(0).values, rtol=1e-5)
    assert len(losses.argmin(0).unique()) > 1


def test_a_mask_that_hides_all_is_refused(lab: dict[str, Any], generator: ResidualGenerator) -> None:
    with pytest.raises(ValueError, match="no observed pixel"):
        lab["fill_in"](generator, lab["held_out"].images[:2], torch.zeros(32, 32, dtype=torch.bool), seed_all(0))


def test_the_autoencoder_has_its_divergence_the_right_way_round(
    lab: dict[str, Any], generator: ResidualGenerator
) -> None:
    x = lab["train"].images[:8].double()
    generator.double()
    seed_all(4)
    encoder = ConvolutionalEncoder(1, 32, 32, 4, features=16).double()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.0, maximize=True)
    mean, log_var = encoder(x)
    posterior = td.Normal(mean, (log_var / 2).exp())
    divergence = td.kl_divergence(posterior, td.Normal(0.0, 1.0)).sum(1).mean()

    seed_all(6)
    energy = lab["autoencoding"](generator, encoder, optimizer)((x, torch.arange(8)))["energy"]
    seed_all(6)
    z = mean + (log_var / 2).exp() * torch.randn_like(mean)
    distortion = (x - generator(z)).square().flatten(1).sum(1).mean() / (2 * lab["cfg"].variance)
    assert float((energy - distortion).detach()) == pytest.approx(float(divergence.detach()), rel=1e-6)


def test_the_linear_generator_is_that_of_principal_components(lab: dict[str, Any]) -> None:
    images = load("mnist", size=32, count=200)[0].images
    W, b, variance = lab["linear_generator"](images, 20)
    pixels = images.flatten(1).double()
    covariance = (pixels - pixels.mean(0)).T @ (pixels - pixels.mean(0)) / len(pixels)
    eigenvalues = torch.linalg.eigvalsh(covariance).flip(0)
    assert torch.allclose(b.double(), pixels.mean(0), atol=1e-5)
    assert variance == pytest.approx(float(eigenvalues[20:].mean()), rel=1e-3)
    lengths = torch.linalg.eigvalsh((W.T @ W).double()).flip(0)
    assert torch.allclose(lengths, eigenvalues[:20] - variance, rtol=1e-3)


def test_a_sweep_moves_the_particles_of_all_images(lab: dict[str, Any], generator: ResidualGenerator) -> None:
    images = lab["train"][:40]
    x, rows = images.images[:4], torch.arange(4)

    def after(sweep: bool) -> tuple[ParticleCloud, list[torch.Tensor]]:
        cloud = ParticleCloud(40, 2, 4, generator=seed_all(8), quiet=True)
        optimizer = torch.optim.SGD(generator.parameters(), lr=0.0)
        lab["pgd"](generator, optimizer, cloud, images, lab["cfg"].step_size, seed_all(9), sweep=sweep)((x, rows))
        return cloud, [parameter.grad.clone() for parameter in generator.parameters() if parameter.grad is not None]

    before = ParticleCloud(40, 2, 4, generator=seed_all(8), quiet=True).pooled()
    (batch_only, of_batch), (swept, of_sweep) = after(False), after(True)
    assert (batch_only.pooled() != before).any(1).sum() == 8
    assert (swept.pooled() != before).any(1).all()
    for one, other in zip(of_batch, of_sweep, strict=True):
        assert torch.equal(one, other)
