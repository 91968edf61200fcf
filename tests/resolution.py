"""What pip would install on a machine that has some packages already; asked without a network and without a download.

Packages are stubs here: names, versions and requirements, and nothing that could be imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "project-under-test"


def would_install(
    requirements: Iterable[str], machine: Mapping[str, str], index: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Install a project with these requirements, in pip's mind.

    Args:
        requirements: the project's dependencies.
        machine: name → version of what is installed, which pip replaces only where it must.
        index: name → version of what may be had besides what runs these tests, with what that asks for.
        folder: an empty one to work in.

    Returns:
        Name → version of everything that pip would add or replace, the project left out.
    """
    wheels = folder / "wheels"
    wheels.mkdir()
    _write_wheel(wheels, PROJECT, "1", requirements)
    for name, version in index.items():
        _write_wheel(wheels, name, version)
    for found in _needed({Requirement(line).name for line in requirements} - machine.keys()):
        _write_wheel(wheels, found.name, found.version, found.requires or ())
    python = _lay_out(folder / "machine", machine)
    return {name: version for name, version in _ask(python, wheels) if name != PROJECT}


def _needed(names: Iterable[str]) -> Iterator[metadata.Distribution]:
    """The distributions of these names and of all that they need, as they are installed where the tests run."""
    waiting, seen = list(names), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        yield found
        asked = map(Requirement, found.requires or ())
        waiting += [other.name for other in asked if other.marker is None or other.marker.evaluate({"extra": ""})]


def _lay_out(folder: Path, machine: Mapping[str, str]) -> Path:
    """A Python on whose path these packages seem to be installed.

    They ask for nothing: whatever they need lies on the real machine too.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name, version in machine.items():
        information = site / f"{name.replace('-', '_')}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(_metadata(name, version), encoding="utf-8")
    return folder / "bin" / "python"


def _write_wheel(folder: Path, name: str, version: str, requirements: Iterable[str] = ()) -> None:
    stem = f"{canonicalize_name(name).replace('-', '_')}-{version}"
    with ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", _metadata(name, version, requirements))
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def _metadata(name: str, version: str, requirements: Iterable[str] = ()) -> str:
    asked = "".join(f"Requires-Dist: {line}\n" for line in requirements)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{asked}"


def _ask(python: Path, wheels: Path) -> Iterator[tuple[str, str]]:
    report = wheels.with_name("report.json")
    command = [sys.executable, "-m", "pip", "--python", python, "--quiet", "install", "--dry-run", "--report", report]
    settings = os.environ | {"PIP_CONFIG_FILE": os.devnull}
    subprocess.run([*command, "--isolated", "--no-index", "--find-links", wheels, PROJECT], env=settings, check=True)
    for installed in json.loads(report.read_text(encoding="utf-8"))["install"]:
        told = installed["metadata"]
        yield canonicalize_name(told["name"]), told["version"]
