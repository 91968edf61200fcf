"""How fast `lvm grade` is, beside `nbgrader autograde` on the same folder, and how much memory it takes.

    python -m tests.benchmarks.grading --lab 03-vae --submissions 40 [--workers 2] [--skip-nbgrader]

A class is made up from the lab itself: the first student has solved everything, the second nothing, and every other one
each exercise with a probability between those.  Both graders run as commands in a copy of the course, one after the
other, on the processors that this process may use.  CPU seconds are those of the whole machine, so leave it alone
meanwhile; "memory" is the most that all processes of a command held at a time (proportional set sizes), looked at every
half second.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import nbformat

from lvmlib.authoring.build import read_stored
from lvmlib.authoring.course import Course, find_course

PARTS = ("solutions", "course", "lvmlib", "nbgrader_config.py", "pyproject.toml")


@dataclass(frozen=True)
class Measured:
    """What a command took: seconds on the wall and of CPU, and bytes of memory."""

    wall: float
    cpu: float
    memory: int


def lay_out(course: Course, root: Path, lab: str, students: int, seed: int = 0) -> Course:
    """A copy of the course with submissions of a class.

    Returns:
        The copy; `submitted/` holds the class.
    """
    for name in PARTS:
        source = course.root / name
        if name == "lvmlib":  # the installed one is used; the release only wants to see its files
            (root / name).symlink_to(source)
        elif source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns(*_other_labs(course, lab)))
        else:
            shutil.copy(source, root)
    copy = Course(root)
    draw = random.Random(seed)
    for number in range(students):
        share = (1.0, 0.0)[number] if number < 2 else draw.random()
        submit(copy, lab, f"student-{number:04}", share, draw)
    return copy


def _other_labs(course: Course, lab: str) -> list[str]:
    return [other for other in course.labs() if other != lab]


def submit(course: Course, lab: str, student: str, share: float, draw: random.Random) -> None:
    """One submission, with about this share of the exercises solved."""
    solution = read_stored(course, lab)
    assert solution is not None
    solved = {cell.id: cell.source for cell in solution.cells if is_exercise(cell)}
    notebook = nbformat.read(course.released(lab), as_version=4)
    for cell in notebook.cells:
        if is_exercise(cell) and draw.random() < share:
            cell.source = solved[cell.id]
    path = course.root / "submitted" / student / lab / f"{lab}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def is_exercise(cell) -> bool:
    return cell.cell_type == "code" and bool(cell.metadata.get("nbgrader", {}).get("solution"))


def measure(command: list[str], course: Course) -> Measured:
    """Run a command in a course to its end.

    Raises:
        SystemExit: it failed.
    """
    environment = os.environ | {
        "LVM_PROFILE": "smoke",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    busy, began = busy_seconds(), perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=course.root, env=environment, stdout=log, stderr=log)
        most = [0]
        watcher = threading.Thread(target=_watch, args=(process, most))
        watcher.start()
        status = process.wait()
        watcher.join()
        if status:
            log.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{log.read().decode()[-3000:]}")
    return Measured(perf_counter() - began, busy_seconds() - busy, most[0])


def busy_seconds() -> float:
    """Seconds for which processors of this machine have worked: user, nice, system, interrupts."""
    fields = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    ticks = [int(field) for field in fields]
    return sum(ticks[:3] + ticks[5:7]) / os.sysconf("SC_CLK_TCK")


def _watch(process: subprocess.Popen, most: list[int]) -> None:
    while process.poll() is None:
        most[0] = max(most[0], sum(_proportional_size(pid) for pid in _descendants(process.pid)))
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _descendants(int(child))


def _proportional_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def scores(course: Course, name: str, student: str) -> dict[str, float]:
    with (course.root / name).open(encoding="utf-8") as file:
        return {row[student]: float(row["score"]) for row in csv.DictReader(file)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", default="03-vae")
    parser.add_argument("--submissions", type=int, default=40)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--skip-nbgrader", action="store_true")
    options = parser.parse_args(arguments)
    workers = ["--workers", str(options.workers)] if options.workers else []
    ours = [sys.executable, "-m", "lvmlib.cli", "grade", *workers]
    theirs = [sys.executable, "-m", "nbgrader", "autograde", options.lab]
    with tempfile.TemporaryDirectory() as folder:
        course = lay_out(find_course(), Path(folder), options.lab, options.submissions)
        print(f"{options.submissions} submissions of {options.lab}, {len(os.sched_getaffinity(0))} processors")
        print(f"{'':20}{'seconds':>9}{'CPU s':>9}{'CPU s each':>12}{'per hour':>10}{'memory, MB':>12}")
        fast = measure(ours, course)
        tell("lvm grade", fast, options.submissions)
        tell("lvm grade, again", measure(ours, course), options.submissions)
        found = scores(course, "grades.csv", "student")
        if options.skip_nbgrader:
            return
        for name in ("grades.csv", "gradebook.db"):
            (course.root / name).unlink()
        shutil.rmtree(course.root / "autograded")
        prepare = [sys.executable, "-m", "nbgrader", "generate_assignment", options.lab, "--force"]
        measure(prepare, course)
        slow = measure(theirs, course)
        tell("nbgrader autograde", slow, options.submissions)
        measure([sys.executable, "-m", "nbgrader", "export"], course)
        same = found == scores(course, "grades.csv", "student_id")
        print(f"throughput {slow.wall / fast.wall:.1f}×; the scores are {'the same' if same else 'NOT the same'}")


def tell(name: str, measured: Measured, submissions: int) -> None:
    each, rate = measured.cpu / submissions, 3600 * submissions / measured.wall
    print(
        f"{name:20}{measured.wall:9.1f}{measured.cpu:9.1f}{each:12.2f}{rate:10.0f}{measured.memory / 1e6:12.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
