"""Generators with residual blocks: images of their own code alone, whatever leads it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lvmlib.residual import CompactGenerator, ResidualGenerator

KINDS = [ResidualGenerator, CompactGenerator]
Kind = type[ResidualGenerator] | type[CompactGenerator]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_residual_generator_has_as_many_parameters_as_the_published_one() -> None:
    assert count(ResidualGenerator(64)) == 355_457
    # two more output channels of 64 filters of 4×4 and a bias
    assert count(ResidualGenerator(64, 3)) == 355_457 + 2 * (64 * 16 + 1)
    assert not list(ResidualGenerator(64).buffers())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lead", [(), (1,), (4,), (2, 3), (2, 1, 3), (0,), (0, 5)])
def test_codes_of_any_leading_shape_become_images(kind: Kind, channels: int, lead: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    generator = kind(5, channels, width=8)
    z = torch.randn(*lead, 5)
    images = generator(z)
    assert images.shape == (*lead, channels, 32, 32)
    flat = generator(z.reshape(-1, 5))
    torch.testing.assert_close(images.reshape(flat.shape), flat)


@pytest.mark.parametrize("kind", KINDS)
def test_generated_images_fill_the_unit_interval_and_do_not_leave_it(kind: Kind) -> None:
    torch.manual_seed(0)
    generator = kind(5, width=8)
    with torch.no_grad():
        generator.body[-1].weight *= 100
        images = generator(torch.randn(50, 5))
    assert images.min() >= 0 and images.max() <= 1
    assert images.min() < 0.01 and images.max() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_every_pixel_of_a_generated_image_can_be_moved_by_every_latent(kind: Kind) -> None:
    torch.manual_seed(0)
    generator = kind(3, 2, width=8)
    moved = torch.autograd.functional.jacobian(generator, torch.randn(3))
    assert moved.shape == (2, 32, 32, 3)
    assert (moved != 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [True, False])
def test_a_generated_image_depends_on_its_own_code_alone(kind: Kind, mode: bool) -> None:
    torch.manual_seed(0)
    generator = kind(5, 3, width=16).train(mode)
    z = torch.randn(4, 2, 5, requires_grad=True)
    generator(z)[1, 0].sum().backward()
    touched = (z.grad != 0).any(-1)
    assert touched[1, 0] and touched.sum() == 1
    torch.testing.assert_close(generator(z)[3, 1], generator(z[3, 1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_both_modes_are_the_same_function(kind: Kind) -> None:
    torch.manual_seed(0)
    generator, z = kind(5, width=8), torch.randn(3, 5)
    assert torch.equal(generator.train()(z), generator.eval()(z))


def test_one_backward_pass_gives_the_gradients_that_two_give() -> None:
    torch.manual_seed(0)
    generator, z, x = ResidualGenerator(5, width=8).double(), torch.randn(2, 3, 5).double(), torch.rand(2, 1, 1, 32, 32)
    weights = list(generator.parameters())
    codes = z.clone().requires_grad_()
    both = torch.autograd.grad((x - generator(codes)).square().sum(), [*weights, codes])
    by_weights = torch.autograd.grad((x - generator(z)).square().sum(), weights)
    generator.requires_grad_(False)
    by_codes = torch.autograd.grad((x - generator(codes)).square().sum(), [codes])
    torch.testing.assert_close(both, (*by_weights, *by_codes))
    assert all((gradient != 0).any() for gradient in both)


@pytest.mark.parametrize("shape", [(), (4,), (5, 4), (10,)])
def test_codes_of_another_length_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^z has shape \(.*\); the last axis of codes here is 5 long\.$"):
        ResidualGenerator(5, width=8)(torch.zeros(shape))


@pytest.mark.parametrize("width", [0, 4, 12, -8])
def test_a_width_that_does_not_fall_into_groups_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"^width={width} does not fall into groups; choose a multiple of 8"):
        ResidualGenerator(5, width=width)


@pytest.mark.parametrize(("latent", "channels"), [(0, 1), (5, 0)])
def test_a_generator_of_nothing_is_refused(latent: int, channels: int) -> None:
    with pytest.raises(ValueError, match=f"^There are {latent} latents and {channels} channels; give at least one"):
        ResidualGenerator(latent, channels)
