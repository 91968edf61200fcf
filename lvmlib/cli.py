"""`lvm`: what students and instructors do with the course from a terminal."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit(f"lvm needs typer, which is not installed; run: {sys.executable} -m pip install typer") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lvmlib.authoring.course import Course
    from lvmlib.student.report import Line

app = typer.Typer(
    help="Check and hand in a lab; build, release, run and grade the course.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Labs = Annotated[list[str] | None, typer.Argument(help="Labs by name, for example 03-vae; all of them without.")]

Notebook = Annotated[
    str, typer.Argument(metavar="LAB", help="A lab's number or name, as 3 or 03-vae, or the path of your notebook.")
]

Profile = Literal["smoke", "cpu", "full"]


def main() -> None:
    """Run `lvm`; what goes wrong in a known way is one sentence and no traceback."""
    from lvmlib.authoring.course import CourseError

    _never_fail_on_letters()
    try:
        app()
    except CourseError as error:
        typer.secho(str(error), fg="red", err=True)
        raise SystemExit(1) from None


@app.command()
def check(
    lab: Notebook,
    experiments: Annotated[bool, typer.Option("--all", help="Run the experiments too.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a cell may take.")] = 60,
) -> None:
    """Run a lab's checks on your notebook, in miniature; print points and sentences.  The file stays as it is."""
    from lvmlib.authoring.course import CourseError
    from lvmlib.student import checking, report
    from lvmlib.student.finding import find_notebook

    path = find_notebook(lab)
    try:
        found = checking.check(path, experiments=experiments, timeout=timeout)
    except KeyboardInterrupt:
        raise CourseError("Stopped; your notebook is as it was.") from None
    _print(report.lines(found, path.name))
    if not found.is_right:
        raise typer.Exit(1)


@app.command()
def submit(
    lab: Notebook,
    out: Annotated[Path, typer.Option(help="The folder for the archive.")] = Path(),
    output: Annotated[float, typer.Option(min=0, help="Megabytes that one output may have.")] = 1,
    outputs: Annotated[float, typer.Option(min=0, help="Megabytes that all outputs may have together.")] = 10,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing where there is anything to warn of.")] = False,
) -> None:
    """Make the archive that you hand in, from your notebook as you saved it.  The file stays as it is."""
    from lvmlib.student import report, submitting
    from lvmlib.student.finding import find_notebook
    from lvmlib.student.stripping import MEGABYTE, Limits

    path = find_notebook(lab)
    limits = Limits(int(output * MEGABYTE), int(outputs * MEGABYTE))
    _print(report.lines_of_archive(submitting.submit(path, out, limits, strict=strict), path.name))


@app.command()
def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it."""
    from lvmlib.student.doctor import examine
    from lvmlib.student.report import line_of_finding

    wrong = 0
    for finding in examine():
        wrong += finding.state == "✗"
        _print([line_of_finding(finding)])
    if wrong:
        typer.echo(f"{wrong} to mend." if wrong > 1 else "One thing to mend.")
        raise typer.Exit(1)


@app.command()
def build(
    labs: Labs = None,
    force: Annotated[bool, typer.Option(help="Execute also where no code changed.")] = False,
) -> None:
    """Make solutions/LAB/LAB.ipynb from LAB.py, executed in the cpu profile."""
    from lvmlib.authoring import build as building
    from lvmlib.authoring.text import points_of

    def one(course: Course, lab: str) -> str:
        outcome = building.build(course, lab, force=force)
        automatic, by_hand = points_of(building.read_text(course, lab))
        return f"{outcome} · {automatic} points by tests, {by_hand} by hand"

    _for_each_lab(labs, one)


@app.command()
def release(labs: Labs = None) -> None:
    """Make course/LAB from solutions/LAB, with its pictures and keys."""
    from lvmlib.authoring import release as releasing
    from lvmlib.authoring.course import find_course

    _for_each_lab(labs, lambda course, lab: f"released to {releasing.release(course, lab)}")
    releasing.release_guide(find_course())
    if doubt := releasing.doubt_address(find_course()):
        typer.secho(doubt, fg="yellow", err=True)


@app.command()
def run(
    labs: Labs = None,
    profile: Annotated[Profile | None, typer.Option(help="Execute the labs anew at this size.")] = None,
    answers: Annotated[bool, typer.Option("--answers", help="With solutions and mark schemes.")] = False,
    out: Annotated[Path, typer.Option(help="The folder for the pages; what an earlier run wrote is replaced.")] = Path(
        "site"
    ),
) -> None:
    """Make a web site of the solved labs, without their answers, for people who only want to look."""
    from lvmlib.authoring.course import CourseError, find_course
    from lvmlib.authoring.gallery.make import make_site

    course = find_course()
    chosen = course.labs(labs or [])
    failures = make_site(course, chosen, out, profile=profile, answers=answers)
    if len(failures) < len(chosen):
        typer.echo(f"{out / 'index.html'} is ready to open.")
    if failures:
        raise CourseError("\n".join(f"{lab} has no page: {reason}" for lab, reason in failures.items()))


@app.command()
def grade(
    submitted: Annotated[
        Path, typer.Argument(help="A folder with STUDENT/LAB/LAB.ipynb, or what Canvas or Moodle lets you download.")
    ] = Path("submitted"),
    lab: Annotated[str | None, typer.Option(help="Only this lab.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler, for many machines.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a processor without.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Grade also what has not changed.")] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run submissions with your own rights where there is no sandbox.")
    ] = False,
    explain: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="STUDENT LAB", help="Tell how this score came about, and replay it."),
    ] = None,
) -> None:
    """Grade submissions into the gradebook; write feedback, a class summary and grades.csv, and print a table."""
    from lvmlib.authoring.course import CourseError, find_course
    from lvmlib.grading.inbox import open_inbox
    from lvmlib.grading.marking import Settings, mark
    from lvmlib.grading.table import format_table, write_table

    course = find_course()
    if explain:
        from lvmlib.grading.explain import explain as account
        from lvmlib.grading.inbox import submission_of

        for line in account(course, submission_of(submitted, *explain), unsafe=unsafe):
            typer.echo(line)
        return
    submissions, notes = open_inbox(course, submitted, lab)
    for note in notes:
        typer.echo(note)
    rows = []
    try:
        for row in mark(course, submissions, Settings(scheduler, workers, unsafe, again)):
            rows.append(row)
    except KeyboardInterrupt:
        raise CourseError(f"Stopped; {len(rows)} of {len(submissions)} are graded, and the next run goes on.") from None
    finally:
        if rows:
            write_table(course.root / "grades.csv", rows)
    typer.echo(format_table(sorted(rows, key=lambda row: (row.lab, row.student))))


@app.command()
def variants(labs: Labs = None) -> None:
    """Run every judge over every right and wrong variant of every exercise."""
    from lvmlib.authoring.course import find_course
    from lvmlib.grading.variants import report

    if not report(find_course().labs(labs or [])):
        raise typer.Exit(1)


def _never_fail_on_letters() -> None:
    # A terminal without ✓ shows a question mark, and no traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _print(lines: Iterable[Line]) -> None:
    for text, colour in lines:
        typer.secho(_spelt(text), fg=colour)


def _spelt(text: str) -> str:
    """Where a terminal has no ✓ and ✗, words for them."""
    try:
        "✓✗".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.replace("✓", "[right]").replace("✗", "[WRONG]")
    return text


def _for_each_lab(labs: list[str] | None, work: Callable[[Course, str], str]) -> None:
    from lvmlib.authoring.course import find_course

    course = find_course()
    for lab in course.labs(labs or []):
        typer.echo(f"{lab}: {work(course, lab)}")


if __name__ == "__main__":
    main()
