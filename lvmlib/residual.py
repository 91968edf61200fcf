"""Generators with residual blocks, from a code to an image of 32 by 32: as published, and small enough for a laptop."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["CompactGenerator", "ResidualGenerator"]

_PLANES, _SIDE = 4, 16
"""What the published projection makes of a code: four planes of 16 by 16."""

_TOGETHER = 8
"""Channels that are normalised together; one alone would lose how bright it is."""


class _Generator(nn.Module):
    """Codes to images, whatever the layers between."""

    body: nn.Sequential

    def __init__(self, latent: int, channels: int, width: int) -> None:
        super().__init__()
        if min(latent, channels) < 1:
            raise ValueError(f"There are {latent} latents and {channels} channels; give at least one of each.")
        if width < 1 or width % _TOGETHER:
            raise ValueError(f"width={width} does not fall into groups; choose a multiple of {_TOGETHER}.")
        self.latent = latent

    def forward(self, z: Tensor) -> Tensor:
        """Images (…, channels, 32, 32) in [0, 1] of codes (…, latent) with any leading axes: batch, particles.

        Raises:
            ValueError: The codes have another length.
        """
        if not z.ndim or z.shape[-1] != self.latent:
            raise ValueError(f"z has shape {tuple(z.shape)}; the last axis of codes here is {self.latent} long.")
        images = self.body(z.reshape(-1, self.latent))
        return (0.5 + 0.5 * images.tanh()).reshape(*z.shape[:-1], *images.shape[1:])


class ResidualGenerator(_Generator):
    """Codes to images of 32 by 32: the generator that particle EM was published with.

    A projection to four planes of 16×16, a convolution, two residual blocks, and a transposed convolution that doubles
    the size (Kuntz, Lim & Johansen, *Particle algorithms for maximum likelihood training of latent variable models*,
    2023). At the published width and 64 latents it has 355,457 parameters for grey images, as published. Two things are
    different here.

    Group normalisation, of each plane and then of eight channels at a time, takes the place of batch normalisation. An
    image then depends on its own code alone, in training as afterwards, so that the gradients by the weights and by the
    codes are of the same function.

    The images are (1 + tanh) / 2, in [0, 1] where the published ones are tanh, in [−1, 1]: the same network seen on
    another scale, so that published settings carry over, with a σ of half the size.

    Args:
        latent: Length of a code.
        channels: Of the images, 1 for grey and 3 for colour.
        width: Channels of the residual blocks, a multiple of 8; 64 as published. The arithmetic grows as its square.

    Raises:
        ValueError: A size is below 1, or `width` is not a multiple of 8.
    """

    def __init__(self, latent: int, channels: int = 1, *, width: int = 64) -> None:
        super().__init__(latent, channels, width)
        self.body = nn.Sequential(
            nn.Linear(latent, _PLANES * _SIDE**2),
            nn.GroupNorm(_PLANES, _PLANES * _SIDE**2),
            nn.GELU(),
            nn.Unflatten(1, (_PLANES, _SIDE, _SIDE)),
            nn.Conv2d(_PLANES, width, kernel_size=5, padding=2, bias=False),
            *_in_eights(width),
            _PublishedBlock(width),
            _PublishedBlock(width),
            nn.ConvTranspose2d(width, channels, kernel_size=4, stride=2, padding=1),
        )


class CompactGenerator(_Generator):
    """Codes to images of 32 by 32, for a fraction of the arithmetic of `ResidualGenerator`.

    The same parts, in another order of sizes: a projection to planes of 8×8, two residual blocks there, where a
    convolution costs a quarter, and two transposed convolutions. Here, too, an image depends on its own code alone.

    Args:
        latent: Length of a code.
        channels: Of the images, 1 for grey and 3 for colour.
        width: Channels of the planes of 16×16, a multiple of 8; those of 8×8 are twice as many.

    Raises:
        ValueError: A size is below 1, or `width` is not a multiple of 8.
    """

    def __init__(self, latent: int, channels: int = 1, *, width: int = 16) -> None:
        super().__init__(latent, channels, width)
        self.body = nn.Sequential(
            nn.Linear(latent, 2 * width * 8 * 8),
            nn.Unflatten(1, (2 * width, 8, 8)),
            _Block(2 * width),
            _Block(2 * width),
            *_in_eights(2 * width, nn.SiLU),
            nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1),
            *_in_eights(width, nn.SiLU),
            nn.ConvTranspose2d(width, channels, kernel_size=4, stride=2, padding=1),
        )


class _PublishedBlock(nn.Module):
    """Two convolutions, each with what follows it, past which the input is handed on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=5, padding=2),
            *_in_eights(width),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            *_in_eights(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _Block(nn.Module):
    """Two convolutions, each after what prepares it, past which the input is handed on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_in_eights(width, nn.SiLU),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            *_in_eights(width, nn.SiLU),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _in_eights(width: int, activation: type[nn.Module] = nn.GELU) -> list[nn.Module]:
    return [nn.GroupNorm(width // _TOGETHER, width), activation()]
