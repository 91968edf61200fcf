"""Which known images are most like given ones."""

from __future__ import annotations

import torch
from torch import Tensor

_BATCH = 256


def nearest(images: Tensor, among: Tensor) -> Tensor:
    """For each image the nearest of others in Euclidean distance over all pixels, exactly.

    Args:
        images: Shape (n, …).
        among: Where neighbours are looked for, for example the training images, shape (m, …), on any device.

    Returns:
        Indices into `among`, int64 of shape (n,) on its device, so that among[nearest(images, among)] are the
        neighbours; of several equally near ones, any.

    Raises:
        ValueError: The shapes of the images differ, or there is nothing to look among.
    """
    if images.shape[1:] != among.shape[1:] or not len(among):
        shapes = f"{tuple(images.shape)} and those to look among {tuple(among.shape)}"
        raise ValueError(f"The images have shape {shapes}; pass images of one size, and at least one to look among.")
    known = among.detach().flatten(1).float()
    parts = images.detach().flatten(1).to(known).split(_BATCH)
    # By way of inner products a distance between near images is the small difference of large numbers.
    far = [torch.cdist(part, known, compute_mode="donot_use_mm_for_euclid_dist").argmin(1) for part in parts]
    return torch.cat(far)
