from __future__ import annotations

import pytest
import torch
from torch import nn

from lvmlib.networks import ConvolutionalEncoder, GaussianDecoder, convolutional_decoder, convolutional_features

SHAPES = [(1, 32, 32, 10), (3, 16, 40, 7), (2, 24, 8, 1), (1, 28, 28, 10), (3, 17, 5, 4), (1, 1, 1, 2), (2, 8, 9, 3)]


@pytest.mark.parametrize(("channels", "height", "width", "latent"), SHAPES)
@pytest.mark.parametrize("batch", [1, 3])
def test_codes_and_images_have_the_documented_shapes(
    channels: int, height: int, width: int, latent: int, batch: int
) -> None:
    encoder = ConvolutionalEncoder(channels, height, width, latent, features=16)
    decoder = convolutional_decoder(channels, height, width, latent, features=16)
    mean, log_var = encoder(torch.rand(batch, channels, height, width))
    assert mean.shape == log_var.shape == (batch, latent)
    assert decoder(mean).shape == (batch, channels, height, width)


def test_no_image_of_a_batch_depends_on_another() -> None:
    torch.manual_seed(0)
    encoder = ConvolutionalEncoder(3, 16, 24, 5, features=16)
    decoder = convolutional_decoder(3, 16, 24, 5, features=16)
    x, z = torch.rand(4, 3, 16, 24), torch.randn(4, 5)
    for index in range(4):
        torch.testing.assert_close(encoder(x)[0][index], encoder(x[index, None])[0][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(decoder(z)[index], decoder(z[index, None])[0], atol=1e-5, rtol=0)


def test_mean_and_log_variance_are_free_and_different() -> None:
    torch.manual_seed(0)
    mean, log_var = ConvolutionalEncoder(3, 16, 16, 64, features=16)(torch.rand(8, 3, 16, 16))
    assert (mean < 0).any() and (mean > 0).any()
    assert (log_var < 0).any() and (log_var > 0).any()
    assert not torch.equal(mean, log_var)


def test_every_pixel_of_the_decoder_can_be_moved_by_every_latent() -> None:
    torch.manual_seed(0)
    decoder = convolutional_decoder(2, 8, 16, 3, features=16)
    moved = torch.autograd.functional.jacobian(lambda z: decoder(z)[0], torch.randn(1, 3))
    assert (moved != 0).all()


def test_decoder_is_not_squashed_into_the_unit_interval() -> None:
    torch.manual_seed(0)
    means = convolutional_decoder(1, 16, 16, 4, features=16)(10 * torch.randn(16, 4))
    assert means.min() < 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (16, 11)])
def test_every_pixel_reaches_the_code_and_every_latent_every_pixel_at_any_size(height: int, width: int) -> None:
    torch.manual_seed(0)
    features = convolutional_features(2, height, width, features=16)
    moved = torch.autograd.functional.jacobian(lambda x: features(x)[0], torch.rand(1, 2, height, width))
    assert (moved != 0).any(0).all()
    decoder = convolutional_decoder(2, height, width, 3, features=16)
    moved = torch.autograd.functional.jacobian(lambda z: decoder(z)[0], torch.randn(1, 3))
    assert (moved != 0).all()


def test_a_margin_makes_up_for_what_lacks_to_a_multiple_of_8() -> None:
    """An image of any size is treated as the next larger one with black around it, and drawn as the middle of it."""
    torch.manual_seed(0)
    small, large = convolutional_features(1, 13, 22, features=16), convolutional_features(1, 16, 24, features=16)
    large.load_state_dict({f"{int(name[0]) - 1}{name[1:]}": value for name, value in small.state_dict().items()})
    x = torch.rand(2, 1, 13, 22)
    framed = torch.zeros(2, 1, 16, 24)
    framed[:, :, 1:14, 1:23] = x
    torch.testing.assert_close(small(x), large(framed))
    small, large = convolutional_decoder(1, 13, 22, 3, features=16), convolutional_decoder(1, 16, 24, 3, features=16)
    large.load_state_dict(small.state_dict())
    z = torch.randn(2, 3)
    torch.testing.assert_close(small(z), large(z)[:, :, 1:14, 1:23])


@pytest.mark.parametrize(("height", "width"), [(0, 32), (32, 0), (-8, 8)])
def test_an_image_without_pixels_is_refused(height: int, width: int) -> None:
    sentence = f"The images are {height}×{width} pixels; give a height and a width from 1 up"
    with pytest.raises(ValueError, match=sentence):
        ConvolutionalEncoder(1, height, width, 4)
    with pytest.raises(ValueError, match=sentence):
        convolutional_decoder(1, height, width, 4)


@pytest.mark.parametrize("features", [0, 8, 20])
def test_features_that_do_not_fall_into_groups_are_refused(features: int) -> None:
    sentence = f"features={features} does not fall into groups; choose a multiple of 16"
    with pytest.raises(ValueError, match=sentence):
        ConvolutionalEncoder(1, 16, 16, 4, features=features)
    with pytest.raises(ValueError, match=sentence):
        convolutional_decoder(1, 16, 16, 4, features=features)


def test_gaussian_decoder_gives_the_networks_means_and_one_log_variance() -> None:
    means = nn.Linear(3, 5)
    z = torch.randn(4, 3)
    mean, log_var = GaussianDecoder(means, log_var=-1.5)(z)
    torch.testing.assert_close(mean, means(z))
    assert log_var.shape == () and log_var.item() == -1.5


def test_gaussian_decoder_learns_its_variance_to_be_the_mean_squared_error() -> None:
    torch.manual_seed(0)
    x = 0.3 * torch.randn(50, 20)
    decoder = GaussianDecoder(nn.Linear(1, 20).requires_grad_(False))
    z = torch.zeros(50, 1)
    optimizer = torch.optim.Adam(decoder.parameter_groups(lr=5e-3))
    for _ in range(400):
        mean, log_var = decoder(z)
        optimizer.zero_grad()
        (0.5 * ((x - mean).square() / log_var.exp() + log_var)).sum(1).mean().backward()
        optimizer.step()
    error = (x - decoder(z)[0]).square().mean()
    torch.testing.assert_close(decoder.log_var.exp(), error, rtol=1e-2, atol=0)


def test_parameter_groups_hold_every_parameter_once() -> None:
    decoder = GaussianDecoder(convolutional_decoder(1, 8, 8, 2, features=16))
    groups = decoder.parameter_groups(lr=1e-3)
    optimizer = torch.optim.Adam(groups)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in decoder.parameters()}
    assert len(held) == len(list(decoder.parameters()))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, 1e-2])
