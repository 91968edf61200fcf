"""Making a lab's public key from its judges."""

from __future__ import annotations

from pathlib import Path

from lvmlib.exercises import key
from lvmlib.grading.judges import Judge, of_lab


def write_keys(lab: str) -> Path:
    """Write the key of one lab (`03-vae`) beside its probes; returns the file."""
    judges = of_lab(lab)
    path = judges[0].exercise.key
    key.write(path, {found.exercise.name: make_key(found) for found in judges if not found.exercise.law})
    return path


def make_key(found: Judge) -> key.Key:
    """The answers of the oracle and of every known mistake on the public seeds."""
    return key.Key(
        right={seed: found.expected(seed) for seed in key.PUBLIC_SEEDS},
        mistakes={seed: found.mistakes(seed) for seed in key.PUBLIC_SEEDS},
    )
