"""Clouds of particles: the latent codes that particle EM keeps for every image, from one visit to the next."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lvmlib.profile import profile

__all__ = ["ParticleCloud"]

Rows = Tensor | Sequence[int]


class ParticleCloud:
    """Some particles for each image, drawn from the prior N(0, I), in one tensor (images, particles, latent).

        cloud = ParticleCloud(len(train), 10, 64, generator=g)
        for x, rows in batches((train, torch.arange(len(train))), 128):
            z = cloud.take(rows)
            …
            cloud.put(rows, z)

    It lives on the device that computes if it takes at most `share` of the memory that is free there, and otherwise on
    the CPU, from where each batch is fetched. It knows no algorithm; `fit(state={"particles": cloud})` saves and
    resumes it exactly.

    Args:
        images: How many.
        particles: Of each image.
        latent: Length of a particle.
        generator: Draws the start, on the CPU, so that a seed gives the same cloud on every device.
        device: Where particles are wanted; None for `profile.device`.
        share: Of that device's free memory, in (0, 1].
        quiet: Do not print the one line that says how large the cloud is and where it lives.

    Attributes:
        shape: (images, particles, latent).
        device: Where `take` gives particles and `put` wants them.
        home: The device that holds the cloud.

    Raises:
        ValueError: A size is below 1, `share` is outside (0, 1], or the generator is not one of the CPU.
    """

    def __init__(
        self,
        images: int,
        particles: int,
        latent: int,
        *,
        generator: torch.Generator,
        device: torch.device | str | None = None,
        share: float = 0.25,
        quiet: bool = False,
    ) -> None:
        self.shape = (images, particles, latent)
        if min(self.shape) < 1:
            raise ValueError(f"A cloud of {_sizes(self.shape)} holds nothing; give images, particles and latent ≥ 1.")
        if not (0 < share <= 1):
            raise ValueError(f"share is {share}; give the part of the free memory that may be taken, in (0, 1].")
        if generator.device.type != "cpu":
            raise ValueError(
                f"The generator is one of {generator.device}; particles are drawn on the CPU, so give a "
                "torch.Generator()."
            )
        # "cuda" becomes "cuda:0", as tensors call it
        self.device = torch.empty(0, device=profile.device if device is None else device).device
        self.home = _home(self.device, math.prod(self.shape) * torch.float32.itemsize, share)
        self._z = torch.randn(self.shape, dtype=torch.float32, generator=generator, device="cpu").to(self.home)
        if not quiet:
            print(self)

    def take(self, rows: Rows) -> Tensor:
        """The particles of some images, a copy (batch, particles, latent) on `device`, without gradient history.

        Args:
            rows: The images' numbers, integers (batch,).

        Raises:
            IndexError: There is no such image. Where rows and cloud are both on an accelerator, torch says so in words
                of its own, because looking at them here would make every step wait.
            TypeError: The rows are not integers in one axis.
        """
        return self._z.index_select(0, self._rows(rows)).to(self.device)

    def put(self, rows: Rows, z: Tensor) -> None:
        """Replace the particles of some images, in place; the cost is that of the batch, however many images there are.

        Args:
            rows: The images' numbers, integers (batch,), none twice.
            z: float32 (batch, particles, latent) on `device`; only its values are kept.

        Raises:
            IndexError, TypeError: As for `take`.
            ValueError: `z` has another shape, dtype or device, or an image is named twice; the cloud is unchanged.
        """
        index = self._rows(rows)
        wanted = (len(index), *self.shape[1:])
        if tuple(z.shape) != wanted:
            raise ValueError(
                f"z is {_sizes(z.shape) or 'one number'} where these rows need {_sizes(wanted)}; put back as much as "
                "take gave."
            )
        if z.dtype != torch.float32 or z.device != self.device:
            raise ValueError(
                f"z is {z.dtype} on {z.device} and the cloud works in torch.float32 on {self.device}; compute it there."
            )
        if index.device.type == "cpu" and len(index.unique()) < len(index):
            raise ValueError("rows names an image twice, and only one of its updates could be kept; name each once.")
        self._z.index_copy_(0, index, z.detach().to(self.home))

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order, `size` at a time, for steps that move every particle: pairs (rows, `take(rows)`).

        Raises:
            ValueError: `size` is below 1.
        """
        if size < 1:
            raise ValueError(f"size is {size}; give the number of images in a chunk, at least 1.")
        for rows in torch.arange(len(self), device=self.device).split(size):
            yield rows, self.take(rows)

    def pooled(self, rows: Rows | None = None) -> Tensor:
        """The particles of all images, or of some, as one sample: a copy (images · particles, latent) on the CPU.

        It is a sample of the aggregate posterior, to which a Gaussian or a mixture can be fitted.

        Raises:
            IndexError, TypeError: As for `take`.
        """
        z = self._z.clone() if rows is None else self._z.index_select(0, self._rows(rows))
        return z.flatten(0, 1).cpu()

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: the cloud itself, not a copy."""
        return {"particles": self._z}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the particles of `state_dict`, in place, from whatever device.

        Raises:
            ValueError: They are not there, or of another shape or dtype; the cloud is unchanged.
        """
        saved = state.get("particles")
        if not isinstance(saved, Tensor):
            raise ValueError(f"a cloud's state holds its 'particles', and this one {', '.join(state) or 'nothing'}")
        if tuple(saved.shape) != self.shape or saved.dtype != torch.float32:
            raise ValueError(
                f"{_sizes(saved.shape)} particles of {saved.dtype} do not go into a cloud of "
                f"{_sizes(self.shape)} of torch.float32"
            )
        self._z.copy_(saved)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        place = f"on {self.home}" + (f", {self.device} gets it by the batch" if self.home != self.device else "")
        return f"particles: {_sizes(self.shape)}, {_megabytes(self._z.nbytes)}, {place}"

    def _rows(self, rows: Rows) -> Tensor:
        """The rows where the cloud lives; looked at where that makes nobody wait."""
        index = rows if isinstance(rows, Tensor) else torch.tensor(rows, dtype=None if len(rows) else torch.int64)
        if index.ndim != 1 or index.dtype == torch.bool or index.is_floating_point() or index.is_complex():
            raise TypeError(
                f"rows is {index.dtype} of shape {tuple(index.shape)}; give the numbers of images as integers (batch,)."
            )
        index = index.to(torch.int64)
        if "cpu" in (index.device.type, self.home.type):
            index = index.cpu()
            outside = index[(index < 0) | (index >= len(self))]
            if len(outside):
                raise IndexError(
                    f"There is no image {int(outside[0]):,}; the cloud holds those of images 0 to {len(self) - 1:,}."
                )
        return index.to(self.home)


def _home(device: torch.device, size: int, share: float) -> torch.device:
    fits = device.type == "cpu" or size <= share * _free_bytes(device)
    return device if fits else torch.device("cpu")


def _free_bytes(device: torch.device) -> int:
    """Memory that a device still has to give; 0 where torch cannot tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    # tensors there have a shape and no numbers
    return sys.maxsize if device.type == "meta" else 0


def _sizes(shape: Sequence[int]) -> str:
    return " × ".join(f"{extent:,}" for extent in shape)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 50_000 else f"{size / 1e3:,.1f} kB"
