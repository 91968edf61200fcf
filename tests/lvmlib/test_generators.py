from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import lvmlib
from lvmlib.classifier import load_classifier
from lvmlib.networks import load_generator, mlp_discriminator, mlp_generator

SHIPPED = ["gan", "wgan-gp"]
SHAPES = [(1, (1, 28, 28)), (7, (3, 8, 10))]


@pytest.mark.parametrize(("latent", "shape"), SHAPES)
def test_generator_and_discriminator_have_the_documented_shapes(latent: int, shape: tuple[int, ...]) -> None:
    images = mlp_generator(latent, shape)(5 * torch.randn(6, latent))
    assert images.shape == (6, *shape)
    assert images.min() >= 0 and images.max() <= 1
    for spectral in (True, False):
        discriminator = mlp_discriminator(shape, spectral=spectral)
        assert discriminator(images).shape == (6,)
        assert discriminator(images[:1]).shape == (1,)


@pytest.mark.parametrize("spectral", [True, False])
def test_no_logit_depends_on_another_image(spectral: bool) -> None:
    torch.manual_seed(0)
    discriminator = mlp_discriminator((1, 6, 5), spectral=spectral)
    x = torch.rand(4, 1, 6, 5)
    discriminator.eval()
    torch.testing.assert_close(discriminator(x), torch.cat([discriminator(image) for image in x.split(1)]))


def test_slope_of_a_spectrally_normalised_discriminator_is_at_most_four() -> None:
    torch.manual_seed(0)
    discriminator = mlp_discriminator((1, 6, 5), spectral=True)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(50)
        for _ in range(200):  # a power iteration each, until the largest singular values are known
            discriminator(torch.zeros(1, 1, 6, 5))
    x = torch.randn(500, 1, 6, 5, requires_grad=True)
    discriminator.eval()(x).sum().backward()
    slopes = x.grad.flatten(1).norm(dim=1)
    assert slopes.max() <= 4.001
    assert slopes.max() > 0.1


def test_a_critic_is_not_bounded() -> None:
    torch.manual_seed(0)
    critic = mlp_discriminator((1, 6, 5), spectral=False)
    x = torch.randn(3, 1, 6, 5)
    before = critic(x)
    with torch.no_grad():
        for layer in critic:
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(50)
                layer.bias.zero_()
    assert critic(x).abs().max() > 100 * before.abs().max()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_generator_is_small_and_tells_its_origin(name: str) -> None:
    path = Path(lvmlib.__file__).parent / "weights" / f"generator-{name}.safetensors"
    assert path.stat().st_size < 1.2e6
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert float(metadata["share_over_0.9"]) >= 0.85
    assert int(metadata["epochs"]) > 0
    assert metadata["source"] == "scripts/train_generators.py"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_generator_draws_every_digit_recognisably(name: str) -> None:
    generator = load_generator(name)
    codes = torch.randn(2000, generator[0].in_features, generator=torch.Generator().manual_seed(0))
    device = next(generator.parameters()).device
    with torch.no_grad():
        confidence, digit = load_classifier("mnist")(generator(codes.to(device))).softmax(1).max(1)
    sure = digit[confidence > 0.9]
    assert len(sure) / len(codes) >= 0.85
    assert (torch.bincount(sure, minlength=10) / len(sure)).min() >= 0.04


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_generator_is_ready_for_use(name: str) -> None:
    generator = load_generator(name)
    assert not any(module.training for module in generator.modules())
    assert not any(parameter.requires_grad for parameter in generator.parameters())
    assert {parameter.dtype for parameter in generator.parameters()} == {torch.float32}
    device = next(generator.parameters()).device
    codes = torch.randn(3, generator[0].in_features, device=device, requires_grad=True)
    generator(codes).sum().backward()
    assert codes.grad.abs().sum() > 0


def test_unknown_generator_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="There is no generator 'dcgan'; there is 'gan', 'wgan-gp'."):
        load_generator("dcgan")
