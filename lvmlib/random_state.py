"""Every global stream of random numbers, taken and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state(generator: torch.Generator | None = None) -> dict[str, Any]:
    """Python's, NumPy's and torch's global random state on every device in use, and that of `generator`.

    Returns:
        Tensors and plain values only, so that `torch.load(weights_only=True)` reads it back.
    """
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        # torch has no full uint32 support, and weights_only knows no NumPy arrays
        "numpy": (name, torch.tensor(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        # asking an unused GPU for its state would open a context on it
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
        "generator": None if generator is None else generator.get_state(),
    }


def set_random_state(state: Mapping[str, Any], generator: torch.Generator | None = None) -> None:
    """Put back what `random_state` took, with the same generator if any; devices this machine lacks are left out."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    for index, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda_state, index)
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    if generator is not None:
        generator.set_state(state["generator"])


@contextmanager
def preserved_random_state(generator: torch.Generator | None = None) -> Iterator[None]:
    """Whatever the body draws, the streams go on afterwards as if it had drawn nothing."""
    before = random_state(generator)
    try:
        yield
    finally:
        set_random_state(before, generator)
