"""Making a lab's public key from its judges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lvmlib.exercises import key
from lvmlib.grading.judges import Judge, of_lab


def write_keys(lab: str) -> Path:
    """Write the key of one lab (`03-vae`) beside its probes; returns the file.

    Raises:
        JudgeError: an exercise of the lab has no judge.
    """
    judges = of_lab(lab)
    path = judges[0].exercise.key
    with _one_thread():
        key.write(path, {found.exercise.name: make_key(found) for found in judges if not found.exercise.law})
    return path


@contextmanager
def _one_thread() -> Iterator[None]:
    """The last digit of a float32 sum depends on how many threads add it up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def make_key(found: Judge) -> key.Key:
    """The answers of the oracle and of every known mistake on the public seeds."""
    return key.Key(
        right={seed: found.expected(seed) for seed in key.PUBLIC_SEEDS},
        mistakes={seed: found.mistakes(seed) for seed in key.PUBLIC_SEEDS},
    )
