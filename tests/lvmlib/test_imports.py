"""`import lvmlib`: what it brings along, and what is said where a package is broken. Each in a Python of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lvmlib

ROOT = Path(__file__).parents[2]
COLAB = "import types; sys.modules['google.colab'] = types.ModuleType('google.colab')"

BROKEN = {
    "missing": "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')",
    "shared library": "raise OSError('libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent')",
    "shared library, loaded by ctypes": "import ctypes\nctypes.CDLL('libcudart-of-nobody.so.12')",
    "half replaced": "from numpy import no_such_name",
    "in several paragraphs": "raise ImportError('\\n\\nIMPORTANT: PLEASE READ THIS\\n\\n' + 'and this ' * 200)",
    "other exceptions": "raise RuntimeError('operator torchvision::nms does not exist')",
}


def run(code: str, *folders: Path) -> str:
    """What a new Python prints that finds these folders first."""
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"],
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout


def refusals(folder: Path, before: str = "") -> list[str]:
    """What `import lvmlib` and then each use of it say, one line each."""
    return run(
        f"""
{before}
import lvmlib, lvmlib.cli, lvmlib.student.doctor
def attempt(code):
    try:
        exec(code)
    except ImportError as error:
        assert error.__cause__, "the original error is not shown"
        print(error)
for name in {{*lvmlib.__all__}} - {{"show"}}:
    attempt(f"lvmlib.{{name}}")
    attempt(f"from lvmlib import {{name}}")
attempt("lvmlib.setup()")
""",
        folder,
    ).splitlines()


def breaks(folder: Path, package: str, code: str) -> Path:
    (folder / f"{package}.py").write_text(code)
    return folder


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_torch_is_named_whatever_is_used(tmp_path: Path, how: str) -> None:
    said = refusals(breaks(tmp_path, "torch", BROKEN[how]))
    assert len(said) == 2 * len({*lvmlib.__all__} - {"show"}) + 1
    (sentence,) = set(said)
    assert sentence.startswith("lvmlib cannot be used, because torch cannot be imported (")
    assert f"run `{sys.executable} -m lvmlib.cli doctor` in a terminal" in sentence
    assert len(sentence.replace(sys.executable, "")) < 400


def test_the_reason_is_part_of_the_sentence(tmp_path: Path) -> None:
    said = refusals(breaks(tmp_path, "torch", BROKEN["shared library"]))
    assert "(OSError: libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent)" in said[0]


def test_on_colab_a_restart_is_what_helps(tmp_path: Path) -> None:
    (sentence,) = set(refusals(breaks(tmp_path, "torch", BROKEN["half replaced"]), COLAB))
    assert "choose Runtime → Restart session and run this cell again" in sentence


def test_a_broken_numpy_is_named_and_not_who_imported_it(tmp_path: Path) -> None:
    breaks(tmp_path, "torch", "class Tensor: ...\nimport numpy")
    (sentence,) = set(refusals(breaks(tmp_path, "numpy", "raise ImportError('numpy.core.multiarray failed')")))
    assert sentence.startswith("lvmlib cannot be used, because numpy cannot be imported (ImportError: numpy.core")


def test_nothing_is_imported_before_it_is_used(tmp_path: Path) -> None:
    brought = run("""
before = {*sys.modules}
import lvmlib, lvmlib.cli, lvmlib.student.doctor
print(*{*sys.modules} - before)
""", tmp_path)  # fmt: skip
    packages = {name.partition(".")[0] for name in brought.split()}
    assert not packages & {"torch", "numpy", "scipy", "matplotlib", "torchvision", "PIL", "IPython", "nbformat"}


def test_torch_brings_all_that_the_names_need(tmp_path: Path) -> None:
    brought = run("""
import torch, numpy
before = {*sys.modules}
import lvmlib
for name in lvmlib.__all__:
    getattr(lvmlib, name)
print(*{*sys.modules} - before)
""", tmp_path)  # fmt: skip
    packages = {name.partition(".")[0] for name in brought.split()}
    assert packages - sys.stdlib_module_names <= {"lvmlib", "numpy"}


@pytest.mark.parametrize("first", ["import lvmlib.fit", "from lvmlib.fit import fit", "from lvmlib import fit", ""])
def test_a_function_is_not_taken_for_the_module_of_its_name(tmp_path: Path, first: str) -> None:
    said = run(f"{first}\nimport lvmlib\nfrom lvmlib import fit\nprint(fit.__module__, lvmlib.fit is fit)", tmp_path)
    assert said == "lvmlib.fit True\n"


def test_a_name_of_ours_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lvmlib, "experiment", len)
    assert lvmlib.experiment is len


def test_what_only_some_cells_need_does_not_hinder_the_others(tmp_path: Path) -> None:
    for package in ("matplotlib", "torchvision"):
        breaks(tmp_path, package, "raise OSError('undefined symbol')")
    profile, refused = run("""
import lvmlib
lvmlib.setup()
train, test = lvmlib.load("mnist", count=4)
try:
    from lvmlib.show import curves
except ImportError as error:
    print(error)
""", tmp_path).splitlines()  # fmt: skip
    assert profile.startswith("profile ")
    assert refused.startswith("lvmlib.show cannot be used, because matplotlib cannot be imported (OSError: undefined")


def test_a_mistake_of_our_own_is_shown_as_the_cause(tmp_path: Path) -> None:
    said = run("""
import lvmlib.compare
del lvmlib.compare.recognise
try:
    from lvmlib import check
except ImportError as error:
    print(repr(error.__cause__))
""", tmp_path)  # fmt: skip
    assert "cannot import name 'recognise' from 'lvmlib.compare'" in said
