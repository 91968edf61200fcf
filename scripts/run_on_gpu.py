"""Run the solved labs on this machine, best one with a GPU, and pack what came of it.

    python scripts/run_on_gpu.py [LAB ...] [--profile full] [--minutes 50] [--out results]
    colab run --gpu T4 --timeout 19800 scripts/run_on_gpu.py --repository ADDRESS --revision TAG --install

The results are results.json, summary.md and, of each lab, the executed notebook and its pictures. They are written anew
after every lab, and packed into a file beside their folder, here results.tar.gz, whose path is the last line printed. A
lab that fails does not stop the others; the exit code is 1 then.

`colab run` sends this file alone, as the text of a cell for a fresh machine. So --repository fetches the course and
goes on in a Python of its own; the file cannot ask for __file__, and imports lvmlib late; and no option may have the
name of one of `colab run` (--gpu, --tpu, --high-mem, --keep, --timeout, --env, --session), which would take it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = "scripts/run_on_gpu.py"
RESULTS = "results.json"
NEEDED = ("ipykernel", "ipywidgets", "nbclient", "nbformat", "scikit-learn", "tensorboard")
"""What running a lab takes besides lvmlib; pyproject.toml knows the versions, but here any that is there will do."""
# A kernel that is stuck in a long computation ends on time too: the watch is not a Python thread.
KERNEL = """
import faulthandler
from ipykernel.kernelapp import launch_new_instance
if {seconds}: faulthandler.dump_traceback_later({seconds}, exit=True)
launch_new_instance()
"""
MEMORY = """
import json, sys
torch = sys.modules.get("torch")
cuda = torch.cuda if torch and torch.cuda.is_available() else None
print(json.dumps({"gpu": cuda.get_device_name(), "peak_memory": cuda.max_memory_allocated()} if cuda else {}))
"""


class RunError(Exception):
    """The labs could not be run at all; the message is one sentence for a person."""


@dataclass
class Outcome:
    """What became of one lab.

    Attributes:
        seconds: from starting its kernel to the end.
        error: why it did not run to the end with every check passed, in a sentence, or None.
        gpu: the device's name; None without CUDA.
        peak_memory: bytes that tensors took on the GPU at most; None without CUDA.
        checks: the lines that its checks printed.
        pictures: names of the files.
    """

    lab: str
    seconds: float = 0.0
    error: str | None = None
    gpu: str | None = None
    peak_memory: int | None = None
    checks: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


def main() -> None:
    arguments = make_parser().parse_args()
    try:
        succeeded = run_apart(arguments) if arguments.repository or arguments.install else run_here(arguments)
    except RunError as error:
        # Not as the argument of sys.exit, which `colab run` would swallow.
        print(error, file=sys.stderr, flush=True)
        succeeded = False
    sys.exit(0 if succeeded else 1)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="*", metavar="LAB", help="for example 03-vae; all of them without")
    parser.add_argument("--profile", choices=("smoke", "cpu", "full"), help="what fits this machine without")
    parser.add_argument("--minutes", type=float, default=0, help="end a lab that takes longer")
    parser.add_argument("--out", type=Path, default=Path("results"), help="the folder for the results")
    parser.add_argument("--repository", help="fetch the course from this address; the course around here without")
    parser.add_argument("--revision", default="HEAD", help="the tag, branch or commit to fetch")
    parser.add_argument("--install", action="store_true", help="install what is missing, and change no other package")
    return parser


# ---- on a machine that has no course yet


def run_apart(arguments: argparse.Namespace) -> bool:
    """Fetch, install, and go on in a new Python, which sees what was installed and, unlike a kernel, runs notebooks."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path.cwd()
        if arguments.repository:
            checkout = Path(folder)
            fetch(arguments.repository, arguments.revision, checkout)
        if arguments.install:
            install(checkout)
        return follow(command_for(arguments), checkout)


def fetch(repository: str, revision: str, folder: Path) -> None:
    """Check out one revision, without its history.

    Raises:
        RunError: git does not get it.
    """
    git = ["git", "-C", str(folder)]
    for command in (["init", "--quiet"], ["fetch", "--quiet", "--depth=1", repository, revision]):
        run(git + command, f"git could not fetch {revision}; see above, and whether --repository and --revision exist.")
    run([*git, "checkout", "--quiet", "FETCH_HEAD"], f"git could not check out {revision}; see above.")


def install(checkout: Path) -> None:
    """Install lvmlib and what the labs need, where it is missing; every package that is there stays as it is.

    Raises:
        RunError: that cannot be done.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    listed = subprocess.run(
        [*pip, "list", "--format=freeze", "--exclude=lvmlib"], stdout=subprocess.PIPE, text=True, check=True
    )
    with tempfile.TemporaryDirectory() as folder:
        installed = Path(folder) / "installed.txt"
        installed.write_text(listed.stdout, "utf-8")
        run(
            [*pip, "install", "--quiet", "--constraint", str(installed), str(checkout.resolve()), *NEEDED],
            "pip could not install lvmlib without changing a package that is installed here; see above.",
        )


def command_for(arguments: argparse.Namespace) -> list[str]:
    profile = ["--profile", arguments.profile] if arguments.profile else []
    limits = ["--minutes", str(arguments.minutes), "--out", str(arguments.out.resolve())]
    return [sys.executable, "-u", SCRIPT, *arguments.labs, *profile, *limits]


def follow(command: list[str], checkout: Path) -> bool:
    """Run a command in a checkout and print what it prints as it does; a kernel does not show its children's output."""
    path = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        command,
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
    return process.returncode == 0


def run(command: list[str], complaint: str) -> None:
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if finished.returncode:
        print(finished.stdout, file=sys.stderr)
        raise RunError(complaint)


# ---- in the course


def run_here(arguments: argparse.Namespace) -> bool:
    """Run labs of the course around the working directory; say whether all of them succeeded.

    Raises:
        RunError: there is no course, or no such lab, or lvmlib cannot be imported.
    """
    try:
        from lvmlib.authoring.course import CourseError, find_course

        profile = arguments.profile or fitting_profile()
    except ImportError as error:
        raise RunError(f"lvmlib cannot be imported ({error}); install it, or say --install.") from None
    try:
        course = find_course()
        labs = course.labs(arguments.labs)
    except CourseError as error:
        raise RunError(str(error)) from None
    return run_labs(course, labs, profile, arguments.out.resolve(), arguments.minutes)


def fitting_profile() -> str:
    from lvmlib.profile import profile

    return profile.name


def run_labs(course: Any, labs: list[str], profile: str, out: Path, minutes: float) -> bool:
    """Run labs one after the other, and write all results after each.

    Raises:
        RunError: the folder holds something else than results, which would be overwritten.
    """
    if out.exists() and any(out.iterdir()) and not (out / RESULTS).is_file():
        raise RunError(f"{out} holds what is no result of an earlier run; choose another folder by --out.")
    outcomes: list[Outcome] = []
    with own_kernel(minutes):
        for lab in labs:
            outcomes.append(run_lab(course.solution(lab), profile, out / lab, minutes))
            write_results(outcomes, len(labs), profile, out)
            print(row(outcomes[-1]), flush=True)
    print(f"{out}.tar.gz", flush=True)
    return not any(outcome.error for outcome in outcomes)


@contextmanager
def own_kernel(minutes: float) -> Iterator[None]:
    """Run notebooks in this Python's plain kernel, which ends after so many minutes where there are any.

    On Colab, Jupyter would choose a kernel that expects a browser, and in which the labs' first cell installs lvmlib.
    """
    from lvmlib.authoring.execute import environment

    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "kernels" / "python3" / "kernel.json"
        description.parent.mkdir(parents=True)
        program = [sys.executable, "-c", KERNEL.format(seconds=60 * minutes), "-f", "{connection_file}"]
        description.write_text(json.dumps({"argv": program, "display_name": "Python 3", "language": "python"}))
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("JUPYTER_PATH")])])
        with environment(JUPYTER_PATH=path, MPLBACKEND="module://matplotlib_inline.backend_inline"):
            yield


def run_lab(solution: Path, profile: str, folder: Path, minutes: float) -> Outcome:
    """Run one solved lab, and keep its notebook and pictures in the folder."""
    outcome = Outcome(solution.stem)
    shutil.rmtree(folder, ignore_errors=True)
    start = time.monotonic()
    try:
        executed = execute_and_measure(solution, profile, outcome, minutes)
        outcome.seconds = round(time.monotonic() - start, 1)
        keep(executed, folder, outcome)
    except Exception as error:  # whatever befell this lab, the next one runs
        outcome.seconds = round(time.monotonic() - start, 1)
        outcome.error = sentence(outcome, error, minutes)
    return outcome


def execute_and_measure(solution: Path, profile: str, outcome: Outcome, minutes: float) -> Any:
    import nbformat

    from lvmlib.authoring.course import CourseError
    from lvmlib.authoring.execute import CELL_TIMEOUT, execute

    if not solution.is_file():
        raise CourseError(f"{outcome.lab} has no notebook to run; make it with `make build LABS={outcome.lab}`.")
    notebook = nbformat.read(solution, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MEMORY))
    limit = round(60 * minutes) + 1 if minutes else CELL_TIMEOUT  # a cell may take all of a lab's time
    executed = execute(notebook, profile, outcome.lab, limit)
    for name, value in json.loads(executed.cells.pop().outputs[0].text).items():
        setattr(outcome, name, value)
    return executed


def keep(executed: Any, folder: Path, outcome: Outcome) -> None:
    """Write the notebook and the pictures, and note what the checks said."""
    import nbformat

    from lvmlib.authoring.course import write_atomically
    from lvmlib.authoring.pictures import pictures_of, write_pictures

    write_atomically(folder / f"{outcome.lab}.ipynb", nbformat.writes(executed, version=4))
    tests = [cell for cell in executed.cells if cell.cell_type == "code" and is_test(cell)]
    outcome.checks = [line for cell in tests for line in passed(cell)]
    silent = [cell.metadata.nbgrader.grade_id for cell in tests if not passed(cell)]
    if silent:
        outcome.error = f"{outcome.lab}: {', '.join(silent)} printed no ✓."
    files = pictures_of(executed)
    write_pictures(folder / "pictures", files)
    outcome.pictures = sorted(name for name in files if name != "alt.json")


def is_test(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def passed(cell: Any) -> list[str]:
    printed = "".join(output.get("text", "") for output in cell.outputs)
    return [line for line in printed.splitlines() if line.startswith("✓")]


def sentence(outcome: Outcome, error: Exception, minutes: float) -> str:
    from lvmlib.authoring.course import CourseError

    if minutes and outcome.seconds >= 60 * minutes:
        return f"{outcome.lab} took over {minutes:g} minutes and was stopped."
    said = str(error) if isinstance(error, CourseError) else f"{outcome.lab}: {type(error).__name__}: {error}"
    return " ".join(said.split())


# ---- what comes back


def write_results(outcomes: list[Outcome], wanted: int, profile: str, out: Path) -> None:
    """Write results.json and summary.md, and pack the folder; a reader meets the old files or the new."""
    from lvmlib.authoring.course import write_atomically

    told = {"profile": profile, "labs": [asdict(outcome) for outcome in outcomes]}
    write_atomically(out / RESULTS, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    write_atomically(out / "summary.md", summarise(outcomes, wanted, profile))
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        packed = shutil.make_archive(f"{folder}/packed", "gztar", out.parent, out.name)
        Path(packed).replace(f"{out}.tar.gz")


def summarise(outcomes: list[Outcome], wanted: int, profile: str) -> str:
    """The results as Markdown, for people."""
    device = next((outcome.gpu for outcome in outcomes if outcome.gpu), "a machine without CUDA")
    fine = sum(not outcome.error for outcome in outcomes)
    lines = [
        f"{fine} of {wanted} labs ran to the end with every check passed, in profile {profile} on {device}.",
        "",
        "| Lab | Outcome | Time | Peak GPU memory | Checks passed | Pictures |",
        "|---|---|---|---|---|---|",
        *map(row, outcomes),
    ]
    return "\n".join(lines) + "\n"


def row(outcome: Outcome) -> str:
    minutes, seconds = divmod(round(outcome.seconds), 60)
    cells = [
        outcome.lab,
        (outcome.error or "ok").replace("|", r"\|"),
        f"{minutes} min {seconds} s",
        "–" if outcome.peak_memory is None else f"{outcome.peak_memory / 1e9:.2f} GB",
        str(len(outcome.checks)),
        str(len(outcome.pictures)),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
