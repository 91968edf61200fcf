"""Whether the packages are there, in the versions that lvmlib takes, and work."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

from lvmlib.student.doctor.finding import LVMLIB_ANEW, PIP, Finding, right, wrong
from lvmlib.student.doctor.imports import GROUPS, Imports
from lvmlib.student.doctor.python import is_colab

if TYPE_CHECKING:
    from packaging.requirements import Requirement

TORCH_ANEW = f"Install both anew: {PIP} install --force-reinstall torch torchvision."


def versions(_: Imports) -> Finding:
    """Whether everything is installed that lvmlib and the labs ask for, in a version in range."""
    wanted = [*needed("lvmlib"), *([] if is_colab() else needed("lvmlib", "lab"))]
    bad = [(one, there) for one in wanted if (there := _misfit(one)) is not None]
    if not bad:
        return right(f"{len(wanted)} packages are installed in versions that lvmlib takes.")
    told = "; ".join(f"{one.name} {there}" for one, there in bad)
    install = " ".join(f'"{one.name}{one.specifier}"' for one, _ in bad)
    return wrong(f"Of the packages that lvmlib needs: {told}.", f"Run: {PIP} install {install}")


def pair(_: Imports) -> Finding | None:
    """Whether torchvision is the one that was built for this torch, as its own metadata tell."""
    if not (installed("torch") and installed("torchvision")):
        return None  # said by the versions
    torch, torchvision = installed("torch"), installed("torchvision")
    for one in needed("torchvision"):
        if one.name == "torch" and _misfit(one) is not None:
            return wrong(
                f"torchvision {torchvision} is made for torch {one.specifier}, and torch {torch} is installed.",
                f"Bring them together: {PIP} install --upgrade torch torchvision.",
            )
    return right(f"torch {torch} and torchvision {torchvision} belong together.")


def imports(told: Imports) -> Finding:
    """Whether all packages can be imported."""
    names = [name for group in GROUPS for name in group]
    broken = {name: told[name]["error"] for name in names if told[name].get("error")}
    if not broken:
        return right("All of them can be imported, lvmlib too.")
    first, *others = (name for name in broken if name != "lvmlib" or len(broken) == 1)
    more = f" Nor can {', '.join(others)}." if others else ""
    return wrong(f"{first} cannot be imported: {broken[first].rstrip('.')}.{more}", _anew(first))


def torch_computes(told: Imports) -> Finding | None:
    """Whether torch gets a small sum right."""
    computed = told["compute"]
    if not computed:
        return None  # torch was not imported
    if computed.get("error"):
        return wrong(f"torch cannot compute: {computed['error'].rstrip('.')}.", TORCH_ANEW)
    if not computed["right"]:
        return wrong("torch gets a convolution wrong.", TORCH_ANEW)
    return right("torch computes a convolution and its gradient right.")


def needed(package: str, extra: str = "") -> list[Requirement]:
    """What a package asks for, or its extra; nothing if it is not installed."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in requires(package) or []]
    except PackageNotFoundError:
        return []
    if not extra:
        return [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    plain = [one for one in wanted if one.marker and not one.marker.evaluate({"extra": ""})]
    return [one for one in plain if one.marker and one.marker.evaluate({"extra": extra})]


def installed(package: str) -> str:
    """A package's version; empty if it is not installed."""
    try:
        return installed_version(package) or ""
    except PackageNotFoundError:
        return ""


def _misfit(wanted: Requirement) -> str | None:
    """How an installed package differs from what is wanted, or None if it does not."""
    there = installed(wanted.name)
    if not there:
        return "is missing"
    return None if wanted.specifier.contains(there, prereleases=True) else f"is {there}, not {wanted.specifier}"


def _anew(name: str) -> str:
    if name == "lvmlib":
        return LVMLIB_ANEW
    module = name.partition(".")[0]
    package = {"PIL": "pillow"}.get(module, module)
    is_torch = module in ("torch", "torchvision")
    remedy = TORCH_ANEW if is_torch else f"Install it anew: {PIP} install --force-reinstall {package}."
    if is_colab():
        return f"Choose Runtime → Restart session, and run the first cell again; then: {remedy}"
    return f"See that no file of yours is called {module}.py. {remedy}"
