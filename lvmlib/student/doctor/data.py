"""Whether the image sets are whole."""

from __future__ import annotations

from pathlib import Path

from lvmlib.student.doctor.finding import LVMLIB_ANEW, Finding, known, right, wrong
from lvmlib.student.doctor.imports import Imports

DATASETS = Path(__file__).parents[2] / "datasets"


def embedded(_: Imports) -> Finding:
    """Whether the image sets inside lvmlib are what they were when it was packed."""
    from lvmlib.datasets.integrity import file_damage

    try:
        sums = [line.split() for line in (DATASETS / "SHA256SUMS").read_text("ascii").splitlines()]
    except OSError:
        return wrong("The list of the image sets inside lvmlib is missing.", LVMLIB_ANEW)
    damage = [f"{name} {what}" for checksum, name in sums if (what := file_damage(DATASETS / name, checksum, "sha256"))]
    if damage:
        return wrong(f"Of the image sets inside lvmlib, {'; '.join(damage)}.", LVMLIB_ANEW)
    return right(f"{len(sums)} image sets inside lvmlib are whole: {', '.join(Path(name).stem for _, name in sums)}.")


def complete(_: Imports) -> Finding | None:
    """Whether a download was left half-way."""
    from lvmlib.datasets.complete import SETS, default_root

    root = default_root()
    left = [path.name for name in SETS for path in root.glob(f".{name}-*")]
    half = [name for name, known in SETS.items() if _is_half([root / path for path in known.files])]
    if left or half:
        what = ", ".join((*half, *left))
        return known(
            f"A download was cut off in {root}: {what}; it is never used, and is fetched anew when a lab asks for it.",
            "To free the space, delete it." if left else "",
        )
    whole = [name for name, known in SETS.items() if all((root / path).is_file() for path in known.files)]
    return right(f"Complete data sets are there: {', '.join(whole)}.") if whole else None


def network(_: Imports) -> Finding:
    """What needs a network."""
    return known("No network is needed, but for complete data sets in the full profile.")


def _is_half(paths: list[Path]) -> bool:
    there = [path.is_file() and path.stat().st_size > 0 for path in paths]
    return any(path.exists() for path in paths) and not all(there)
