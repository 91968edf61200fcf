"""Whether a notebook put functions of its own in the place of torch's, Python's or ours.

It changes no score: verdicts are formed elsewhere.  A notebook that knows of this can hide from it; most do not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

WATCHED = ("builtins", "math", "json", "os", "torch", "torch.nn.functional", "torch.autograd", "torch.testing")
WATCHED_CLASSES = (("torch", "Tensor"), ("torch", "Generator"))
FOLLOWS_A_SETTING = {("torch", "Storage")}
"""What torch itself exchanges when a default is set."""
MOST = 20

_before: dict[tuple[str, str], Any] = {}


def take_note() -> None:
    """Remember every function and class that is watched, as it is now."""
    _before.update(_functions())


def replaced() -> list[str]:
    """The names of those that are others now than when `take_note` was called."""
    now = dict(_functions())
    changed = (f"{place}.{name}" for (place, name), value in _before.items() if _differ(value, now.get((place, name))))
    return [name for name, _ in zip(changed, range(MOST), strict=False)]


def _differ(before: Any, now: Any) -> bool:
    """Whether two are not the same; what was reloaded from the same text is.

    It asks nothing of what a stranger's class could answer.
    """
    if before is now:
        return False
    if type(before) is not type(now):
        return True
    if isinstance(before, type):
        return (before.__module__, before.__qualname__) != (now.__module__, now.__qualname__)
    return not isinstance(before, FunctionType) or before.__code__ != now.__code__


def _functions() -> Iterator[tuple[tuple[str, str], Any]]:
    places = {name: module for name, module in sys.modules.items() if name in WATCHED or _is_ours(name)}
    places |= {f"{module}.{name}": vars(sys.modules[module])[name] for module, name in WATCHED_CLASSES}
    for place, holder in places.items():
        for name, value in _members(holder).items():
            if callable(value) and (place, name) not in FOLLOWS_A_SETTING:
                yield (place, name), value


def _members(holder: Any) -> dict[str, Any]:
    """What a module or class has; of a class also what it inherits, which one of its own would hide."""
    families = reversed(holder.__mro__) if isinstance(holder, type) else [holder]
    return {name: value for family in families for name, value in list(vars(family).items())}


def _is_ours(name: str) -> bool:
    return name == "lvmlib" or name.startswith("lvmlib.")
