"""The fixed order a set's images are taken in, so that the first n are always the same and always balanced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 20131220


def shuffled(count: int) -> NDArray[np.int64]:
    """A permutation of 0 … count − 1 that never changes.

    `RandomState` because its stream is frozen (NEP 19); those of `torch.Generator` and `numpy.random.Generator` may
    change with a release, and the embedded files must be remade the same in years.
    """
    return np.random.RandomState(SEED).permutation(count).astype(np.int64)


def rank_within_class(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many earlier entries carry the same label, shape (N,)."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return rank


def balanced_order(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Shuffle so that every beginning holds all classes equally often, up to one image, while they last.

    Args:
        labels: shape (N,).

    Returns:
        Indices into `labels`, shape (N,).
    """
    order = shuffled(len(labels))
    return order[np.argsort(rank_within_class(labels[order]), kind="stable")]


def proportional_order(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Shuffle so that every beginning holds each class in the proportion it has in the whole, up to one image.

    Args:
        labels: shape (N,), values 0 … classes − 1.

    Returns:
        Indices into `labels`, shape (N,).
    """
    order = shuffled(len(labels))
    drawn = labels[order]
    share = (rank_within_class(drawn) + 0.5) / np.bincount(labels)[drawn]
    return order[np.argsort(share, kind="stable")]
