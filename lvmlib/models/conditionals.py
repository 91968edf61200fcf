"""Encoders and decoders: networks whose output is a distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch import distributions as td

from lvmlib.models.families import Family, Head
from lvmlib.networks import convolutional_decoder, convolutional_features

__all__ = ["Conditional", "decoder", "encoder"]


class Conditional(nn.Module):
    """A conditional distribution: a network, and what is made of its numbers.

    Args:
        network: From inputs (batch, *input_shape) to numbers (batch, …).
        head: From numbers with any batch shape to a distribution with that batch shape.
        input_shape: Of one input.
    """

    def __init__(self, network: nn.Module, head: Head, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.input_shape = tuple(input_shape)

    def forward(self, inputs: Tensor) -> td.Distribution:
        """The distribution given each input.

        Args:
            inputs: Shape (*batch, *input_shape); there may be several batch axes, one or none. All inputs go through
                the network in one pass.

        Returns:
            A distribution with batch shape (*batch).

        Raises:
            ValueError: The inputs have another shape.
        """
        axes = inputs.dim() - len(self.input_shape)
        if axes < 0 or tuple(inputs.shape[axes:]) != self.input_shape:
            raise ValueError(
                f"The inputs have shape {tuple(inputs.shape)}, but this distribution is conditioned on "
                f"{self.input_shape}; let the shape of the inputs end in that."
            )
        batch = inputs.shape[:axes]
        numbers = self.network(inputs.reshape(math.prod(batch), *self.input_shape))
        return self.head(numbers.reshape(*batch, *numbers.shape[1:]))


def encoder(
    image_shape: tuple[int, int, int],
    latent: int,
    family: Family,
    *,
    hidden: Sequence[int] = (256,),
    convolutional: bool = False,
    features: int = 32,
    dropout: float = 0.0,
) -> Conditional:
    """A posterior q(z | x): images (…, C, H, W) to a distribution of codes with event shape (latent,).

    Args:
        image_shape: Channels, height and width, any of them from 1 up.
        latent: Entries of a code: real numbers, categories or bits.
        family: `Gaussian()`, `Mixture(components)`, `Categorical()` or `Bernoulli()`.
        hidden: Units of the hidden layers, the first one next to the image; () leaves a linear map.
        convolutional: Whether three convolutions that halve the image come before the hidden layers.
        features: Channels after the first convolution, a multiple of 16; the third has four times as many.
        dropout: Probability with which a hidden unit is left out in training.

    Raises:
        TypeError: `family` is none of the families.
        ValueError: The family is one of images only, or a number is out of its range.
    """
    _refuse_misuse(family, image_shape, latent, hidden, dropout)
    numbers = family.numbers(latent)
    if convolutional:
        body: nn.Module = convolutional_features(*image_shape, features=features)
        inputs = 4 * features * math.prod(math.ceil(side / 8) for side in image_shape[1:])
    else:
        body, inputs = nn.Flatten(), math.prod(image_shape)
    network = nn.Sequential(body, *_hidden_layers(inputs, hidden, dropout), nn.Linear([inputs, *hidden][-1], numbers))
    return Conditional(network, family.codes, image_shape)


def decoder(
    latent: int,
    image_shape: tuple[int, int, int],
    family: Family,
    *,
    hidden: Sequence[int] = (256,),
    convolutional: bool = False,
    features: int = 32,
    dropout: float = 0.0,
) -> Conditional:
    """An observation model p(x | z): codes (…, latent) to a distribution of images with event shape (C, H, W).

    Args:
        latent: Entries of a code: real numbers, categories or bits.
        image_shape: Channels, height and width, any of them from 1 up.
        family: `Bernoulli()`, `ContinuousBernoulli()` or `Gaussian()`.
        hidden: Units of the hidden layers, the first one next to the code; () leaves a linear map.
        convolutional: Whether three transposed convolutions that double the image come after the hidden layers.
        features: As given to the encoder.
        dropout: Probability with which a hidden unit is left out in training.

    Raises:
        TypeError: `family` is none of the families.
        ValueError: The family is one of codes only, or a number is out of its range.
    """
    _refuse_misuse(family, image_shape, latent, hidden, dropout)
    head = family.image_head()
    inputs = [latent, *hidden][-1]
    if convolutional:
        last: list[nn.Module] = [convolutional_decoder(*image_shape, inputs, features=features)]
    else:
        last = [nn.Linear(inputs, math.prod(image_shape)), nn.Unflatten(1, tuple(image_shape))]
    return Conditional(nn.Sequential(*_hidden_layers(latent, hidden, dropout), *last), head, (latent,))


def _hidden_layers(inputs: int, hidden: Sequence[int], dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(inputs, units), nn.SiLU(), *([nn.Dropout(dropout)] if dropout else [])]
        inputs = units
    return layers


def _refuse_misuse(
    family: Family, image_shape: Sequence[int], latent: int, hidden: Sequence[int], dropout: float
) -> None:
    if not isinstance(family, Family):
        hint = f"{family.__name__}()" if isinstance(family, type) else "Gaussian()"
        raise TypeError(f"The family is {family!r}; give an object such as {hint}.")
    if len(image_shape) != 3 or min(*image_shape, latent, *hidden) < 1:
        raise ValueError(
            f"image_shape={tuple(image_shape)}, latent={latent} and hidden={tuple(hidden)} make no network; give "
            "(channels, height, width) and counts from 1 up."
        )
    if not 0 <= dropout < 1 or (dropout and not hidden):
        raise ValueError(
            f"dropout={dropout} with hidden={tuple(hidden)}: it is a probability below 1 of leaving out a hidden unit; "
            "give another one, or hidden layers."
        )
