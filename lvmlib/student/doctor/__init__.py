"""What is wrong with an installation, in plain sentences; every examination is one small function.

Packages are imported in processes of their own (`imports`), as a broken one may take its process down: nothing here
needs torch, and `lvm doctor` works without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lvmlib.student.doctor import data, device, disk, jupyter, packages, python, settings
from lvmlib.student.doctor.finding import LVMLIB_ANEW, Finding, wrong
from lvmlib.student.doctor.imports import Imports, importing

Examination = Callable[[Imports], Finding | None]

EXAMINATIONS: tuple[Examination, ...] = (
    python.version,
    python.environment,
    disk.temporary,
    packages.versions,
    packages.pair,
    packages.imports,
    packages.torch_computes,
    settings.profile,
    settings.device,
    device.gpu,
    device.threads,
    device.memory,
    disk.work,
    disk.data,
    data.embedded,
    data.complete,
    data.network,
    jupyter.widgets,
    jupyter.kernel,
    jupyter.validate,
    settings.letters,
)


def examine() -> Iterator[Finding]:
    """Examine everything; an examination that fails itself is a finding."""
    with importing() as imports:
        for examination in EXAMINATIONS:
            finding = _examined(examination, imports)
            if finding:
                yield finding


def _examined(examination: Examination, imports: Imports) -> Finding | None:
    try:
        return examination(imports)
    except Exception as error:  # a broken installation raises whatever it likes, and the others are still to be told
        what = f"{examination.__module__.rpartition('.')[2]}, {examination.__name__.replace('_', ' ')}"
        return wrong(
            f"What could not be examined: {what} ({type(error).__name__}: {error}).",
            LVMLIB_ANEW,
        )
