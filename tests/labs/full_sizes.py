"""A lab at the sizes of `full`: as large as there, and over in seconds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from on_device import Ran
from torch import Tensor

import lvmlib
from lvmlib import load
from lvmlib.data import ImageSet
from lvmlib.datasets.complete import SETS
from lvmlib.profile import Profile
from lvmlib.sprites import Lattice

SHORT = {
    "chain": 2, "critic_steps": 1, "deep_steps": 2, "epochs": 1, "estimates": 2, "every": 2, "face_epochs": 1,
    "head_start": 1, "n_critic": 3, "pairs": 10, "rounds": 2, "search": 2, "starts": 2, "steps": 6, "turns": 3,
    "watched": 2,
}  # fmt: skip
"""How long things last; it is not what memory depends on."""

GB = 1e9
LIMIT = 14 * GB
"""Of a T4, the GPU that Colab gives for nothing, which has 16 GB less what is kept back."""
BESIDES = 2 * GB
"""What tensors do not show: the CUDA context (about ½ GB), workspaces of cuDNN and cuBLAS, and gaps between blocks."""


def make_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large as in `full`, and over as soon as `SHORT` says; most images are black, and scikit-learn fits nothing."""
    whole = Profile.__call__
    monkeypatch.setenv("LVM_PROFILE", "full")

    def sizes(profile: Profile, **given: dict[str, Any]) -> SimpleNamespace:
        chosen = vars(whole(profile, **given))
        return SimpleNamespace(**{name: _shortened(name, value) for name, value in chosen.items()})

    monkeypatch.setattr(Profile, "__call__", sizes)
    monkeypatch.setattr(lvmlib, "load", black)
    monkeypatch.setattr(Lattice, "render", _black_sprites)
    monkeypatch.setattr("sklearn.mixture.GaussianMixture", Mixture)
    monkeypatch.setattr("sklearn.manifold.TSNE", Map)


def too_large(ran: dict[str, Ran]) -> dict[str, str]:
    """What cells need at their peaks, of those that need too much; a table of all is printed."""
    peaks = {name: one.peak + BESIDES for name, one in ran.items()}
    print("", *(f"{name:30} {peak / GB:6.2f} GB" for name, peak in peaks.items()), sep="\n")
    return {name: f"{peak / GB:.1f} GB" for name, peak in peaks.items() if peak >= LIMIT}


def black(name: str, *, size: int | None = None, count: Any = None, test_count: Any = None, **options: Any) -> Any:
    """`lvmlib.load` without a network: images of the right number and size, for which no memory is touched."""
    if name not in SETS:
        return load(name, size=size, count=count, test_count=test_count, **options)
    if count == "all":
        test_count = test_count or "all"
    counts: dict[Any, int] = dict(SETS[name].counts)
    small, _ = load("mnist", size=size, count=100, channels=3 if name == "svhn" else 1)
    return tuple(
        _padded(small, counts[split] if wanted == "all" else wanted or default)
        for split, wanted, default in (("train", count, 6000), ("test", test_count, 1000))
    )


class Mixture:
    """Instead of scikit-learn's."""

    def __init__(self, *sizes: Any, **options: Any) -> None:
        pass

    def fit(self, codes: Any) -> Mixture:
        self.latent = codes.shape[1]
        return self

    def sample(self, count: int) -> Any:
        return (torch.zeros(count, self.latent, dtype=torch.float64).numpy(),)


class Map:
    """Instead of scikit-learn's t-SNE."""

    def __init__(self, **options: Any) -> None:
        pass

    def fit_transform(self, codes: Any) -> Any:
        return codes[:, :2]


def _padded(small: ImageSet, count: int) -> ImageSet:
    """The images of a small set, and black ones up to a number; the system gives a black page when it is written to."""
    images, labels = torch.zeros(count, *small.images.shape[1:]), torch.arange(count) % len(small.classes)
    images[: len(small)], labels[: len(small)] = small.images[:count], small.labels[:count]
    return replace(small, images=images, labels=labels)


def _black_sprites(lattice: Lattice, factors: Tensor, size: int = 64, antialias: bool = True) -> Tensor:
    return torch.zeros(len(factors), 1, size, size)


def _shortened(name: str, value: Any) -> Any:
    return min(value, SHORT[name]) if name in SHORT and isinstance(value, int) else value
