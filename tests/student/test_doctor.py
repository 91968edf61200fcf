"""The doctor names what is broken and how to mend it, whatever that is, and never breaks itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from lvmlib.student import doctor
from lvmlib.student.doctor import data, device, disk, jupyter, packages, python, settings
from lvmlib.student.doctor.finding import LVMLIB_ANEW, PIP, Finding
from lvmlib.student.doctor.imports import GROUPS, Imports

FINE = {name: {"version": "1"} for group in GROUPS for name in group}
CPU = {"cuda": False, "built": None, "name": "", "mps": False, "warnings": []}


def told(**facts: dict) -> Imports:
    """Imports of which these are the facts; all packages are fine but for them."""
    imports = Imports([])
    imports.__dict__["_told"] = FINE | facts
    return imports


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lvmlib.cli", *arguments],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.mark.slow
def test_this_installation_is_all_right(tmp_path: Path) -> None:
    ended = run(tmp_path, "doctor", LVM_PROFILE="smoke", LVM_DEVICE="cpu")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "✗" not in ended.stdout
    for sentence in (
        "✓ All of them can be imported, lvmlib too.",
        "✓ torch computes",
        "✓ Sliders work",
        "✓ The kernel",
    ):
        assert sentence in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        {"torch": ("raise OSError('libtorch is cut short')", "✗ torch cannot be imported: OSError: libtorch is cut")},
        {"torch": ("import os\nos.abort()", "✗ torch cannot be imported: ended Python (code -6).")},
        {"numpy": ("raise ImportError('an old one')", "✗ numpy cannot be imported: ImportError: an old one.")},
        {
            "torchvision": ("1 / 0", " Nor can torchvision."),
            "ipywidgets": ("import nothing_at_all", "✗ Sliders do not work, for ipywidgets cannot be used (ModuleNotF"),
        },
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, broken: dict[str, tuple[str, str]]) -> None:
    for package, (text, _) in broken.items():
        (tmp_path / f"{package}.py").write_text(text, encoding="utf-8")
    ended = run(tmp_path, "doctor", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert all(sentence in ended.stdout for _, sentence in broken.values())
    assert "could not be examined" not in ended.stdout and "pip install --force-reinstall" in ended.stdout
    assert ended.stdout.endswith(" to mend.\n")


def test_a_package_that_ends_python_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "fatal.py").write_text("import os\nprint('facts')\nos.abort()", encoding="utf-8")
    (tmp_path / "good.py").write_text("print('noise', end='')\n__version__ = '1.2'", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor.imports, "GROUPS", (("good", "fatal", "never"),))
    with doctor.imports.importing() as imports:
        assert imports["good"]["version"] == "1.2"
        assert imports["fatal"]["error"].startswith("ended Python (code ")
        assert imports["never"] == {}


def test_an_examination_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory_left(_: Imports) -> Finding:
        raise RuntimeError("no")

    monkeypatch.setattr(doctor, "EXAMINATIONS", (memory_left,))
    monkeypatch.setattr(doctor.imports, "GROUPS", ())
    (finding,) = doctor.examine()
    assert finding.state == "✗"
    assert str(finding).startswith("✗ What could not be examined: test_doctor, memory left (RuntimeError: no). Install")


def test_a_python_that_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert python.version(told()).state == "✓"
    monkeypatch.setattr(python.platform, "python_version", lambda: "3.10.4")
    finding = python.version(told())
    assert finding.state == "✗" and finding.sentence.startswith("This is Python 3.10.4, and lvmlib needs ")


def test_another_environment_than_the_courses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "course").mkdir()
    monkeypatch.chdir(tmp_path / "course")
    assert python.environment(told()).state == "–"
    (tmp_path / "nbgrader_config.py").touch()
    (tmp_path / ".venv").mkdir()
    assert f"not the one of `make lab`, {tmp_path / '.venv'}." in str(python.environment(told()))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert python.environment(told()).state == "✓"


def test_versions_out_of_range_missing_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packages.pair(told()).state == "✓"
    wanted = [*packages.needed("lvmlib"), *packages.needed("lvmlib", "lab")]
    versions = {one.name: part.version for one in wanted for part in one.specifier if part.operator == ">="}

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(packages, "installed_version", version)
    assert packages.versions(told()).state == "✓"
    versions |= {"torch": "2.5.1+cu121", "torchvision": "0.29.1"}
    del versions["scipy"]
    told_ = str(packages.versions(told()))
    assert (
        told_.startswith("✗ Of the packages that lvmlib needs: torch is 2.5.1+cu121, not ")
        and "scipy is missing" in told_
    )
    assert f'Run: {PIP} install "torch<3,>=2.6" "scipy<2,>=1.13"' in told_
    assert str(packages.pair(told())).startswith("✗ torchvision 0.29.1 is made for torch ")


def test_a_torch_that_computes_nonsense() -> None:
    assert packages.torch_computes(told()) is None
    assert packages.torch_computes(told(compute={"right": True})).state == "✓"
    for facts in ({"right": False}, {"error": "RuntimeError: no"}):
        assert packages.torch_computes(told(compute=facts)).state == "✗"


def test_the_first_broken_package_is_named_and_not_what_lacks_it() -> None:
    broken = {"error": "ImportError: no."}
    finding = packages.imports(told(torch=broken, torchvision=broken, lvmlib=broken, scipy=broken))
    assert finding.sentence == "scipy cannot be imported: ImportError: no. Nor can torch, torchvision."
    assert "no file of yours is called scipy.py" in finding.remedy
    alone = packages.imports(told(lvmlib=broken))
    assert (alone.sentence, alone.remedy) == ("lvmlib cannot be imported: ImportError: no.", LVMLIB_ANEW)


@pytest.mark.parametrize(
    ("facts", "nvidia", "state", "word"),
    [
        (CPU, False, "–", "no GPU"),
        (CPU | {"cuda": True, "name": "Tesla T4"}, True, "✓", "Tesla T4"),
        (CPU | {"mps": True}, False, "✓", "Apple"),
        (CPU, True, "–", "without CUDA"),
        (
            CPU | {"built": "12.8", "warnings": ["The driver is too old."]},
            True,
            "✗",
            "CUDA 12.8) cannot use it: The driver",
        ),
        ({"error": "RuntimeError: x"}, True, "✗", "cannot look for a GPU"),
    ],
)
def test_gpus(monkeypatch: pytest.MonkeyPatch, facts: dict, nvidia: bool, state: str, word: str) -> None:
    monkeypatch.setattr(device, "_has_nvidia", lambda: nvidia)
    finding = device.gpu(told(look=facts))
    assert finding.state == state and word in finding.sentence


def test_one_thread_and_little_memory_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "1 of 3 processors, as OMP_NUM_THREADS=1 says" in str(device.threads(told(compute={"threads": 1})))
    assert device.threads(told(compute={"threads": 3})).state == "✓"
    for free, state in ((1e9, "✗"), (8e9, "✓")):
        monkeypatch.setattr(device, "_free_memory", lambda free=free: free)
        assert device.memory(told()).state == state


def test_variables_that_are_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, state in (("smoke", "–"), ("smok", "✗")):
        monkeypatch.setenv("LVM_PROFILE", name)
        assert settings.profile(told()).state == state
    monkeypatch.setenv("LVM_DEVICE", "gpu")
    assert "LVM_DEVICE is 'gpu', and torch cannot use it (RuntimeError: x)" in str(
        settings.device(told(use={"error": "RuntimeError: x."}))
    )
    assert settings.device(told(use={"sum": 2.0})).state == "–"
    monkeypatch.delenv("LVM_PROFILE")
    monkeypatch.delenv("LVM_DEVICE")
    assert settings.profile(told()) is settings.device(told()) is None


def test_letters_that_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, state in (("ascii", "✗"), ("utf-8", "✓")):
        monkeypatch.setattr(settings.sys, "stdout", SimpleNamespace(encoding=encoding))
        monkeypatch.setattr(settings.locale, "getpreferredencoding", lambda _: "UTF-8")
        assert settings.letters(told()).state == state


def test_a_folder_that_is_full_read_only_or_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert disk.work(told()).state == "✓"

    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(disk.tempfile, "TemporaryFile", refuse)
        assert "Nothing can be written in" in str(disk.work(told()))
        assert str(disk.temporary(told())).startswith("✗ No temporary file can be written (Read-only file system).")
    assert disk.temporary(told()) is None
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=1e8))
    assert "Only 100 MB are free" in str(disk.work(told()))
    monkeypatch.setenv("LVM_DATA", str(tmp_path / "not" / "there"))
    assert "Set LVM_DATA to a folder with more room" in str(disk.data(told()))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert str(disk.work(told())) == "✗ The working folder is gone. Go to another one: cd ~."
    assert python.environment(told()).state == "–"


def test_damaged_and_half_downloaded_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data.embedded(told()).state == "✓"
    monkeypatch.setattr(data, "DATASETS", tmp_path)
    assert "is missing" in str(data.embedded(told()))
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'x').hexdigest()}  a.npz\n", encoding="ascii")
    (tmp_path / "a.npz").write_bytes(b"y")
    assert "✗ Of the image sets inside lvmlib, a.npz has the wrong checksum" in str(data.embedded(told()))
    monkeypatch.setenv("LVM_DATA", str(tmp_path))
    assert data.complete(told()) is None
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"x")
    (tmp_path / ".svhn-abc").mkdir()
    assert "was cut off in" in str(data.complete(told())) and "mnist, .svhn-abc" in str(data.complete(told()))


def test_widgets_that_do_not_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jupyter.widgets(told()).state == "✓"
    monkeypatch.setattr(jupyter, "SHARE", tmp_path)
    assert "JupyterLab lacks the extension" in str(jupyter.widgets(told()))
    assert "its Validate button" in str(jupyter.validate(told()))
    versions = {"ipywidgets": "8.1.9", "jupyterlab-widgets": "1.0.0"}
    monkeypatch.setattr(jupyter, "installed", lambda name: versions.get(name, ""))
    monkeypatch.setattr(jupyter, "needed", lambda name: [Requirement("jupyterlab-widgets~=3.0.15")])
    assert "there is 1.0.0" in str(jupyter.widgets(told()))
    assert jupyter.validate(told()).state == "–"


def test_a_kernel_of_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    for program, state in ((sys.executable, "✓"), ("python", "✓"), ("/opt/other/bin/python", "✗")):
        (kernel / "kernel.json").write_text(f'{{"argv": ["{program}"], "display_name": "x", "language": "python"}}')
        assert jupyter.kernel(told()).state == state
    assert jupyter.kernel(told(**{"ipykernel.kernelapp": {"error": "x"}})).state == "✗"


def test_on_colab_its_own_packages_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for module in (packages, jupyter, python):
        monkeypatch.setattr(module, "is_colab", lambda: True)
    monkeypatch.setattr(packages, "needed", lambda name, extra="": [] if not extra else pytest.fail("asked for [lab]"))
    assert packages.versions(told()).state == python.environment(told()).state == "✓"
    assert jupyter.widgets(told()).state == "–"
    assert "Restart session" in packages.imports(told(torch={"error": "x"})).remedy


def test_nothing_is_needed_but_the_standard_library_to_import_packages() -> None:
    script = Path(doctor.imports.__file__).with_name("imported.py")
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script.read_text(encoding="utf-8"), "json"], capture_output=True, text=True
    )
    assert '"about": "end"' in ended.stdout
