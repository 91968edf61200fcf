"""nbgrader's own commands and buttons work on the course, without any of ours."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from lvmlib.authoring.course import Course

TINY = "00-tiny"
SOLVED = {"double": "def double(x):\n    return x + x", "halve": "def halve(x):\n    return x / 2"}
ANSWER = {"which-way": "Only at the two ends of the number range."}
# nbgrader calls alembic by name, as it would in an activated environment.
ENVIRONMENT = os.environ | {
    "LVM_PROFILE": "smoke",
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
}

pytestmark = pytest.mark.slow


def nbgrader(course: Course, *arguments: str) -> str:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=course.root, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill_in(course: Course, path: Path, answers: dict[str, str]) -> Path:
    notebook = nbformat.read(course.released(TINY), as_version=4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, _released: Path) -> Course:
    course = Course(Path(shutil.copytree(_released, tmp_path_factory.mktemp("nbgrader") / "course")))
    before = course.released(TINY).read_bytes()
    nbgrader(course, "generate_assignment", TINY, "--force")
    assert json.loads(course.released(TINY).read_bytes()) == json.loads(before)
    for student, answers in {"full": SOLVED | ANSWER, "half": {"double": SOLVED["double"]}, "none": {}}.items():
        fill_in(course, course.root / "submitted" / student / TINY / f"{TINY}.ipynb", answers)
    nbgrader(course, "autograde", TINY)
    nbgrader(course, "generate_feedback", TINY)
    nbgrader(course, "export")
    return course


def test_autograde_and_export_give_exactly_the_points(graded: Course) -> None:
    with (graded.root / "grades.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: (row["score"], row["max_score"]) for row in csv.DictReader(file)}
    assert scores == {"full": ("5.0", "9.0"), "half": ("2.0", "9.0"), "none": ("0.0", "9.0")}


def test_feedback_hides_hidden_tests_and_mark_schemes(graded: Course) -> None:
    for student in ("full", "half", "none"):
        page = (graded.root / "feedback" / student / TINY / f"{TINY}.html").read_text(encoding="utf-8")
        assert "A tiny lab" in page
        assert "double(3.5)" not in page and "double(-1)" not in page
        assert "naming overflow" not in page and "MARK SCHEME" not in page


def test_formgrader_lists_what_is_graded_by_hand(graded: Course) -> None:
    config = Config({"CourseDirectory": {"root": str(graded.root), "db_url": f"sqlite:///{graded.root}/gradebook.db"}})
    listed = NbGraderAPI(CourseDirectory(config=config), config=config).get_notebook_submissions(TINY, TINY)
    assert {row["student"]: row["needs_manual_grade"] for row in listed} == {"full": True, "half": False, "none": False}
    assert {row["max_written_score"] for row in listed} == {4}


def test_validate_names_each_check_that_fails(graded: Course, tmp_path: Path) -> None:
    solved = fill_in(graded, tmp_path / "solved.ipynb", SOLVED | ANSWER)
    assert "Success! Your notebook passes all the tests." in nbgrader(graded, "validate", str(solved))
    half = fill_in(graded, tmp_path / "half.ipynb", {"double": SOLVED["double"]})
    assert "VALIDATION FAILED ON 2 CELL(S)!" in nbgrader(graded, "validate", str(half))


class Server:
    """A Jupyter server over a course."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address, token

    def ask(self, path: str, body: dict | None = None, method: str | None = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def server(graded: Course) -> Iterator[Server]:
    runtime = graded.root / "runtime"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1"]
    with (graded.root / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=graded.root, env=ENVIRONMENT | {"JUPYTER_RUNTIME_DIR": str(runtime)}, stdout=log, stderr=log
        )
        try:
            yield wait_for(runtime, process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(runtime: Path, process: subprocess.Popen) -> Server:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        for file in runtime.glob("jpserver-*.json"):
            try:
                facts = json.loads(file.read_text(encoding="utf-8"))
                server = Server(facts["url"], facts["token"])
                server.ask("api/status")
                return server
            except (json.JSONDecodeError, urllib.error.URLError):
                pass
        time.sleep(0.2)
    raise AssertionError("the server did not start")


def test_the_validate_button_answers(server: Server, graded: Course) -> None:
    fill_in(graded, graded.root / "work" / "half.ipynb", {"double": SOLVED["double"]})
    answer = json.loads(server.ask("assignments/validate", {"path": "work/half.ipynb"}))
    assert answer["success"]
    test, question = answer["value"]["failed"]
    assert "assert halve(2) == 1" in test["source"]
    assert "NotImplementedError" in test["raw_error"]
    assert question["raw_error"] == "You did not provide a response."


def test_formgrader_opens_and_shows_the_question_with_its_mark_scheme(server: Server) -> None:
    assert "formgrader" in server.ask("formgrader/manage_assignments")
    (submission,) = [
        row
        for row in json.loads(server.ask(f"formgrader/api/submitted_notebooks/{TINY}/{TINY}"))
        if row["student"] == "full"
    ]
    page = server.ask(f"formgrader/submissions/{submission['id']}/?index=0")
    assert "naming overflow" in page and ANSWER["which-way"] in page


def test_saving_in_jupyterlab_keeps_what_grading_needs(server: Server, graded: Course) -> None:
    path = f"api/contents/course/{TINY}/{TINY}.ipynb"
    model = json.loads(server.ask(path))
    server.ask(path, {"type": "notebook", "content": model["content"]}, "PUT")
    saved = nbformat.read(graded.released(TINY), as_version=4)
    grade_ids = [cell.metadata.nbgrader.grade_id for cell in saved.cells if "nbgrader" in cell.metadata]
    assert grade_ids == ["double", "test-double", "halve", "test-halve", "which-way-question", "which-way"]
    assert saved.cells[3].metadata.tags == ["raises-exception", "nbval-check-output"]
    assert [path.name for path in graded.released(TINY).parent.iterdir() if path.suffix] == [f"{TINY}.ipynb"]
