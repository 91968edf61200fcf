"""Is a data file what it should be, and if not, what is wrong with it?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal


class DataError(RuntimeError):
    """An image set cannot be had: no network, a damaged file, a missing package. The message is one sentence."""


def file_damage(path: Path, checksum: str, algorithm: Literal["md5", "sha256"]) -> str | None:
    """Say in a few words what is wrong with a file, or None if its checksum is right."""
    if not path.is_file():
        return "is missing"
    if path.stat().st_size == 0:
        return "is empty"
    if is_web_page(path):
        return "is a web page saved under the name of a data file"
    with path.open("rb") as file:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != checksum:
        return f"has the wrong checksum ({path.stat().st_size:,} bytes; perhaps half a download)"
    return None


def is_web_page(path: Path) -> bool:
    """Whether a file holds HTML, which is what a log-in page or a moved host sends instead of data."""
    with path.open("rb") as file:
        return file.read(64).lstrip().lower().startswith((b"<!doctype html", b"<html"))
