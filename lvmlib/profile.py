"""One switch for the sizes of a lab, its device and its random numbers."""

from __future__ import annotations

import os
import platform
from types import SimpleNamespace
from typing import Any

import torch

PROFILES = ("smoke", "cpu", "full")


class Profile:
    """The sizes a lab runs at and the device it runs on.

    `smoke` is for machines that only want to see every cell run (seconds a lab), `cpu` for a laptop (minutes) and
    `full` for a GPU (whole data sets, sizes as published).  The environment variable `LVM_PROFILE` chooses; without it
    nbgrader, which only wants to know whether the cells run, gets `smoke`, a CUDA GPU `full` and anything else `cpu`.
    """

    @property
    def name(self) -> str:
        """`smoke`, `cpu` or `full`.

        Raises:
            ValueError: `LVM_PROFILE` holds another word.
        """
        name = os.environ.get("LVM_PROFILE")
        if name and name not in PROFILES:
            raise ValueError(f"LVM_PROFILE is {name!r}; set it to one of {', '.join(PROFILES)}, or unset it.")
        if name or os.environ.get("NBGRADER_EXECUTION"):
            return name or "smoke"
        return "full" if torch.cuda.is_available() else "cpu"

    @property
    def device(self) -> torch.device:
        """Where models and data live: CUDA if there is one, then Apple's MPS, else the CPU.

        The environment variable `LVM_DEVICE` overrides, for example `LVM_DEVICE=cpu`.

        Raises:
            ValueError: `LVM_DEVICE` is not the name of a device.
        """
        wanted = os.environ.get("LVM_DEVICE")
        if wanted:
            try:
                return torch.device(wanted)
            except RuntimeError:
                raise ValueError(
                    f"LVM_DEVICE is {wanted!r}, which torch does not know; set it to cpu, cuda or mps, or unset it."
                ) from None
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    def __call__(self, **sizes: dict[str, Any]) -> SimpleNamespace:
        """Pick the sizes of the profile in force: `cfg = profile(smoke=dict(epochs=1), cpu=dict(epochs=8), full=…)`.

        Raises:
            ValueError: the three profiles are not all given, or do not name the same sizes.
        """
        if set(sizes) != set(PROFILES):
            raise ValueError(f"profile() was given {', '.join(sizes) or 'nothing'}; give it {', '.join(PROFILES)}.")
        names = {profile: frozenset(values) for profile, values in sizes.items()}
        if len(set(names.values())) > 1:
            uneven = frozenset.union(*names.values()) - frozenset.intersection(*names.values())
            raise ValueError(f"profile() was given {', '.join(sorted(uneven))} in some profiles only; name it in all.")
        return SimpleNamespace(**sizes[self.name])

    def __repr__(self) -> str:
        return f"profile {self.name} on {self.device}"


profile = Profile()


def seed_all(seed: int) -> torch.Generator:
    """Seed Python's, NumPy's and torch's random numbers on every device.

    Returns:
        A CPU generator with the same seed, for whatever takes a `generator=`.
    """
    import random

    import numpy

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def setup(seed: int = 0) -> None:
    """What every lab does first: seed the random numbers and say on what it runs."""
    from lvmlib import __version__

    seed_all(seed)
    device = profile.device
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(
        f"profile {profile.name} · device {device} ({place}) · "
        f"lvmlib {__version__} · torch {torch.__version__} · Python {platform.python_version()}"
    )
