"""The parts of the sandbox: messages, answers as bytes, the ways to start one, and what happens when one is lost."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hostile import QUICK, SEEDS, SOLVED

import lvmlib
from lvmlib.grading.limits import LIMITS
from lvmlib.grading.sandbox import launch, watch
from lvmlib.grading.sandbox.answers import ForgedAnswers, decode, encode
from lvmlib.grading.sandbox.channel import HEADER, ChannelError, Kind, Parser, pack, receive, send
from lvmlib.grading.sandbox.launch import Launch, SandboxError, bubblewrap, choose, python_folders, unprotected
from lvmlib.grading.sandbox.link import Link
from lvmlib.grading.sandbox.sandbox import Report, Round, Sandbox, Source
from lvmlib.probe import Answers

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

CELLS = [Source(0, SOLVED["kl-divergence"])]
ROUNDS = [Round("kl-divergence", "kl_divergence", seed) for seed in SEEDS]
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
in_bubblewrap = pytest.mark.sandbox


def test_a_message_arrives_as_it_was_sent() -> None:
    ours, theirs = os.pipe()
    content = random.Random(1).randbytes(3_000_000)
    sender = threading.Thread(target=send, args=(theirs, Kind.ANSWERS, content))
    sender.start()
    assert receive(ours, len(content)) == (Kind.ANSWERS, content)
    sender.join()
    os.close(theirs)
    assert receive(ours, 10) is None
    os.close(ours)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_parser_takes_messages_in_any_pieces(size: int) -> None:
    messages = [(Kind.STARTED, b"3"), (Kind.LOADED, b""), (Kind.ANSWERS, bytes(range(200)))]
    stream = b"".join(pack(*message) for message in messages)
    parser = Parser(200)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [message for piece in pieces for message in parser.feed(piece)] == messages
    assert parser.waiting == 0


@pytest.mark.parametrize("header", [HEADER.pack(Kind.ANSWERS, 201), HEADER.pack(99, 1)], ids=["too large", "unknown"])
def test_what_is_no_message_is_refused_at_its_header(header: bytes) -> None:
    with pytest.raises(ChannelError):
        Parser(200).feed(header)


def tensors_of(dtype: torch.dtype) -> list[torch.Tensor]:
    """Ordinary values, an empty tensor, a scalar, a transposed one, and where there are any the unusual numbers."""
    values = torch.arange(6).reshape(2, 3).to(dtype)
    tensors = [values, values.T, values[:0], values[0, 1]]
    return (
        [*tensors, torch.tensor([math.nan, math.inf, -math.inf, -0.0]).to(dtype)]
        if dtype.is_floating_point
        else tensors
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_answers_return_as_they_were(dtype: torch.dtype) -> None:
    tensors = {("zwei", f"Größe {n}"): tensor for n, tensor in enumerate(tensors_of(dtype))}
    answers = Answers(["zwei", "broken"], ["zwei"], tensors, {"broken": "raised ValueError"})
    found = decode(encode(answers))
    assert (found.questions, found.edges, found.faults) == (answers.questions, answers.edges, answers.faults)
    assert list(found.tensors) == list(tensors)
    for entry, tensor in tensors.items():
        assert found.tensors[entry].dtype is dtype
        torch.testing.assert_close(found.tensors[entry], tensor, rtol=0, atol=0, equal_nan=True)


def test_entries_may_share_memory() -> None:
    shared = torch.arange(4.0)
    found = decode(encode(Answers(["q"], [], {("q", "a"): shared, ("q", "b"): shared[1:]})))
    assert found.tensors["q", "b"].tolist() == [1, 2, 3]


def test_only_ordinary_tensors_are_encoded() -> None:
    with pytest.raises(TypeError, match="value is a tensor of an unusual kind"):
        encode(Answers(["q"], [], {("q", "value"): torch.eye(2).to_sparse()}))


def test_a_forgery_is_all_that_mutated_answers_can_be() -> None:
    chance = random.Random(20)
    valid = encode(Answers(["q", "r"], ["r"], {("q", "value"): torch.arange(9.0)}, {"r": "raised ValueError"}))
    forged = 0
    for _ in range(4000):
        try:
            decode(mutated(valid, chance))
        except ForgedAnswers:
            forged += 1
    assert forged > 1000


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bytes changed, removed, doubled or inserted at random; mostly in the header, where meaning is."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        length = chance.randint(1, 12)
        piece = changed[place : place + length]
        inserted = chance.choice([b"", chance.randbytes(length), piece * 2, b'"', b"[", b"}", b"-1", b"1e999", b"null"])
        changed[place : place + chance.choice([0, len(piece)])] = inserted
        changed = changed or bytearray(b"\0")
    if chance.random() < 0.8:  # a header whose length is right, so that more than its length is looked at
        end = changed.rfind(b"}") + 1
        changed[:8] = max(0, end - 8).to_bytes(8, "little")
    return bytes(changed)


@pytest.mark.parametrize(
    "header",
    [b"", b"[" * 100_000, b'{"__metadata__": {"answers": "' + b"[" * 100_000 + b'"}}', b"1" * 10_000, b"\xff\xfe"],
    ids=["empty", "deep", "deep inside", "long number", "no text"],
)
def test_odd_headers_are_forged(header: bytes) -> None:
    with pytest.raises(ForgedAnswers):
        decode(len(header).to_bytes(8, "little") + header)


def test_a_header_cannot_claim_more_than_there_is() -> None:
    with pytest.raises(ForgedAnswers):
        decode((2**63).to_bytes(8, "little"))


def test_usage_divides_what_processes_share(monkeypatch: pytest.MonkeyPatch) -> None:
    held = bytearray(b"x" * 50_000_000)
    children = [fork_and_wait() for _ in range(4)]
    monkeypatch.setattr(watch, "others", lambda trusted: iter(children))
    try:
        bound, exact = (watch.usage(set(), enough) for enough in (sys.maxsize, 0))
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert bound.processes == exact.processes == len(children)
    assert bound.memory - exact.memory > len(held)


def test_what_ended_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    child = fork_and_wait()
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(watch, "others", lambda trusted: iter([child]))
    assert watch.usage(set(), 0).memory == 0
    os.waitpid(child, 0)
    assert watch.usage(set(), 0) == watch.Usage(0, 0)


def fork_and_wait() -> int:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder that commands are looked for in; what was found out about this machine is forgotten."""
    folder = tmp_path / "tools"
    folder.mkdir()
    known = (launch.works_here, launch.nests_here, launch.has_image)
    for one in known:
        one.cache_clear()
    monkeypatch.setenv("PATH", str(folder))
    yield folder
    for one in known:
        one.cache_clear()


ENGINE = """#!{python}
import os, sys
arguments = sys.argv[1:]
with open({record!r}, "a") as file:
    file.write("\\t".join(arguments) + "\\n")
if arguments[0] == "run":
    given = [after for before, after in zip(arguments, arguments[1:]) if before == "--env"]
    command = arguments[arguments.index({image!r}) + 1 :]
    os.execve(sys.executable, [sys.executable, *command[1:]], dict(one.split("=", 1) for one in given))
sys.exit(0 if {has_image} or arguments[0] == "rm" else 1)
"""


def install_engine(tools: Path, name: str, *, has_image: bool = True) -> Path:
    """A container engine that writes down what it is told, and runs the command of a container without one."""
    record = tools / f"{name}.txt"
    image = f"{launch.IMAGE}:{lvmlib.__version__}"
    program = ENGINE.format(python=sys.executable, record=str(record), image=image, has_image=has_image)
    (tools / name).write_text(program)
    (tools / name).chmod(0o755)
    return record


def test_without_bubblewrap_an_engine_that_has_the_image_is_taken(tools: Path) -> None:
    install_engine(tools, "podman", has_image=False)
    install_engine(tools, "docker")
    chosen = choose(unsafe=False, private=[], limits=LIMITS)
    assert (chosen.kind, chosen.reusable) == ("docker", False)


@pytest.mark.slow
def test_a_container_grades_and_is_removed(tools: Path) -> None:
    record = install_engine(tools, "docker")
    report = run(choose(unsafe=False, private=[], limits=LIMITS))
    assert list(report.answers) == ROUNDS
    told = [line.split("\t") for line in record.read_text().splitlines()]
    _, started, removed = told
    pairs = list(zip(started, started[1:], strict=False))
    assert {("--network", "none"), ("--pull", "never"), ("--log-driver", "none"), ("--cap-drop", "ALL")} <= set(pairs)
    assert "--read-only" in started
    assert removed == ["rm", "--force", dict(pairs)["--name"]]


def test_two_containers_have_two_names() -> None:
    chosen = launch.container("docker", LIMITS)
    assert chosen.command.count(launch.NAME) == chosen.removal.count(launch.NAME) == 1


def test_an_engine_without_the_image_is_not_enough(tools: Path) -> None:
    install_engine(tools, "docker", has_image=False)
    with pytest.raises(SandboxError, match=f"docker has no image {launch.IMAGE}:{lvmlib.__version__} yet; build it"):
        choose(unsafe=False, private=[], limits=LIMITS)


@pytest.mark.usefixtures("tools")
def test_without_any_sandbox_only_unsafe_will_do() -> None:
    with pytest.raises(SandboxError, match="install bubblewrap .* or grade with --unsafe"):
        choose(unsafe=False, private=[], limits=LIMITS)
    assert choose(unsafe=True, private=[], limits=LIMITS).kind == "none"


def test_bubblewrap_that_may_not_is_told_from_none(tools: Path) -> None:
    (tools / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (tools / "bwrap").chmod(0o755)
    with pytest.raises(SandboxError, match="allow unprivileged user namespaces"):
        choose(unsafe=False, private=[], limits=LIMITS)


def test_without_fork_the_sentence_says_where_to_grade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(SandboxError, match="WSL 2"):
        unprotected()


@pytest.mark.parametrize(
    "folder", [Path(sys.prefix), Path(lvmlib.__path__[0]), Path("/usr/share")], ids=lambda p: p.name
)
def test_a_private_file_where_python_is_is_refused(folder: Path) -> None:
    with pytest.raises(SandboxError, match=r"would show gradebook\.db to submissions"):
        bubblewrap([folder / "gradebook.db"])


def test_a_private_file_is_refused_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "course").symlink_to(sys.prefix)
    with pytest.raises(SandboxError):
        bubblewrap([tmp_path / "course" / "gradebook.db"])


def test_a_private_file_elsewhere_is_in_order(tmp_path: Path) -> None:
    assert bubblewrap([tmp_path / "gradebook.db"]).kind == "bubblewrap"


def test_only_python_and_its_packages_are_shown() -> None:
    root = Path(lvmlib.__path__[0]).parent
    assert root not in python_folders()
    assert not any(root.is_relative_to(folder) for folder in python_folders() if folder != root)


def run(chosen: Launch, cells: list[Source] = CELLS) -> Report:
    with Sandbox(chosen, QUICK) as sandbox:
        return sandbox.run(cells, ROUNDS)


LISTS = """
import json, os
raise RuntimeError(json.dumps([os.listdir("{root}"), os.environ["PATH"], os.path.exists("{here}")]))
"""


@in_bubblewrap
@pytest.mark.slow
def test_without_nesting_bubblewrap_grades_and_shows_no_course() -> None:
    root = Path(lvmlib.__path__[0]).parent
    look = Source(1, LISTS.format(root=root, here=Path(__file__)))
    report = run(bubblewrap(nested=False), [*CELLS, look])
    assert list(report.answers) == ROUNDS
    shown = {folder.relative_to(root).parts[0] for folder in python_folders() if folder.is_relative_to(root)}
    listed, path, here = json.loads(report.raised[1].removeprefix("raised RuntimeError: "))
    assert set(listed) == shown
    assert (path, here) == (launch.ENVIRONMENT["PATH"], False)


@pytest.mark.slow
def test_without_protection_it_grades_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    report = run(unprotected(), [*CELLS, Source(1, "import posix; posix._exit(0)", own=True)])
    assert list(report.answers) == ROUNDS
    assert report.left_out == {1: "ended Python"}
    assert report.seconds > 0
    assert capfd.readouterr() == ("", "")


FORGED_ACCOUNT = """
import json, os, signal
def command(pid):
    return open(f"/proc/{pid}/cmdline", "rb").read()
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
warm = os.getpid()
while command(parent(warm)) == command(warm):
    warm = parent(warm)
account = {"ended": "ended", "seconds": 1e999, "unsealed": "nothing will do here"}
os.write(os.open(f"/proc/{warm}/fd/2", os.O_WRONLY), b"\\n" + json.dumps(account).encode() + b"\\n")
os.kill(warm, signal.SIGKILL)
signal.pause()
"""


@pytest.mark.sandbox
@pytest.mark.slow
def test_who_gives_the_account_of_its_own_end_stops_nobody() -> None:
    report = run(unprotected(), [*CELLS, Source(1, FORGED_ACCOUNT, own=True)])
    assert list(report.answers) == ROUNDS
    assert report.left_out == {1: "ended Python"}
    assert math.isfinite(report.seconds)


@pytest.mark.parametrize("reusable", [True, False], ids=["warm", "single"])
@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("import sys; sys.exit('no namespaces here')", "did not start: no namespaces here."),
        ("pass", "did not start: it said nothing."),
        ("import sys; sys.stderr.write('x' * 300_000 + chr(10) + '\x1b[31mred'); sys.exit(1)", "did not start: red."),
        ("print('Unable to find image', flush=True)", "did not start: it said nothing."),
    ],
    ids=["refuses", "silent", "wordy", "noisy"],
)
def test_what_does_not_start_says_so(script: str, sentence: str, *, reusable: bool) -> None:
    broken = Launch((sys.executable, "-I", "-S", "-c", script), {}, reusable=reusable, kind="test")
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SandboxError, match=sentence.replace(".", r"\.")):
        run(broken)
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.parametrize("reusable", [True, False], ids=["warm", "single"])
def test_a_command_that_is_not_there_says_so(*, reusable: bool) -> None:
    with pytest.raises(SandboxError, match="did not start: .*No such file"):
        run(Launch(("/nowhere/bwrap",), {}, reusable=reusable, kind="bubblewrap"))


@pytest.fixture(scope="module")
def warm() -> Iterator[Sandbox]:
    with Sandbox(choose(unsafe=False, private=[], limits=LIMITS), QUICK) as opened:
        yield opened


@in_bubblewrap
@pytest.mark.slow
def test_a_warm_process_that_is_killed_is_replaced(warm: Sandbox) -> None:
    link = warm.open()
    os.kill(link.process.pid, signal.SIGKILL)
    report = warm.run(CELLS, ROUNDS)
    assert list(report.answers) == ROUNDS
    assert (report.left_out, report.stopped) == ({}, None)


@in_bubblewrap
@pytest.mark.slow
def test_one_that_is_killed_while_a_cell_runs_costs_that_cell_nothing(
    warm: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = warm.open()

    def read_and_kill(deadline: float) -> bytes | None:
        piece = Link.read(link, deadline)
        link.process.kill()
        link.process.wait()
        return piece

    monkeypatch.setattr(link, "read", read_and_kill)
    report = warm.run([*CELLS, Source(1, "import time; time.sleep(0.2)")], ROUNDS)
    assert list(report.answers) == ROUNDS
    assert (report.left_out, report.stopped, report.losses) == ({}, None, 1)


@in_bubblewrap
def test_submissions_leave_no_descriptor_behind(warm: Sandbox) -> None:
    warm.run(CELLS, ROUNDS)
    before = len(os.listdir("/proc/self/fd"))
    ending = [*CELLS, Source(1, "import posix; posix._exit(0)", own=True)]
    for cells in (CELLS, ending, CELLS):
        assert list(warm.run(cells, ROUNDS).answers) == ROUNDS
    assert len(os.listdir("/proc/self/fd")) == before


@in_bubblewrap
def test_ctrl_c_is_the_graders_to_handle(warm: Sandbox) -> None:
    assert os.getpgid(warm.open().process.pid) != os.getpgid(0)


@in_bubblewrap
@pytest.mark.parametrize("name", [b"\xff\xfe", b"\x0bThreads: 0", b"a) R (b"], ids=["no text", "a line", "brackets"])
def test_the_name_of_a_process_stops_no_watch(warm: Sandbox, name: bytes) -> None:
    renamed = f"import ctypes, time\nctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0)\ntime.sleep(0.2)"
    report = warm.run([*CELLS, Source(1, renamed)], ROUNDS)
    assert (list(report.answers), report.losses) == (ROUNDS, 0)


@in_bubblewrap
def test_a_process_that_hangs_up_and_lives_on_is_ended(warm: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvmlib.grading.sandbox.link.GRACE", 0.5)
    mute = "import os, time\nos.close(3)\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass"
    report = warm.run([*CELLS, Source(1, mute, own=True)], ROUNDS)
    assert (list(report.answers), report.left_out, report.losses) == (ROUNDS, {1: "ended Python"}, 0)


@in_bubblewrap
def test_what_cannot_be_sealed_off_runs_nothing(warm: Sandbox) -> None:
    warm.limits = replace(QUICK, files=-1)
    with pytest.raises(SandboxError, match="cannot be sealed: OSError"):
        warm.run(CELLS, ROUNDS)
    warm.limits = QUICK
    assert list(warm.run(CELLS, ROUNDS).answers) == ROUNDS
