"""From stored bytes to the images a lab trains on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

CHUNK = 256
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL and torchvision turn colour into grey


def to_images(raw: Tensor, size: tuple[int, int], channels: int, binarised: bool) -> Tensor:
    """Convert, recolour and resize in chunks, so that the peak of memory stays near the result itself.

    Args:
        raw: uint8, shape (N, 1 or 3, h, w).
        size: (height, width) wanted; the picture is stretched to it (bilinear, anti-aliased).
        channels: 1 or 3.
        binarised: threshold the finished pixels at ½.

    Returns:
        float32 in [0, 1], shape (N, channels, height, width).
    """
    images = torch.empty(len(raw), channels, *size)
    for source, target in zip(raw.split(CHUNK), images.split(CHUNK), strict=True):
        pixels = _recolour(source.float().div_(255), channels)
        if pixels.shape[-2:] != size:
            pixels = interpolate(pixels, size, mode="bilinear", antialias=True)
        target.copy_(pixels)
        target.clamp_(0, 1)
    return binarise_(images) if binarised else images


def binarise_(images: Tensor) -> Tensor:
    """Threshold at ½, in place."""
    return images.ge_(0.5)


def _recolour(pixels: Tensor, channels: int) -> Tensor:
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(-1, 3, -1, -1)
    return torch.einsum("nchw,c->nhw", pixels, pixels.new_tensor(LUMA)).unsqueeze(1)
