"""What the environment's variables and the terminal ask for."""

from __future__ import annotations

import locale
import os
import sys

from lvmlib.student.doctor.finding import Finding, known, right, wrong
from lvmlib.student.doctor.imports import Imports

PROFILES = ("smoke", "cpu", "full")


def profile(_: Imports) -> Finding | None:
    """Whether LVM_PROFILE is a profile."""
    name = os.environ.get("LVM_PROFILE")
    if not name:
        return None
    if name in PROFILES:
        return known(f"LVM_PROFILE={name} sets the size of everything.")
    return wrong(f"LVM_PROFILE is {name!r}, which is no profile.", f"Set it to {' or '.join(PROFILES)}, or unset it.")


def device(told: Imports) -> Finding | None:
    """Whether LVM_DEVICE is a device that is there."""
    name = os.environ.get("LVM_DEVICE")
    if not name or not told["use"]:
        return None
    if told["use"].get("error"):
        why = told["use"]["error"].rstrip(".")
        return wrong(f"LVM_DEVICE is {name!r}, and torch cannot use it ({why}).", "Set it to cpu, or unset it.")
    return known(f"LVM_DEVICE={name} sets the device.")


def letters(_: Imports) -> Finding:
    """Whether the signs of the checks can be shown and stored."""
    encoding = (sys.stdout.encoding or "none").lower()
    stored = locale.getpreferredencoding(False).lower()
    if "utf" in encoding and "utf" in stored:
        return right("Letters are UTF-8.")
    return wrong(
        f"Letters are {encoding if 'utf' not in encoding else stored}, which lack the signs of checks and Greek.",
        "Set PYTHONUTF8=1 in the environment (on Linux and macOS also: export LC_ALL=C.UTF-8).",
    )
