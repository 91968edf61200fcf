"""Networks that the labs build upon and do not ask for: encoders and decoders, the two players of a GAN."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = [
    "ConvolutionalEncoder",
    "GaussianDecoder",
    "convolutional_decoder",
    "convolutional_features",
    "load_generator",
    "mlp_discriminator",
    "mlp_generator",
]

_WEIGHTS = Path(__file__).parent / "weights"

_REDUCTION = 8
"""Three stages, each of which halves the height and the width."""

_GROUPS = 8


class ConvolutionalEncoder(nn.Module):
    """Images to the Gaussian (mean, log_var) of their latents.

    The stages of `convolutional_features`, then one linear layer for both.

    Args:
        channels: Of the images, 1 for grey and 3 for colour.
        height: In pixels.
        width: In pixels.
        latent: Number of latents.
        features: Channels after the first stage, a multiple of 16; the second has twice as many and the
            third four times.

    Raises:
        ValueError: The images have no pixels, or `features` is not a multiple of 16.
    """

    def __init__(self, channels: int, height: int, width: int, latent: int, *, features: int = 32) -> None:
        super().__init__()
        rows, columns = _coarse(height, width, features)
        self.body = convolutional_features(channels, height, width, features=features)
        self.head = nn.Linear(4 * features * rows * columns, 2 * latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, each (batch, latent), of images (batch, channels, height, width)."""
        mean, log_var = self.head(self.body(x)).chunk(2, dim=1)
        return mean, log_var


def convolutional_features(channels: int, height: int, width: int, *, features: int = 32) -> nn.Sequential:
    """Images to flat features: three convolutions, each of which halves the image.

    An image whose height or width is not a multiple of 8 gets a black margin up to the next one. Group normalisation
    treats every image by itself, so that the code of one does not depend on the others in the batch (Wu & He, *Group
    Normalization*, 2018).

    Args:
        channels: Of the images, 1 for grey and 3 for colour.
        height: In pixels.
        width: In pixels.
        features: Channels after the first stage, a multiple of 16; the second has twice as many and the
            third four times.

    Returns:
        A network from (batch, channels, height, width) to (batch, 4·features·⌈height / 8⌉·⌈width / 8⌉).

    Raises:
        ValueError: The images have no pixels, or `features` is not a multiple of 16.
    """
    _coarse(height, width, features)
    margins = _margins(height, width)
    return nn.Sequential(
        *([nn.ZeroPad2d(margins)] if any(margins) else []),
        *_halving(channels, features),
        *_halving(features, 2 * features),
        *_halving(2 * features, 4 * features),
        nn.Flatten(),
    )


def convolutional_decoder(channels: int, height: int, width: int, latent: int, *, features: int = 32) -> nn.Sequential:
    """Latents to raw images: the mirror image of `ConvolutionalEncoder`.

    The kernels of its transposed convolutions are twice as long as their stride and overlap evenly, and an ordinary
    convolution comes last; both are against checkerboards (Odena, Dumoulin & Olah, *Deconvolution and Checkerboard
    Artifacts*, 2016). The margin that the encoder adds to reach a multiple of 8 is cut off at the end.

    Args:
        channels: Of the images, 1 for grey and 3 for colour.
        height: In pixels.
        width: In pixels.
        latent: Number of latents.
        features: As given to the encoder.

    Returns:
        A network from (batch, latent) to (batch, channels, height, width), not squashed: logits of a Bernoulli decoder
        or means of a Gaussian one.

    Raises:
        ValueError: The images have no pixels, or `features` is not a multiple of 16.
    """
    rows, columns = _coarse(height, width, features)
    left, right, above, below = margins = _margins(height, width)
    # Half the channels at full size, which is where most of the arithmetic would be.
    fine = features // 2
    return nn.Sequential(
        nn.Linear(latent, 4 * features * rows * columns),
        nn.Unflatten(1, (4 * features, rows, columns)),
        *_normalised(4 * features),
        *_doubling(4 * features, 2 * features),
        *_doubling(2 * features, features),
        *_doubling(features, fine),
        nn.Conv2d(fine, channels, kernel_size=3, padding=1),
        # a negative margin is cut off
        *([nn.ZeroPad2d((-left, -right, -above, -below))] if any(margins) else []),
    )


class GaussianDecoder(nn.Module):
    """A decoder N(mean(z), σ²) with one variance for all pixels, learned with the means.

    At its optimum the variance is the mean squared error, which balances distortion and rate without a weight set by
    hand (Rybkin, Daniilidis & Levine, *Simple and Effective VAE Training with Calibrated Decoders*, 2021).

    Args:
        mean: Network from latents to the means of the pixels.
        log_var: log σ² to start from; that of pixels in [0, 1] before anything is learned is about −2.
    """

    def __init__(self, mean: nn.Module, *, log_var: float = -2.0) -> None:
        super().__init__()
        self.mean = mean
        self.log_var = nn.Parameter(torch.tensor(log_var))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The means of the pixels, as the network gives them for `z`, and log σ², a 0-d tensor."""
        return self.mean(z), self.log_var

    def parameter_groups(self, lr: float) -> list[dict[str, Iterable[Tensor] | float]]:
        """Parameters for an optimizer, the variance at a learning rate ten times higher.

        The one number has as far to go as the images' scale asks for, and Adam moves every parameter by about `lr` a
        step, whatever its gradient.
        """
        return [{"params": self.mean.parameters(), "lr": lr}, {"params": [self.log_var], "lr": 10 * lr}]


def mlp_generator(latent: int, shape: tuple[int, ...] = (1, 28, 28)) -> nn.Sequential:
    """Codes to images: two hidden layers of 256 and 512 units with batch normalisation.

    In train mode the images of a batch depend on one another; call `.eval()` before you look at samples.

    Args:
        latent: Length of a code.
        shape: Of one image: channels, height, width.

    Returns:
        A network from standard normal codes (batch, latent) to images (batch, *shape) in [0, 1].
    """
    return nn.Sequential(
        *_normalised_linear(latent, 256),
        *_normalised_linear(256, 512),
        nn.Linear(512, math.prod(shape)),
        nn.Sigmoid(),
        nn.Unflatten(1, shape),
    )


def mlp_discriminator(shape: tuple[int, ...] = (1, 28, 28), *, spectral: bool) -> nn.Sequential:
    """Images to one number each: two hidden layers of 512 and 256 units, without batch normalisation.

    With `spectral`, every weight is divided by its largest singular value (Miyato et al., *Spectral Normalization for
    Generative Adversarial Networks*, 2018, equation 8) and the logits are multiplied by 4, so that they change by at
    most 4 where the image moves by a Euclidean distance of 1. At a slope of 1 the logits stay so near to 0 that the
    generator learns slowly.

    Args:
        shape: Of one image: channels, height, width.
        spectral: True for the discriminator of a GAN; False for a Wasserstein critic, which is bounded by clipping or
            by a penalty.

    Returns:
        A network from images (batch, *shape) to logits or scores (batch,).
    """
    bounded = spectral_norm if spectral else _as_it_is
    return nn.Sequential(
        nn.Flatten(),
        bounded(nn.Linear(math.prod(shape), 512)),
        nn.LeakyReLU(0.2),
        bounded(nn.Linear(512, 256)),
        nn.LeakyReLU(0.2),
        bounded(nn.Linear(256, 1)),
        *([_Times(4.0)] if spectral else []),
        nn.Flatten(0),
    )


def load_generator(name: str) -> nn.Sequential:
    """A generator of digits that was trained on all of MNIST, in evaluation mode on the profile's device.

    Its parameters take no gradient; its codes may. Their length is `generator[0].in_features`.

    Args:
        name: `"gan"` or `"wgan-gp"`, the models of labs 01 and 02 after a longer training.

    Raises:
        ValueError: There is no generator of that name.
    """
    from safetensors.torch import load_file

    from lvmlib.profile import profile

    stored = {path.stem.removeprefix("generator-"): path for path in sorted(_WEIGHTS.glob("generator-*.safetensors"))}
    if name not in stored:
        raise ValueError(f"There is no generator {name!r}; there is {', '.join(map(repr, stored))}.")
    weights = load_file(stored[name])
    generator = mlp_generator(weights["0.weight"].shape[1])
    generator.load_state_dict(weights)
    return generator.requires_grad_(False).eval().to(profile.device)


class _Times(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


def _as_it_is(module: nn.Module) -> nn.Module:
    return module


def _normalised_linear(inputs: int, outputs: int) -> list[nn.Module]:
    # the shift of the normalisation takes the place of the bias
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]


def _coarse(height: int, width: int, features: int) -> tuple[int, int]:
    """Height and width of an image after the last stage."""
    if min(height, width) < 1:
        raise ValueError(f"The images are {height}×{width} pixels; give a height and a width from 1 up.")
    # the decoder's last stage has half of them, and they must fall into the groups that are normalised together
    if features < 1 or features % (2 * _GROUPS):
        raise ValueError(f"features={features} does not fall into groups; choose a multiple of {2 * _GROUPS}.")
    return -(-height // _REDUCTION), -(-width // _REDUCTION)


def _margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Pixels to add left, right, above and below, so that three halvings come out even."""
    across, down = -width % _REDUCTION, -height % _REDUCTION
    return across // 2, across - across // 2, down // 2, down - down // 2


def _halving(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1), *_normalised(outputs)]


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1), *_normalised(outputs)]


def _normalised(features: int) -> list[nn.Module]:
    return [nn.GroupNorm(_GROUPS, features), nn.SiLU()]
