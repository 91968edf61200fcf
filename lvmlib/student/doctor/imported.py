"""Runs in a process of its own, where a broken package may do what it likes, and tells of it in lines of JSON.

Only the standard library is used: the process gets this text and nothing else.
"""

import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any


def tell(**facts: Any) -> None:
    """One line, marked, as packages print too."""
    print("\nfacts " + json.dumps(facts), flush=True)


def words(error: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def attempt(name: str, work: Callable[[], dict[str, Any]]) -> bool:
    """Tell what a piece of work gives, or how it failed; its beginning is told first, as it may end the process."""
    tell(about=name, begun=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            facts = work()
        tell(about=name, warnings=[str(one.message)[:300] for one in caught], **facts)
        return True
    except BaseException as error:
        tell(about=name, error=words(error))
        return False


def bring(name: str) -> dict[str, Any]:
    """Import a package."""
    module = importlib.import_module(name)
    if name == "lvmlib":  # which imports what it needs when it is used
        for part in module.__all__:
            getattr(module, part)
    return {"file": getattr(module, "__file__", None), "version": str(getattr(module, "__version__", ""))}


def compute() -> dict[str, Any]:
    """A convolution and its gradient, both known."""
    import torch

    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    y = torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3)).sum()
    slope = torch.autograd.grad(y, x)[0].sum()
    return {"right": y.item() == slope.item() == 36, "threads": torch.get_num_threads()}


def look() -> dict[str, Any]:
    """What torch sees of a GPU."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "cuda": cuda,
        "built": torch.version.cuda or getattr(torch.version, "hip", None),
        "name": torch.cuda.get_device_name(0) if cuda else "",
        "mps": torch.backends.mps.is_available(),
    }


def use() -> dict[str, Any]:
    """A computation on the device that is asked for."""
    import torch

    return {"sum": torch.ones(2, device=os.environ["LVM_DEVICE"]).sum().item()}


for package in sys.argv[1:]:
    if attempt(package, partial(bring, package)) and package == "torch":
        attempt("compute", compute)
        attempt("look", look)
        if os.environ.get("LVM_DEVICE"):
            attempt("use", use)
tell(about="end")
