"""On what the labs would run."""

from __future__ import annotations

import os
import shutil
from importlib import import_module

from lvmlib.student.doctor.finding import PIP, Finding, known, right, wrong
from lvmlib.student.doctor.imports import Imports

ENOUGH = 2e9
"""Bytes of memory that a lab may need in the cpu profile."""


def gpu(told: Imports) -> Finding | None:
    """Whether torch sees a GPU; why not, if the machine has one."""
    seen = told["look"]
    if not seen or seen.get("error"):
        return None if not seen else wrong(f"torch cannot look for a GPU: {seen['error']}.", "Set LVM_DEVICE=cpu.")
    if seen["cuda"]:
        return right(f"torch sees the GPU {seen['name']}; labs run at full size (LVM_PROFILE=cpu for less).")
    if seen["mps"]:
        return right("torch sees Apple's GPU (mps); labs run on it, in the cpu profile.")
    if not _has_nvidia():
        return known("There is no GPU; labs run on the processor, in at most four minutes each.")
    if not seen["built"]:
        return known(
            "There is an NVIDIA GPU, but this torch is the one without CUDA; labs run on the processor.",
            f"If you want the GPU: {PIP} install --force-reinstall torch torchvision, as pytorch.org says for CUDA.",
        )
    why = next((text for text in seen["warnings"] if "driver" in text.lower()), "it does not say why")
    return wrong(
        f"There is an NVIDIA GPU, but torch (for CUDA {seen['built']}) cannot use it: {why.rstrip('.')}.",
        "Update the NVIDIA driver and start the machine again; until then labs run on the processor.",
    )


def threads(told: Imports) -> Finding | None:
    """How many processors torch uses."""
    count = told["compute"].get("threads")
    if count is None:
        return None
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS")
    if count == 1 and there > 1 and limit:
        return known(f"torch uses 1 of {there} processors, as OMP_NUM_THREADS={limit} says.", "Unset it to be faster.")
    return right(f"torch uses {count} thread{'s' if count > 1 else ''} on {there} processor{'s' if there > 1 else ''}.")


def memory(_: Imports) -> Finding | None:
    """Whether enough memory is free for a lab."""
    free = _free_memory()
    if free is None:
        return None
    if free < ENOUGH:
        return wrong(
            f"Only {free / 1e9:.1f} GB of memory are free, and a lab may need {ENOUGH / 1e9:.0f}.",
            "Close other programs and notebooks (Kernel → Shut Down All Kernels).",
        )
    return right(f"{free / 1e9:.1f} GB of memory are free.")


def _has_nvidia() -> bool:
    return os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None


def _free_memory() -> float | None:
    """Bytes that can be had without swapping; None where nobody tells."""
    try:
        psutil = import_module("psutil")
    except ImportError:
        return None
    return float(psutil.virtual_memory().available)
