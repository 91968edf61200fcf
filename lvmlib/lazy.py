"""Packages whose names are imported when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from lvmlib.unusable import unusable


def lazily(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__` (PEP 562).

        __getattr__, __dir__ = lazily(__name__, {"grid": "pictures"})

    Args:
        package: its `__name__`.
        modules: the module of the package that holds each public name.

    The first use of a name raises ImportError with a sentence where something that its module needs cannot be imported.
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(f"{package}.{modules[name]}")
        except Exception as error:
            raise unusable(package, error) from error
        return getattr(module, name)

    return find, lambda: sorted(modules)
