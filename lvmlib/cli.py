"""`lvm`: what students and instructors do with the course from a terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit(
        "lvm needs typer, which is not installed; install what the labs need: pip install 'lvmlib[lab]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Callable

    from lvmlib.authoring.course import Course

app = typer.Typer(
    help="Build, release, run and grade the course.", no_args_is_help=True, pretty_exceptions_enable=False
)

Labs = Annotated[list[str] | None, typer.Argument(help="Labs by name, for example 03-vae; all of them without.")]

Profile = Literal["smoke", "cpu", "full"]


def main() -> None:
    """Run `lvm`; what goes wrong in a known way is one sentence and no traceback."""
    from lvmlib.authoring.course import CourseError

    try:
        app()
    except CourseError as error:
        typer.secho(str(error), fg="red", err=True)
        raise SystemExit(1) from None


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


@app.command()
def run(
    labs: Labs = None,
    profile: Annotated[Profile | None, typer.Option(help="What fits this machine without.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for the pages.")] = Path("site"),
) -> None:
    """Execute labs into self-contained HTML pages with an index, for people who only want to look."""
    from lvmlib.authoring.course import CourseError, find_course
    from lvmlib.authoring.gallery import run_labs
    from lvmlib.profile import profile as current

    if profile:
        os.environ["LVM_PROFILE"] = profile
    course = find_course()
    failures = run_labs(course, course.labs(labs or []), current.name, out)
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


def _for_each_lab(labs: list[str] | None, work: Callable[[Course, str], str]) -> None:
    from lvmlib.authoring.course import find_course

    course = find_course()
    for lab in course.labs(labs or []):
        typer.echo(f"{lab}: {work(course, lab)}")


if __name__ == "__main__":
    main()
