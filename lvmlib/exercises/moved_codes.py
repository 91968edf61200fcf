"""Decoders of our own that show which codes they were given, for questions about latent traversals."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from lvmlib.probe import Ask, Draw


class KnownDecoder(nn.Module):
    """Codes (n, latent) to (n, *shape): linear, or bent, so that only the right codes give the right outputs.

    Raises:
        ValueError: the codes are not a batch, or have another number of latents.
        TypeError: the codes are integers.
    """

    def __init__(self, draw: Draw, latent: int, shape: Sequence[int], *, curved: bool = False):
        super().__init__()
        self.latent, self.shape, self.curved = latent, tuple(shape), curved
        self.weight = _constant(draw.uniform(latent, prod(shape), low=-2, high=2, dtype=torch.float64))
        self.bias = _constant(draw.uniform(prod(shape), dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        if z.dim() != 2 or z.shape[1] != self.latent:
            raise ValueError(f"the decoder takes codes of shape (n, {self.latent}), and was given {tuple(z.shape)}")
        if not z.is_floating_point():
            raise TypeError(f"the decoder takes codes of floats, and was given {z.dtype}")
        output = z @ self.weight.to(z) + self.bias.to(z)
        output = output + output.square() / 4 if self.curved else output
        return output.reshape(len(z), *self.shape)


def _constant(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def moved(
    ask: Ask,
    dims: int | list[int],
    latent: int,
    steps: int,
    shape: Sequence[int],
    *,
    curved: bool = False,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """What a traversal is made from: a decoder, a base, the dimensions and the values.

    The values come in no order, and some lie beyond ±3.
    """
    draw = ask.draw
    return {
        "decoder": KnownDecoder(draw, latent, shape, curved=curved),
        "z": draw.uniform(latent, low=-2, high=2, dtype=dtype),
        **({"dim": dims} if isinstance(dims, int) else {"dims": dims}),
        "values": draw.uniform(steps, low=-5, high=5, dtype=dtype),
    }
