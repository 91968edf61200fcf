"""Attacks on the grader, one test a class, against the real sandbox.

Each hostile notebook has honestly solved one exercise of three, for 2 of 6 points.  All of them run in one warm worker,
one after the other, so that what one leaves behind would show in the score of the next.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hostile import HONEST, QUICK, SOLVED, points, raised, submit

from lvmlib import exercises
from lvmlib.grading import judges, task
from lvmlib.grading.assignment import Assignment, Question
from lvmlib.grading.results import Result, Status
from lvmlib.grading.sandbox import system_calls
from lvmlib.grading.sandbox.answers import encode
from lvmlib.grading.sandbox.launch import python_folders
from lvmlib.grading.sandbox.sandbox import Report, Round
from lvmlib.grading.suspicion import find_suspicions
from lvmlib.grading.verdict import decide
from lvmlib.grading.words import plain
from lvmlib.probe import Answers

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

ROOT = Path(__file__).parents[2]
HONEST_POINTS = {"kl-divergence": 2, "reparameterize": 0, "active-units": 0}
SECRET = f"secret-{uuid.uuid4().hex}"
TOOLS = """
import contextlib, ctypes, gc, json, os, signal, socket, stat, struct, sys, threading, time
import torch
libc = ctypes.CDLL(None, use_errno=True)

def frame(kind, content=b""):
    return struct.pack(">BQ", kind, len(content)) + content

ACCOUNT = b'{"raised": {}, "replaced": []}'

def tell(*found):
    raise RuntimeError(json.dumps(found))

def error_of(call, *arguments):
    ctypes.set_errno(0)
    return 0 if call(*arguments) >= 0 else ctypes.get_errno()

def refused(action, *arguments):
    try:
        action(*arguments)
    except Exception:
        return True
    return False
"""
WRONG = "def reparameterize(mean, log_var, eps):\n    return 0 * (mean + log_var + eps)\n"


@pytest.fixture(scope="module", autouse=True)
def _full_of_secrets(_small_assignment: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A worker that was started by somebody who holds secrets in every place that a process can inherit."""
    task.close()
    secret = tmp_path_factory.mktemp("secret") / "key"
    secret.write_text(SECRET)
    inherited = os.open(secret, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    with patch.dict(os.environ, {"GRADEBOOK_PASSWORD": SECRET}):
        submit(_small_assignment, HONEST, limits=QUICK)
        yield
    os.close(inherited)
    task.close()


def attack(assignment: Assignment, code: str, *own: str) -> Result:
    """Grade a notebook with hostile code in the cell of `reparameterize`, and in cells of its own."""
    return submit(assignment, {**HONEST, "reparameterize": TOOLS + code}, *own, limits=QUICK)


def found_by(assignment: Assignment, code: str) -> list:
    """What hostile code found out."""
    result = attack(assignment, code)
    assert points(result) == HONEST_POINTS
    return json.loads(raised(result))


# Verdicts

PATCHES = {
    "torch finds everything equal": "torch.equal = torch.allclose = torch.isclose = lambda *a, **k: True\n"
    "torch.Tensor.__eq__ = torch.Tensor.all = torch.Tensor.any = lambda *a, **k: torch.tensor(True)",
    "numpy's assertions are empty": "import numpy.testing\n"
    "for name in dir(numpy.testing):\n"
    "    if name.startswith('assert'): setattr(numpy.testing, name, lambda *a, **k: None)",
    "abs, all and isinstance of Python say what is wanted": "import builtins\nbuiltins.abs = lambda x: 0\n"
    "builtins.all = lambda x: True\nbuiltins.any = lambda x: False",
    "our comparison finds no difference": "from lvmlib import compare, check\n"
    "compare.difference = lambda *a: None\ncompare.recognise = lambda *a: []\n"
    "sys.modules['lvmlib.check'].complain = lambda *a: None",
    "our judges and verdicts are pleased": "from lvmlib.grading import judges, verdict, results\n"
    "judges.judge = lambda *a: None\nverdict.decide = verdict._complaint = lambda *a: (None, None, True)\n"
    "judges.Judge.verdict = lambda *a: None",
    "the exercise is exchanged for an easier one": "from lvmlib import exercises\nold = exercises.find\n"
    "exercises.find = lambda name: old('kl-divergence')",
    "an exercise gets a law that everything obeys": "from lvmlib import exercises\nfrom dataclasses import replace\n"
    "for name, one in list(exercises._exercises.items()):\n"
    "    exercises._exercises[name] = replace(one, law=lambda *a: None)",
    "nothing is asked": "from lvmlib import probe\nold = probe.Ask.__call__\n"
    "def ask(self, *a, **k):\n    if self.function.__name__ != 'reparameterize': old(self, *a, **k)\n"
    "probe.Ask.__call__ = ask",
    "every question is asked of nobody": "from lvmlib import probe\nold = probe.Ask.attempt\n"
    "def attempt(self, *a, **k):\n"
    "    return torch.zeros(1) if self.function.__name__ == 'reparameterize' else old(self, *a, **k)\n"
    "probe.Ask.attempt = attempt",
    "an AST transformer removes all asserts": "import ast\nclass Strip(ast.NodeTransformer):\n"
    "    def visit_Assert(self, node): return ast.Pass()\nget_ipython().ast_transformers.append(Strip())",
    "an input transformer rewrites all cells": "shell = get_ipython()\n"
    "shell.input_transformers_cleanup.append(lambda lines: ['pass'])",
    "run_cell and its kin are replaced": "shell = get_ipython()\n"
    "shell.run_cell_async = shell.run_cell = lambda *a, **k: None",
    "get_ipython is replaced": "import IPython, builtins\nbuiltins.get_ipython = IPython.get_ipython = lambda: None",
    "the namespace answers with a mapping of its own": "class Names(dict):\n"
    "    def __missing__(self, name): return max\n"
    "get_ipython().user_ns = Names(get_ipython().user_ns)",
    "json and struct are replaced": "for module in (json, struct):\n"
    "    module.pack = module.dumps_ = lambda *a, **k: b''",
    "a module of torch is exchanged": "import types\nsys.modules['torch.testing'] = types.ModuleType('torch.testing')",
    "functions of ours answer nobody": "class Silent:\n"
    "    def __getattribute__(self, name): raise SystemExit\n    def __call__(self, *a): raise SystemExit\n"
    "torch.allclose = torch.testing.assert_close = json.load = Silent()",
    "an audit hook, a tracer and a profiler watch": "sys.addaudithook(lambda *a: None)\n"
    "sys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\nthreading.settrace(lambda *a: None)",
    "a gc callback and finalizers run": "import weakref\ngc.callbacks.append(lambda *a: None)\ngc.freeze()",
    "exits are hooked": "import atexit\natexit.register(lambda: os.write(3, frame(12, b'')))",
    "an import hook brings modules of its own": "class Finder:\n    def find_spec(self, *a): return None\n"
    "sys.meta_path.insert(0, Finder())",
}


@pytest.mark.parametrize("code", PATCHES.values(), ids=PATCHES)
def test_replaced_functions_change_no_verdict(small_assignment: Assignment, code: str) -> None:
    assert points(attack(small_assignment, code + "\n" + WRONG)) == HONEST_POINTS


ANSWERS = {
    "an object that equals everything": """
class Yes:
    def __eq__(self, other): return True
    __ne__ = __bool__ = __le__ = __ge__ = __eq__
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    __float__ = lambda self: 1.0
def reparameterize(*a): return Yes()
""",
    "a tensor whose functions are overridden": """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None): return torch.tensor(True)
def reparameterize(mean, log_var, eps): return mean.as_subclass(Yes)
""",
    "a tensor whose class says that it is ordinary": """
class Yes(torch.Tensor):
    __class__ = property(lambda self: torch.Tensor)
    def detach(self): return self
    clone = detach
def reparameterize(mean, log_var, eps): return mean.as_subclass(Yes)
""",
    "a float of another mind": """
class Both(float):
    def __eq__(self, other): return True
    def __float__(self): return 0.0
def reparameterize(*a): return Both()
def active_units(*a): return Both()
""",
    "NaN everywhere": "def reparameterize(mean, log_var, eps): return mean * eps * float('nan')",
    "infinities": "def reparameterize(mean, log_var, eps): return mean * eps + float('inf')",
    "a score, shown by the display hook": """
def reparameterize(mean, log_var, eps):
    sys.displayhook(1.0)
    get_ipython().displayhook(1.0)
    return mean
""",
    "a raised exit": "def reparameterize(*a): raise SystemExit(0)",
    "a raised interrupt": "def reparameterize(*a): raise KeyboardInterrupt",
    "its own pickling": """
class Bomb:
    def __reduce__(self): return (os.mkdir, ('/tmp/pickled',))
def reparameterize(*a): return Bomb()
""",
}


@pytest.mark.parametrize("code", ANSWERS.values(), ids=ANSWERS)
def test_answers_of_an_odd_kind_earn_nothing(small_assignment: Assignment, code: str) -> None:
    assert points(attack(small_assignment, code)) == HONEST_POINTS


PRYING = {
    "asked from a stack frame, the probe's hand holds questions only": """
def reparameterize(mean, log_var, eps):
    caller = sys._getframe()
    while caller:
        for value in caller.f_locals.values():
            if type(value).__name__ == 'Ask':
                for key, tensor in KEY.right[11].tensors.items(): value.answers.tensors[key] = tensor
                value.answers.faults = {}
                value.record = lambda *a, **k: None
        caller = caller.f_back
    return mean
""",
    "found by the collector": """
def reparameterize(mean, log_var, eps):
    # Once is enough: the questions after the first are asked by the same hand.
    for thing in gc.get_objects() if reparameterize.__dict__.setdefault('calls', 1) else ():
        if type(thing).__name__ == 'Answers':
            thing.questions, thing.faults, thing.edges = KEY.right[11].questions, {}, KEY.right[11].edges
            thing.tensors.update(KEY.right[11].tensors)
    reparameterize.calls = 0
    return mean
""",
    "the public key's answers, whatever is asked": """
from lvmlib.grading.sandbox import work
def replay(ask, function, seed):
    return KEY.right[11] if ask.__name__ == 'reparameterize' else OLD(ask, function, seed)
work.interrogate = replay
def reparameterize(mean, log_var, eps): return mean
""",
    "the public key's answers, under the public seeds": """
from lvmlib.grading.sandbox import work
def reparameterize(mean, log_var, eps):
    right = next(right for right in KEY.right[11].tensors.values() if right.shape == eps.shape)
    return mean + log_var + right
work.interrogate = lambda ask, function, seed: OLD(ask, function, seed if ask.__name__ != 'reparameterize' else 11)
""",
}
THE_KEY = """
from lvmlib import exercises
from lvmlib.exercises import key
from lvmlib.probe import interrogate as OLD
KEY = key.read(exercises.find('reparameterize').key, 'reparameterize')
"""


@pytest.mark.parametrize("code", PRYING.values(), ids=PRYING)
def test_questions_and_public_answers_hold_no_private_ones(small_assignment: Assignment, code: str) -> None:
    assert points(attack(small_assignment, THE_KEY + code)) == HONEST_POINTS


# Forged messages

FORGED_BYTES = {
    "nothing": "b''",
    "no safetensors": "b'x' * 100",
    "a pickle": "__import__('pickle').dumps(print)",
    "a header longer than the message": "struct.pack('<Q', 2**60) + b'{}'",
    "a header that is deep JSON": "header('[' * 100000 + ']' * 100000)",
    "words that are deep JSON": "header(json.dumps({'__metadata__': {'answers': '[' * 100000}}))",
    "words that are no object": "words('3')",
    "a number of a million digits": "words('{\"entries\": [' + '9' * 1000000 + ']}')",
    "entries that are numbers": "words(json.dumps({'entries': [1], 'faults': {}, 'questions': [], 'edges': []}))",
    "a hundred thousand entries": "words('{\"entries\": [' + '[\"a\", \"b\"], ' * 10**5 + '[]]}')",
    "faults that are lists": "words(json.dumps({'entries': [], 'faults': {'a': []}, 'questions': [], 'edges': []}))",
    "a tensor of a negative shape": "tensor('F32', [-1], 0, 4)",
    "a tensor of a huge shape": "tensor('F32', [2**40, 2**40], 0, 4)",
    "a tensor of a huge shape that is empty": "tensor('F32', [2**62, 0, 2**62], 0, 0)",
    "a tensor of an unknown type": "tensor('F128', [1], 0, 4)",
    "a tensor of complex numbers": "tensor('C64', [1], 0, 8)",
    "tensors that overlap": "tensor('F32', [4], 0, 4)",
    "constants that JSON does not have": 'words(\'{"entries": NaN, "faults": Infinity}\')',
}
FORGER = """
from lvmlib.grading.sandbox import work
def header(text, data=b''):
    return struct.pack('<Q', len(text)) + text.encode() + data
def words(text):
    return header(json.dumps({'__metadata__': {'answers': text}}))
def tensor(kind, shape, first, last):
    said = json.dumps({'entries': [['two observations', 'value']], 'faults': {}, 'questions': [], 'edges': []})
    return header(json.dumps({'__metadata__': {'answers': said}, '0': {'dtype': kind, 'shape': shape,
        'data_offsets': [first, last]}}), b'x' * max(0, last))
old = work._answer
def forge(probe, function, seed):
    if function.__name__ == 'kl_divergence':
        return old(probe, function, seed)
    return work.Kind.ANSWERS, FORGED
work._answer = forge
"""


@pytest.mark.parametrize("expression", FORGED_BYTES.values(), ids=FORGED_BYTES)
def test_bytes_that_are_no_answers_earn_nothing(small_assignment: Assignment, expression: str) -> None:
    result = attack(small_assignment, FORGER.replace("FORGED", expression, 1) + WRONG)
    assert points(result) == HONEST_POINTS
    assert result.status is Status.SUSPICIOUS


FORGED_WORDS = {
    "escape codes": "'\\x1b[31m\\x1b]0;title\\x07red'",
    "HTML": "'<script>alert(1)</script><img src=x onerror=alert(1)>'",
    "lone surrogates": "'\\ud800\\udfff'",
    "direction marks and invisible characters": "'\\u202e\\u2066\\u200b\\x00\\x85\\u2028'",
    "a million characters": "'x' * 1000000",
}


@pytest.mark.parametrize("expression", FORGED_WORDS.values(), ids=FORGED_WORDS)
def test_words_of_a_submission_are_made_plain(small_assignment: Assignment, expression: str) -> None:
    code = f"def reparameterize(*a): raise ValueError({expression})\nreparameterize.__name__ = {expression}\n"
    loud = f"class Loud(Exception): pass\nLoud.__name__ = {expression}\nraise Loud({expression})"
    for result in (attack(small_assignment, code), attack(small_assignment, loud)):
        assert points(result) == HONEST_POINTS
        for sentence in (*result.notes, *result.suspicions, *(verdict.sentence for verdict in result.verdicts)):
            assert sentence == plain(sentence, 700)


CHATTER = {
    "an account of cells that is none": "os.write(3, frame(11, b'[' * 100000))",
    "answers before the question": "os.write(3, frame(12, b'x'))",
    "a failure before the question": "os.write(3, frame(13, b'{}'))",
    "a message of eight exabytes": "os.write(3, struct.pack('>BQ', 12, 2**63))",
    "an unknown kind": "os.write(3, frame(99))",
    "a question": "os.write(3, frame(3, b'{}'))",
    "half a message": "os.write(3, b'\\x0b\\x00')",
    "the wrong cell": "[os.write(3, frame(10, index)) for index in (b'0', b'-1', b'9' * 5000, '٣'.encode())]",
    "a flood of beginnings": "os.write(3, frame(10, b'1') * 50000)",
    "a descriptor": "socket.send_fds(socket.socket(fileno=os.dup(3)), [frame(10, b'1')], [0])",
    "nothing ever again": "os.close(3)",
    "something on every descriptor": "[os.write(n, frame(12, b'x')) for n in range(256) if not refused(os.fstat, n)]",
    "too much": "os.write(3, frame(11, b' ' * (2 * 10**6)))",
}


@pytest.mark.parametrize("code", CHATTER.values(), ids=CHATTER)
def test_messages_that_no_cell_sends_earn_nothing(small_assignment: Assignment, code: str) -> None:
    result = submit(small_assignment, HONEST, TOOLS + code, limits=QUICK)
    assert points(result) == HONEST_POINTS
    assert result.status is Status.SUSPICIOUS


CONFUSION = {
    "all cells have run": "os.write(3, frame(11, ACCOUNT))",
    "all cells have run, twice": "os.write(3, 2 * frame(11, ACCOUNT))",
    "all cells have run, and forged answers": "os.write(3, frame(11, ACCOUNT) + frame(12, b'x'))",
    "an account of cells that are not there": 'os.write(3, frame(11, b\'{"raised": {"77": 3}, "replaced": {}}\'))',
    "that it listens no more": "socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RD)",
    "all the time": "def chatter():\n    while True: os.write(3, frame(12))\n"
    "threading.Thread(target=chatter, daemon=True).start()",
}


@pytest.mark.parametrize("code", CONFUSION.values(), ids=CONFUSION)
def test_who_speaks_in_its_own_process_place_can_only_lose(small_assignment: Assignment, code: str) -> None:
    result = submit(small_assignment, HONEST, TOOLS + code, limits=QUICK)
    assert all(earned <= HONEST_POINTS[exercise] for exercise, earned in points(result).items())
    assert result.status is Status.SUSPICIOUS


def test_answers_larger_than_a_message_earn_nothing(small_assignment: Assignment) -> None:
    forged = FORGER.replace("FORGED", "b'x' * (70 * 10**6)", 1)
    result = attack(small_assignment, forged + WRONG)
    assert points(result) == HONEST_POINTS
    assert any("larger" in verdict.sentence or "looked at" in verdict.sentence for verdict in result.verdicts)


def test_an_error_of_any_length_is_told_briefly(small_assignment: Assignment) -> None:
    result = attack(small_assignment, "raise ValueError('x' * 10**7)")
    assert points(result) == HONEST_POINTS
    assert max(map(len, result.notes)) < 500


LAWS = {exercise.name: exercise for exercise in exercises.every() if exercise.law}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", ["nothing", "questions alone", "zeros", "NaN"])
def test_a_law_is_not_obeyed_by_forged(name: str, kind: str) -> None:
    exercise, seed = LAWS[name], 5
    labs = ROOT.glob("solutions/*/judges.py")
    lab = next(path for path in labs if exercise in exercises.every(path.parent.name))
    expected = judges.find(name).expected(seed)
    value = {"zeros": 0.0, "NaN": math.nan}.get(kind)
    forged = Answers() if kind == "nothing" else Answers(list(expected.questions), list(expected.edges))
    if value is not None:
        forged.tensors = {entry: torch.full_like(tensor.double(), value) for entry, tensor in expected.tensors.items()}
    question = Question(name, exercise.function, 1.0)
    report = Report({Round(name, exercise.function, seed): encode(forged)})
    assignment = Assignment(lab.parent.name, (), lab.read_text(encoding="utf-8"), {})
    (verdict,), _ = decide(assignment, [question], {name: [seed]}, report, QUICK)
    assert verdict.points == 0


# Files, processes, kernel


def test_nothing_but_its_own_temporary_folders_can_be_written(small_assignment: Assignment) -> None:
    code = """
signal.setitimer(signal.ITIMER_REAL, 0)
writable, folders = [], ['/']
while folders:
    folder = folders.pop()
    if os.access(folder, os.W_OK): writable.append(folder)
    changeable = not os.statvfs(folder).f_flag & os.ST_RDONLY or folder.count('/') < 3
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False): folders.append(entry.path)
            elif changeable and not entry.is_symlink() and os.access(entry.path, os.W_OK):
                # What is written to a device of characters is nowhere to be read.
                if not stat.S_ISCHR(entry.stat().st_mode): writable.append(entry.path)
tell(*sorted(writable))
"""
    found = [Path(path) for path in found_by(small_assignment, code)]
    assert {Path("/dev/shm"), Path("/tmp"), Path("/tmp/work")} <= set(found)
    # Where Python lies below /tmp, so do the folders that lead to it; what is in them is as it was.
    assert all(path.is_relative_to("/tmp") or path == Path("/dev/shm") for path in found)
    assert not any(path.is_relative_to(folder) for path in found for folder in python_folders())


def test_nothing_of_the_course_can_be_found(small_assignment: Assignment) -> None:
    wanted = ("solutions", "judges.py", "gradebook.db", "submitted", "verdicts", "autograded", ".git", "00-small.ipynb")
    code = f"""
signal.setitimer(signal.ITIMER_REAL, 0)
paths, folders = set(), ['/']
while folders:
    with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
        for entry in entries:
            # Installed packages have folders of these names for purposes of their own.
            if entry.is_dir(follow_symlinks=False) and entry.name != 'site-packages': folders.append(entry.path)
            if entry.name in {wanted}: paths.add(entry.path)
tell(sorted(paths))
"""
    assert found_by(small_assignment, code) == [[str(ROOT / "lvmlib" / "grading" / "judges.py")]]


def test_no_judge_can_be_read(small_assignment: Assignment) -> None:
    secret = max((line for line in small_assignment.judges.splitlines() if "lambda" in line), key=len).strip()
    code = f"""
library = os.path.dirname(sys.modules['lvmlib'].__file__)
texts = [open(os.path.join(folder, name), errors='replace').read()
         for folder, _, names in os.walk(library) for name in names if name.endswith(('.py', '.json'))]
tell(len(texts) > 50, any({secret!r} in text for text in texts))
"""
    assert found_by(small_assignment, code) == [True, False]


def test_paths_of_the_grader_lead_nowhere(small_assignment: Assignment, tmp_path: Path) -> None:
    private = tmp_path / "gradebook.db"
    private.write_text(SECRET)
    paths = [str(path) for path in (private, tmp_path, ROOT / "solutions", ROOT / "tests", ROOT / ".git")]
    paths += ["/proc/1/environ", "/proc/self/mem", "/sys/kernel", "/etc/passwd", "/run", "/var", "/dev/mem", "/dev/sda"]
    code = f"""
def follow(path):
    os.symlink(path, '/tmp/link')
    try: return os.listdir('/tmp/link') if os.path.isdir('/tmp/link') else open('/tmp/link').read()
    finally: os.unlink('/tmp/link')
tell([path for path in {paths} if not refused(follow, path)], os.listdir('/proc'))
"""
    assert found_by(small_assignment, code) == [[], []]


WRITES = {
    "the grader's own library": "open(sys.modules['lvmlib'].__file__, 'a')",
    "a module for the next": "open(os.path.join(os.path.dirname(torch.__file__), '..', 'sitecustomize.py'), 'w')",
    "a path file for the next": "open(os.path.join(os.path.dirname(torch.__file__), '..', 'x.pth'), 'w')",
    "a system library": "open('/usr/lib/libc.so.6', 'a')",
    "the root": "os.mkdir('/left')",
    "a device's permissions": "os.chmod('/dev/null', 0o666)",
    "a device's times": "os.utime('/dev/zero')",
    "a terminal": "os.openpty()",
    "a device": "os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))",
    "a hard link": "os.link('/usr/bin/env', '/tmp/env')",
    "a mount": "1 / (libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) + 1)",
    "a root": "os.chroot('/tmp')",
    "another user": "os.setuid(0)",
    "another group": "os.setgroups([0])",
    "a higher priority": "os.nice(-1)",
    "a host name": "__import__('socket').sethostname('x')",
    "a raised limit": "__import__('resource').setrlimit(__import__('resource').RLIMIT_FSIZE, (-1, -1))",
    "a lease on a file": "__import__('fcntl').fcntl(os.open('/usr/bin/env', os.O_RDONLY), 1024, 1)",
    "memory that is charged to nobody": "__import__('mmap').mmap(-1, 4096)",
    "memory of the zero device": "__import__('mmap').mmap(os.open('/dev/zero', os.O_RDWR), 4096)",
    "a memory file": "os.memfd_create('x')",
    "an IPv4 socket": "socket.socket(socket.AF_INET)",
    "an IPv6 socket": "socket.socket(socket.AF_INET6)",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "a packet socket": "socket.socket(17, socket.SOCK_RAW)",
    "a netlink socket": "socket.socket(16, socket.SOCK_RAW)",
    "a socket to the virtual machine's host": "socket.socket(40, socket.SOCK_STREAM)",
    "a socket of the kernel's ciphers": "socket.socket(38, socket.SOCK_SEQPACKET)",
    "a name server": "socket.getaddrinfo('example.org', 80)",
}


@pytest.mark.parametrize("expressions", [WRITES], ids=["files, users, memory and sockets"])
def test_what_no_lab_needs_is_refused(small_assignment: Assignment, expressions: dict[str, str]) -> None:
    tries = "".join(f"\nif not refused(lambda: {code}): got.append({what!r})" for what, code in expressions.items())
    assert found_by(small_assignment, f"got = []{tries}\ntell(got)") == [[]]


def test_system_calls_that_no_lab_needs_are_refused(small_assignment: Assignment) -> None:
    denied = system_calls.DENIED[platform.machine()] | system_calls.DENIED_EVERYWHERE
    code = f"tell([name for name, number in {denied}.items() if error_of(libc.syscall, number, 0, 0, 0, 0, 0, 0) != 1])"
    assert found_by(small_assignment, code) == [[]]


def test_no_namespace_or_right_is_regained(small_assignment: Assignment) -> None:
    namespaces = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
    code = f"""
clone = {system_calls.CONDITIONS[0].numbers[platform.machine()]}
flags = {namespaces}
tell([flag for flag in flags if error_of(libc.unshare, flag) != 1],
     [flag for flag in flags if error_of(libc.syscall, clone, flag | signal.SIGCHLD, 0, 0, 0, 0) != 1],
     libc.prctl(39, 0, 0, 0, 0), bool(os.statvfs('/usr').f_flag & os.ST_NOSUID), os.getresuid())
"""
    unshared, cloned, no_new_rights, no_setuid, users = found_by(small_assignment, code)
    assert (unshared, cloned, no_new_rights, no_setuid, set(users)) == ([], [], 1, True, {1000})


def test_no_secret_is_inherited(small_assignment: Assignment) -> None:
    """Neither by the environment, nor by an open file, nor by a socket that listens on this machine."""
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{SECRET}")
        abstract.listen()
        code = f"""
def connect():
    with socket.socket(socket.AF_UNIX) as one: one.connect({f"{chr(0)}{SECRET}"!r})
tell([name for name, value in os.environ.items() if value.startswith('secret')],
     [number for number in range(65536) if not refused(os.fstat, number)], refused(connect))
"""
        assert found_by(small_assignment, code) == [[], [0, 1, 2, 3], True]


# Processes and what is left

KILLS = {
    "everybody": "os.kill(-1, signal.SIGKILL)",
    "its parent": "os.kill(os.getppid(), signal.SIGKILL)",
    "its group": "os.killpg(0, signal.SIGKILL)",
    "the first process": "os.kill(1, signal.SIGKILL)",
    "itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "itself, by an exit": "os._exit(0)",
    "all numbers": "[refused(os.kill, number, signal.SIGKILL) for number in range(1, 5000)]",
    "itself, by a fault": "ctypes.string_at(0)",
}


@pytest.mark.parametrize("where", ["in a cell", "when asked"])
@pytest.mark.parametrize("code", KILLS.values(), ids=KILLS)
def test_whoever_it_kills_the_worker_lives_on(small_assignment: Assignment, code: str, where: str) -> None:
    worker = processes()
    indented = f"def reparameterize(mean, log_var, eps):\n    {code}\n    return mean\n"
    assert points(attack(small_assignment, indented if where == "when asked" else code)) == HONEST_POINTS
    assert processes() == worker


def test_no_process_mount_or_file_is_left(small_assignment: Assignment) -> None:
    look = """
def connect(path):
    with socket.socket(socket.AF_UNIX) as one: one.connect(path)
tell(os.listdir('/tmp'), os.listdir('/tmp/work'), os.listdir('/dev/shm'), os.nice(0), os.umask(0),
     len(os.sched_getaffinity(0)), refused(connect, chr(0) + 'left'), error_of(libc.mq_open, b'/left', 0),
     [signal.getsignal(n) is signal.SIG_IGN for n in (10, 12, 15)], os.getcwd(), len(threading.enumerate()))
"""
    leave = """
os.umask(0o777); os.nice(5); signal.signal(15, signal.SIG_IGN); os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for place in ('/tmp', '/tmp/work', '/dev/shm', '/tmp/.local/lib/python3.11/site-packages', '/tmp/.ipython/startup'):
    os.makedirs(place, exist_ok=True, mode=0o700)
    for name in ('numpy.py', 'torch.py', 'sitecustomize.py', 'usercustomize.py', 'x.pth'):
        with contextlib.suppress(OSError): open(f'{place}/{name}', 'w').write('raise SystemExit')
os.environ['LD_PRELOAD'] = os.environ['PYTHONPATH'] = '/tmp'
listening = socket.socket(socket.AF_UNIX); listening.bind(chr(0) + 'left'); listening.listen()
libc.mq_open(b'/left', 0o102, 0o600, None)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
        while True:
            with contextlib.suppress(OSError): os.write(3, b'')
            time.sleep(0.01)
threading.Thread(target=time.sleep, args=(1000,)).start()
"""
    before, worker = found_by(small_assignment, look), processes()
    assert points(attack(small_assignment, leave)) == HONEST_POINTS
    assert processes() == worker
    assert found_by(small_assignment, look) == before


def processes() -> dict[int, str]:
    """The worker's processes and the mounts they see, from outside."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    found, waiting = {}, [task._kept.sandbox.open().process.pid]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        found[pid] = Path(f"/proc/{pid}/mountinfo").read_text()
    return found


def test_memory_holds_nothing_of_the_submission_before(small_assignment: Assignment) -> None:
    """Its heap is searched, after a submission that had a word in its source, its messages and its answers."""
    halves = uuid.uuid4().hex, uuid.uuid4().hex
    word = "".join(halves)
    said = f"word = {word!r} * 1\ndef reparameterize(mean, log_var, eps): raise ValueError(word)\n"
    answered = FORGER.replace("FORGED", f"b'{word}' * 1000", 1)
    assert word in "".join(verdict.sentence for verdict in attack(small_assignment, said).verdicts)
    attack(small_assignment, said + answered + f"\nraise ValueError({word!r})")
    own = uuid.uuid4().hex, uuid.uuid4().hex
    searched = SEARCH.replace("OWN", repr(own)).replace("HALVES", repr(halves))
    assert found_by(small_assignment, searched) == [True, False]


SEARCH = """
signal.setitimer(signal.ITIMER_REAL, 0)
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_long]
STEP = 1 << 16
reading, writing = os.pipe()
import fcntl
fcntl.fcntl(writing, 1031, 2 * STEP)
def copy(address):
    # The kernel refuses to read what is not mapped, where Python would end.
    length = libc.write(writing, address, STEP)
    return os.read(reading, STEP) if length > 0 else b''
def blocks():
    around = {(id(thing) >> 20) + near for thing in gc.get_objects() for near in (-1, 0, 1)}
    for block in sorted(around): yield from range(block << 20, (block + 1) << 20, STEP)
    top = libc.sbrk(0)
    while copy(top - STEP): top -= STEP; yield top
def found(first, second):
    first, second = first.encode(), second.encode()
    for address in blocks():
        content, place = copy(address), -1
        while (place := content.find(first, place + 1)) >= 0:
            if content.startswith(second, place + len(first)): return True
    return False
control = [''.join(OWN) for _ in range(100)]
tell(found(*OWN), found(*HALVES))
"""


@pytest.mark.parametrize(
    "code",
    ["os.kill(os.getpid(), signal.SIGSTOP)", "os.fork() or time.sleep(1000)\n    os.setsid()\n    time.sleep(1000)"],
    ids=["stops itself", "leaves a process that keeps the line open"],
)
def test_who_does_not_answer_in_time_earns_nothing(small_assignment: Assignment, code: str) -> None:
    stalling = f"def reparameterize(mean, log_var, eps):\n    {code}\n    return mean\n"
    result = attack(small_assignment, stalling)
    assert points(result) == HONEST_POINTS
    assert result.status is Status.SUSPICIOUS
    assert not [verdict.decided for verdict in result.verdicts if verdict.exercise == "reparameterize"][0]


@pytest.mark.slow
def test_a_cell_that_ignores_the_alarm_is_left_out(small_assignment: Assignment) -> None:
    endless = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    result = submit(small_assignment, SOLVED, endless, limits=QUICK)
    assert (result.status, result.score) == (Status.PARTLY, 6)


def test_the_next_one_is_graded_as_in_a_fresh_worker(small_assignment: Assignment) -> None:
    here = submit(small_assignment, SOLVED, limits=QUICK)
    task.close()
    fresh = submit(small_assignment, SOLVED, limits=QUICK)
    assert here.score == fresh.score == 6
    assert replace(here, seconds=0) == replace(fresh, seconds=0)


# Honest ones

ODD = {
    "magics": "%matplotlib inline\n%config InlineBackend.figure_format = 'retina'\n%timeit -n1 -r1 1 + 1",
    "a timed cell": "%%time\nx = 1",
    "a listing": "!ls\nfiles = !ls",
    "a shell script": "%%bash\necho done",
    "a file of its own": "%%writefile helper.py\nx = 1",
    "display": "from IPython.display import HTML, clear_output, display\ndisplay(HTML('<b>x</b>'))\nclear_output()",
    "await": "import asyncio\nawait asyncio.sleep(0)",
    "plots": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "progress bars": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass",
    "widgets": "import ipywidgets\nipywidgets.IntSlider()",
    "seeds": "import os, random, numpy, torch\nrandom.seed(0)\nnumpy.random.seed(0)\ntorch.manual_seed(0)\n"
    "os.environ['PYTHONHASHSEED'] = '0'\ntorch.use_deterministic_algorithms(True)",
    "another default type": "import torch\ntorch.set_default_dtype(torch.float64)",
    "another default device": "import torch\ntorch.set_default_device('cpu')",
    "automatic reloading": "%load_ext autoreload\n%autoreload 2",
    "reloaded modules": "import importlib, json, lvmlib\nimportlib.reload(lvmlib)\nimportlib.reload(json)",
    "loaders with workers": "import torch\nfrom torch.utils.data import DataLoader\n"
    "list(DataLoader(torch.ones(4, 1), batch_size=2, num_workers=1))",
    "hidden warnings": "import warnings\nwarnings.filterwarnings('ignore')",
    "saved weights": "import torch\ntorch.save({}, 'weights.pt')\ntorch.load('weights.pt')",
    "a download that fails": "import urllib.request\n"
    "try: urllib.request.urlretrieve('http://example.org/x', 'x')\nexcept OSError: pass",
    "names of Python's": "sum = 3\nlist = input = None",
    "a comment on solutions": "# one of many solutions/approaches, in a subprocess; see /proc/cpuinfo",
    "an error in an extra cell": "1 / 0",
    "the debugger": "%debug",
}


def test_odd_but_honest_notebooks_are_graded_as_any(small_assignment: Assignment) -> None:
    result = submit(small_assignment, SOLVED, *ODD.values(), limits=QUICK)
    assert (result.status, result.score, result.suspicions, result.notes) == (Status.GRADED, 6, (), ())


@pytest.mark.parametrize("word", ["from lvmlib import ", "'/", "import ", "lvmlib.", "os.", "/proc"])
def test_no_text_makes_the_search_for_signs_slow(word: str) -> None:
    cell = {"cell_type": "code", "id": "own", "metadata": {}, "source": word * (2_000_000 // len(word))}
    assert find_suspicions([cell], []) == ()


def test_what_one_exercise_replaces_is_not_met_by_the_next(small_assignment: Assignment) -> None:
    meddling = SOLVED["kl-divergence"].replace("    return", "    torch.Tensor.exp = torch.Tensor.sin\n    return")
    result = submit(small_assignment, {**SOLVED, "kl-divergence": meddling})
    assert points(result)["reparameterize"] == 3


def test_an_exercise_that_leaves_a_killer_behind_costs_the_next_nothing(small_assignment: Assignment) -> None:
    killer = "import os, threading\n" + SOLVED["kl-divergence"].replace(
        "    return", "    threading.Timer(0.02, os._exit, (1,)).start()\n    return"
    )
    result = submit(small_assignment, {**SOLVED, "kl-divergence": killer})
    assert points(result)["active-units"] == 1
