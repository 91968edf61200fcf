"""Every limit, exceeded: what else was solved still counts, the reason is told, and nothing remains."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hostile import HONEST, QUICK, SEEDS, SOLVED, points, raised, submit

from lvmlib.grading import task
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.limits import LIMITS, MEGABYTE
from lvmlib.grading.results import Result, Status, Verdict
from lvmlib.grading.sandbox.channel import HEADER, Kind, pack
from lvmlib.grading.sandbox.launch import choose
from lvmlib.grading.sandbox.sandbox import Round, Sandbox, Source

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

Submit = Callable[..., Result]
PAID = {"kl-divergence": 2.0, "reparameterize": 0.0, "active-units": 0.0}
FORKS = """
import posix, time
def forks(count, work):
    for _ in range(count):
        if posix.fork() == 0:
            work()
            time.sleep(1000)
"""
UNDUMPABLE = "__import__('ctyp' + 'es').CDLL(None).prctl(4, 0, 0, 0, 0)"
"""Such a process does not show how much of its memory it shares."""
STUBBORN = """
import time
while True:
    try:
        time.sleep(1000)
    except BaseException:
        pass
"""


@dataclass(frozen=True)
class Remains:
    """What a submission could leave behind in its sandbox."""

    processes: frozenset[int]
    mounts: str
    files: frozenset[Path]
    descriptors: int


def remains(sandbox: Sandbox) -> Remains:
    inside = descendants(sandbox.open().process.pid)
    warm = Path("/proc", str(max(inside)))
    root = warm / "root"
    files = frozenset(path for folder in ("tmp", "dev/shm") for path in (root / folder).rglob("*"))
    return Remains(frozenset(inside), (warm / "mounts").read_text(), files, len(os.listdir(warm / "fd")))


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants(child)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(choose(unsafe=False, private=[], limits=LIMITS), LIMITS) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_remains(sandbox: Sandbox) -> Iterator[None]:
    before = remains(sandbox)
    yield
    assert remains(sandbox) == before


@pytest.fixture
def submit_within(
    sandbox: Sandbox, small_assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Grade a submission within other limits, in the one sandbox of these tests."""

    def submit_within(solved: dict[str, str], *extra: str, **limits: float) -> Result:
        sandbox.limits = replace(QUICK, **limits)
        monkeypatch.setattr(task, "_sandbox", lambda *_: sandbox)
        return submit(small_assignment, HONEST | solved, *extra, limits=sandbox.limits)

    return submit_within


def verdict(result: Result, exercise: str) -> Verdict:
    return next(one for one in result.verdicts if one.exercise == exercise)


def test_a_cell_that_takes_too_long_is_interrupted(submit_within: Submit) -> None:
    result = submit_within({"reparameterize": "while True: pass"}, cell=0.5)
    assert (result.status, points(result)) == (Status.GRADED, PAID)
    assert result.notes == ("The cell of reparameterize took too long.",)


def test_a_cell_that_cannot_be_interrupted_is_left_out(submit_within: Submit) -> None:
    result = submit_within({"reparameterize": STUBBORN}, cell=0.3, notebook=1)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)
    assert any(note.endswith("did not end in time, and was left out.") for note in result.notes)


def test_many_slow_cells_exceed_the_notebook(submit_within: Submit) -> None:
    slow = "import time\ntime.sleep(0.4)"
    result = submit_within({"reparameterize": slow, "active-units": slow}, notebook=0.6, attempts=1)
    assert (result.status, result.verdicts) == (Status.TIMED_OUT, ())
    assert "It did not run to its end in time." in result.notes


def test_a_function_that_takes_too_long_is_given_up(submit_within: Submit) -> None:
    endless = "def reparameterize(mean, log_var, eps):\n    while True: pass"
    result = submit_within({"reparameterize": endless}, probe=0.5)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)
    assert "took longer than 0.5 seconds" in verdict(result, "reparameterize").sentence


def test_a_notebook_is_started_again_so_many_times(submit_within: Submit) -> None:
    ending = {"reparameterize": "import posix; posix._exit(0)", "active-units": "import posix; posix._exit(0)"}
    too_few = submit_within(ending, attempts=2)
    assert (too_few.status, too_few.verdicts) == (Status.CRASHED, ())
    enough = submit_within(ending, attempts=3)
    assert (enough.status, points(enough)) == (Status.PARTLY, PAID)
    assert sum(note.endswith("ended Python, and was left out.") for note in enough.notes) == 2


def test_all_attempts_together_have_a_deadline(submit_within: Submit) -> None:
    stalling = {"reparameterize": STUBBORN, "active-units": STUBBORN}
    in_time = submit_within(stalling, cell=0.2, notebook=1, attempts=3, submission=60)
    assert (in_time.status, points(in_time)) == (Status.PARTLY, PAID)
    late = submit_within(stalling, cell=0.2, notebook=1, attempts=3, submission=1.5)
    assert (late.status, late.verdicts) == (Status.TIMED_OUT, ())


def test_what_is_not_asked_in_time_is_said_to_be_so(submit_within: Submit) -> None:
    endless = "def reparameterize(mean, log_var, eps):\n    while True: pass"
    result = submit_within({"reparameterize": endless}, probe=30, submission=1.5)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)
    assert not verdict(result, "reparameterize").decided and not verdict(result, "active-units").decided


def test_memory_of_one_process(submit_within: Submit) -> None:
    result = submit_within(
        {"reparameterize": "held = [bytearray(10_000_000)]\nwhile held: held.append(held[-1] * 2)"},
        memory=1000 * MEGABYTE,
    )
    assert points(result) == PAID
    assert any("MemoryError" in note or "used more memory" in note for note in result.notes)


@pytest.mark.parametrize("hidden", ["", UNDUMPABLE], ids=["plain", "hidden"])
def test_memory_of_several_processes_together(submit_within: Submit, hidden: str) -> None:
    hoard = f"{FORKS}{hidden}\nforks(8, lambda: globals().update(held=bytes([1]) * 150_000_000))\ntime.sleep(100)"
    result = submit_within({"reparameterize": hoard}, memory=1000 * MEGABYTE)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)
    assert any(note.endswith("used more memory than is allowed, and was left out.") for note in result.notes)


def test_memory_that_processes_share_counts_once(submit_within: Submit) -> None:
    shared = f"held = bytes([1]) * 150_000_000\n{FORKS}\nforks(12, lambda: None)\ntime.sleep(0.5)"
    result = submit_within({"reparameterize": f"{shared}\n{SOLVED['reparameterize']}"}, memory=1000 * MEGABYTE)
    assert (result.status, points(result)) == (Status.GRADED, PAID | {"reparameterize": 3.0})


@pytest.mark.parametrize(
    "code",
    [
        "import mmap\nmmap.mmap(-1, 10_000_000)",
        "import mmap\nmmap.mmap(open('/dev/zero', 'r+b').fileno(), 10_000_000)",
        "import os\nos.memfd_create('hidden')",
        "file = open('/dev/shm/large', 'wb')\nfile.write(bytes(100_000_000))",
    ],
    ids=["anonymous", "zero", "memfd", "shm"],
)
def test_memory_that_belongs_to_no_process(submit_within: Submit, code: str) -> None:
    failing = (
        f"try:\n    {code.replace(chr(10), chr(10) + '    ')}\nexcept (OSError, ValueError): raise RuntimeError('no')"
    )
    result = submit_within({"reparameterize": failing})
    assert (raised(result), points(result)) == ("no", PAID)


@pytest.mark.parametrize(
    "many",
    [
        f"{FORKS}forks(40, lambda: None)\ntime.sleep(100)",
        "import threading, time\nfor _ in range(40): threading.Timer(99, print).start()\ntime.sleep(99)",
    ],
    ids=["processes", "threads"],
)
def test_processes_and_threads(submit_within: Submit, many: str) -> None:
    result = submit_within({"reparameterize": many}, processes=20)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)
    assert any(note.endswith("started more processes than are allowed, and was left out.") for note in result.notes)


@pytest.mark.parametrize(
    "writing",
    [
        "open('large', 'wb').write(bytes(6_000_000))",
        "for n in range(100): open(f'small-{n}', 'wb').write(bytes(100_000))",
        "for n in range(100_000): open(f'empty-{n}', 'wb').close()",
    ],
    ids=["large", "many", "empty"],
)
def test_files(submit_within: Submit, writing: str) -> None:
    failing = f"try:\n    {writing}\nexcept OSError as error: raise RuntimeError(error.strerror)"
    result = submit_within({"reparameterize": failing}, files=5 * MEGABYTE)
    assert raised(result) in ("File too large", "No space left on device")
    assert (result.status, points(result)) == (Status.GRADED, PAID)


def test_one_large_answer(submit_within: Submit) -> None:
    large = "def reparameterize(mean, log_var, eps):\n    import torch\n    return torch.zeros(1_000_000)"
    result = submit_within({"reparameterize": large}, answers=200_000)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)
    assert "returned more than can be looked at" in verdict(result, "reparameterize").sentence


def test_all_answers_together(sandbox: Sandbox) -> None:
    cells = [Source(0, SOLVED["kl-divergence"])]
    rounds = [Round("kl-divergence", "kl_divergence", seed) for seed in SEEDS]
    sandbox.limits = QUICK
    sizes = [len(answer) for answer in sandbox.run(cells, rounds).answers.values()]
    sandbox.limits = replace(QUICK, answers=max(sizes), messages=min(sizes) // 2)
    report = sandbox.run(cells, rounds)
    assert list(report.answers) == rounds[:1]
    assert report.failures[rounds[1]].why == "too large"


def test_messages(submit_within: Submit) -> None:
    flood = f"import os\nwhile True: os.write(3, {pack(Kind.STARTED, b'0')!r} * 1000)"
    result = submit_within({"reparameterize": SOLVED["reparameterize"]}, flood)
    assert (result.status, points(result)) == (Status.PARTLY, PAID | {"reparameterize": 3.0})


def test_a_message_that_never_ends(submit_within: Submit) -> None:
    started = f"import os\nos.write(3, {HEADER.pack(Kind.STARTED, 1000)!r})\n{STUBBORN}"
    result = submit_within({"reparameterize": started}, notebook=1)
    assert (result.status, points(result)) == (Status.PARTLY, PAID)


def test_cpu_seconds_of_a_stopped_submission_count(submit_within: Submit) -> None:
    burn = "import time\nstart = time.process_time()\nwhile time.process_time() < start + 0.5: pass"
    result = submit_within({"reparameterize": f"{burn}\n{STUBBORN}"}, notebook=3, attempts=1)
    assert result.status is Status.TIMED_OUT
    assert result.seconds >= 0.5
