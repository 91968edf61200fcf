"""The project's own files agree with each other."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from resolution import would_install

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(path: Path) -> dict[str, str]:
    """Name → version of a pip constraints file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if not line.startswith("#"))


PINS = pins(ROOT / "constraints.txt")
COLAB = pins(ROOT / "tests" / "colab.txt")
ADDED = {"torchmetrics", "lightning-utilities"}
"""What Colab lacks and installing there adds."""
SMALL = {"packaging", "setuptools", "typing-extensions"}
"""What everything on Colab asks for, in any version of the last years."""


def requirements() -> list[Requirement]:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in PROJECT["dependencies"] + extras if not line.startswith("lvmlib")]


def test_installing_on_colab_replaces_nothing(tmp_path: Path) -> None:
    installed = would_install(PROJECT["dependencies"], COLAB, {}, tmp_path)
    assert installed.keys() & COLAB.keys() == set()
    assert installed.keys() - SMALL == ADDED


def test_what_would_replace_a_version_of_colab_is_noticed(tmp_path: Path) -> None:
    greedy = [*PROJECT["dependencies"], "numpy>=2.2"]
    installed = would_install(greedy, COLAB, {"numpy": "2.99"}, tmp_path)
    assert {name: installed[name] for name in installed.keys() & COLAB.keys()} == {"numpy": "2.99"}


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_pins_and_ranges_agree(requirement: Requirement) -> None:
    assert PINS[requirement.name.lower()] in requirement.specifier


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_what_is_installed_is_in_its_range(requirement: Requirement) -> None:
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


@pytest.mark.parametrize("name", ["constraints.txt", "tests/colab.txt"])
def test_constraints_hold_pins_alone(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)] == []


def test_ci_installs_the_versions_that_it_has_at_hand() -> None:
    assert (PINS["torch"], PINS["torchvision"]) == ("2.14.1", "0.29.1")


def test_the_version_is_said_once() -> None:
    from lvmlib import __version__

    assert PROJECT["version"] == __version__
    lvm = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lvm"]
    assert lvm["tag"] == f"v{__version__}"
