"""Whether JupyterLab can show and run the labs."""

from __future__ import annotations

import sys
from pathlib import Path

from lvmlib.student.doctor.finding import PIP, Finding, known, right, wrong
from lvmlib.student.doctor.imports import Imports
from lvmlib.student.doctor.packages import installed, needed
from lvmlib.student.doctor.python import is_colab

SHARE = Path(sys.prefix) / "share" / "jupyter"
WIDGETS_ANEW = f"Run: {PIP} install --force-reinstall ipywidgets jupyterlab_widgets, and load JupyterLab's page again."


def widgets(told: Imports) -> Finding:
    """Whether sliders work: ipywidgets, and its half in JupyterLab, which must match."""
    from packaging.utils import canonicalize_name

    if is_colab():
        return known("Sliders are Colab's own.")
    if not installed("ipywidgets") or told["ipywidgets"].get("error"):
        why = told["ipywidgets"].get("error", "it is not installed").rstrip(".")
        return wrong(f"Sliders do not work, for ipywidgets cannot be used ({why}).", WIDGETS_ANEW)
    for one in needed("ipywidgets"):
        there = installed(one.name)
        if canonicalize_name(one.name) == "jupyterlab-widgets" and not (there and one.specifier.contains(there)):
            return wrong(
                f"Sliders do not work: ipywidgets {installed('ipywidgets')} needs jupyterlab_widgets "
                f"{one.specifier}, and there is {there or 'none'}.",
                WIDGETS_ANEW,
            )
    if not (SHARE / "labextensions" / "@jupyter-widgets" / "jupyterlab-manager" / "package.json").is_file():
        return wrong("Sliders do not work, for JupyterLab lacks the extension of ipywidgets.", WIDGETS_ANEW)
    return right(f"Sliders work: ipywidgets {installed('ipywidgets')} and its half in JupyterLab match.")


def kernel(told: Imports) -> Finding:
    """Whether notebooks run in this very Python."""
    if told["ipykernel.kernelapp"].get("error"):
        return wrong("Notebooks cannot run, for ipykernel cannot be imported.", f"Run: {PIP} install ipykernel")
    from jupyter_client.kernelspec import KernelSpecManager

    program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    # A bare name stands for the Python that Jupyter itself runs in.
    if Path(program).name == program or _is_here(Path(program)):
        return right("The kernel of the notebooks, Python 3, is this Python.")
    return wrong(
        f"The kernel of the notebooks, Python 3, is {program}, and not this Python.",
        f"Run: {sys.executable} -m ipykernel install --sys-prefix",
    )


def validate(_: Imports) -> Finding:
    """Whether JupyterLab has nbgrader's Validate button."""
    version = installed("nbgrader")
    if not version:
        return known("There is no Validate button, as nbgrader is not installed; `lvm check` does more.")
    extension = SHARE / "labextensions" / "@jupyter" / "nbgrader" / "package.json"
    switched_on = Path(sys.prefix) / "etc" / "jupyter" / "jupyter_server_config.d" / "nbgrader.json"
    if extension.is_file() and switched_on.is_file():
        return right(f"JupyterLab has nbgrader {version} and its Validate button.")
    return wrong(
        f"nbgrader {version} is installed, but JupyterLab lacks its Validate button.",
        f"Run: {PIP} install --force-reinstall --no-deps nbgrader",
    )


def _is_here(program: Path) -> bool:
    """Whether a program lies in this environment; links are not followed, as all environments' lead to one Python."""
    return program.exists() and program.absolute().parent == Path(sys.executable).absolute().parent
