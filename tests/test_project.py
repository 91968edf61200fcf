"""The project's own files agree with each other."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = {
    line.split("==")[0].lower(): line.split("==")[1]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if "==" in line
}
COLAB = {
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "numpy": "2.1.3",
    "matplotlib": "3.10.0",
    "pillow": "11.3.0",
    "tqdm": "4.67.3",
    "safetensors": "0.8.0",
    "scipy": "1.16.3",
}
ADDED = {"torchmetrics", "lightning-utilities"}
"""What Colab lacks and installing there adds."""
SMALL = {"packaging", "typing-extensions", "typing_extensions"}
"""What everything on Colab asks for, in any version of the last years."""


def requirements() -> list[Requirement]:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in PROJECT["dependencies"] + extras if not line.startswith("lvmlib")]


def test_installing_on_colab_moves_nothing() -> None:
    core = {found.name: found.specifier for found in map(Requirement, PROJECT["dependencies"])}
    assert core.keys() - ADDED == COLAB.keys()
    for name in ADDED:
        asked = map(Requirement, requires(name) or ())
        core |= {f"{found.name} for {name}": found.specifier for found in asked if not found.marker}
    assert [name for name, specifier in core.items() if not _holds_on_colab(name.split()[0], specifier)] == []


def _holds_on_colab(name: str, specifier: SpecifierSet) -> bool:
    return name in ADDED or name in SMALL or COLAB[name] in specifier


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_pins_and_ranges_agree(requirement: Requirement) -> None:
    assert PINS[requirement.name.lower()] in requirement.specifier
    assert version(requirement.name) in requirement.specifier


def test_the_extra_all_is_every_other_extra() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == extras.keys() - {"all"}


def test_conda_installs_what_pip_does() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, from_pip = environment["dependencies"]
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert (pip, from_pip) == ("pip", {"pip": ["-e .[all]"]})


def test_constraints_hold_pins_alone() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)] == []
    assert (PINS["torch"], PINS["torchvision"]) == ("2.14.1", "0.29.1")


def test_the_version_is_said_once() -> None:
    from lvmlib import __version__

    assert PROJECT["version"] == __version__
    lvm = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lvm"]
    assert lvm["tag"] == f"v{__version__}"
