"""Who decides: the right answer of each exercise is kept here, in `solutions/NN-name/judges.py`, and nowhere else."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lvmlib import exercises
from lvmlib.authoring.course import CourseError
from lvmlib.check import CheckFailed
from lvmlib.compare import difference, recognise
from lvmlib.exercises import Exercise
from lvmlib.probe import Answers, Unsolved, interrogate

Function = Callable[..., Any]
Variants = Mapping[str, Function]

SEEDS_A_VERDICT = 2


class JudgeError(CourseError):
    """An exercise cannot be judged, because its judge or its probe is missing; the message says where to add it."""


@dataclass(frozen=True)
class Judge:
    """What decides one exercise: our own answer to it, right ones in other styles and wrong ones by their sentence."""

    exercise: Exercise
    reference: Function
    right: Variants = field(default_factory=dict)
    wrong: Variants = field(default_factory=dict)

    def answers(self, function: Function, seed: int) -> Answers:
        """What a function answers to the exercise's probe under this seed."""
        return interrogate(self.exercise.probe, function, seed)

    def expected(self, seed: int) -> Answers:
        """The right answers under this seed."""
        return self._expected(seed)

    def mistakes(self, seed: int) -> dict[str, Answers]:
        """The answers of each known mistake under this seed."""
        return self._mistakes(seed)

    # A class is judged on the seeds of one run, and every failure is compared with every known mistake.
    @cached_property
    def _expected(self) -> Callable[[int], Answers]:
        return lru_cache(maxsize=32)(partial(self.answers, self.reference))

    @cached_property
    def _mistakes(self) -> Callable[[int], dict[str, Answers]]:
        return lru_cache(maxsize=SEEDS_A_VERDICT)(self._make_mistakes)

    def _make_mistakes(self, seed: int) -> dict[str, Answers]:
        return {sentence: self.answers(wrong, seed) for sentence, wrong in self.wrong.items()}

    def verdict(self, observed: Answers, seed: int) -> str | None:
        """What is wrong with answers that were given under this seed, in a clause, or None; it needs no function."""
        if self.exercise.law:
            return self.exercise.law(observed, seed) or self._departure(observed, seed)
        return difference(observed, self.expected(seed))

    def _departure(self, observed: Answers, seed: int) -> str | None:
        """What no right function leaves out or shapes otherwise: a law may say nothing of what it is not told."""
        for (question, quantity), wanted in self.expected(seed).tensors.items():
            found = observed.tensors.get((question, quantity))
            if found is None:
                return f"gave no {quantity} ({question})"
            if found.shape != wanted.shape:
                return f"{quantity} has shape {tuple(found.shape)}; it should be {tuple(wanted.shape)} ({question})"
        return None

    def explanation(self, observed: Answers, seed: int) -> str | None:
        """The sentence of the known mistake behind answers that were found wrong, or None."""
        if self.exercise.law:
            return None
        return next(iter(recognise(observed, self.expected(seed), self.mistakes(seed))), None)


_judges: dict[str, Judge] = {}


def oracle(name: str, *, reference: Function, right: Variants, wrong: Variants, exact: bool = True) -> None:
    """Enter the judge of an exercise.

    Args:
        name: the exercise, in kebab case.
        reference: our own answer.
        right: further right answers by what is different about their style.
        wrong: wrong answers by the sentence a student should read.
        exact: compute the reference in float64 and round at the end, so that it is not itself in doubt.
    """
    judge = Judge(exercises.find(name), in_double(reference) if exact else reference, right, wrong)
    _judges[name] = judge


def in_double(function: Function) -> Function:
    """The same function of float32 tensors, computed in float64 and rounded once; gradients pass through."""

    def precise(*arguments: Any) -> Any:
        tensors = [argument for argument in arguments if isinstance(argument, Tensor) and argument.is_floating_point()]
        widened = [
            argument.double() if isinstance(argument, Tensor) and argument.is_floating_point() else argument
            for argument in arguments
        ]
        result = function(*widened)
        return result.to(tensors[0].dtype) if isinstance(result, Tensor) and tensors else result

    return precise


def judge(name: str, function: Function) -> None:
    """Decide an exercise on seeds that nobody has seen; what the hidden part of a test cell calls.

    Raises:
        CheckFailed: the function is not right; the sentence says why.
        JudgeError: no judge of this exercise can be found.
    """
    found = find(name)
    for _ in range(SEEDS_A_VERDICT):
        seed = secrets.randbelow(2**31)
        try:
            observed = found.answers(function, seed)
        except Unsolved:
            raise CheckFailed(f"✗ {found.exercise.function}: not written yet") from None
        clause = found.verdict(observed, seed)
        if clause:
            raise CheckFailed(f"✗ {found.exercise.function}: {found.explanation(observed, seed) or clause}")


def find(name: str) -> Judge:
    """The judge of an exercise.

    Raises:
        JudgeError: `solutions/` cannot be found, or holds no judge of this exercise.
    """
    for path in sorted(solutions().glob("*/judges.py")):
        load(path)
    if name not in _judges:
        raise JudgeError(f"No judges.py under solutions/ judges {name!r}; add oracle({name!r}, …) to its lab's.")
    return _judges[name]


def of_lab(lab: str) -> list[Judge]:
    """The judges of one lab (`03-vae`), in the order of its exercises.

    Raises:
        JudgeError: no exercise of the lab is questioned, or one has no judge.
    """
    found = [find(exercise.name) for exercise in exercises.every(lab)]
    if not found:
        probes = f"lvmlib/exercises/{exercises.module_name(lab)}.py"
        raise JudgeError(f"No exercise of {lab} is questioned; write its probes into {probes}.")
    return found


def solutions() -> Path:
    """The folder of the instructors' side: `LVM_SOLUTIONS`, or `solutions/` here, above here, or beside lvmlib.

    Raises:
        JudgeError: there is none.
    """
    here = Path.cwd()
    candidates = [folder / "solutions" for folder in (here, *here.parents, Path(__file__).parents[2])]
    if os.environ.get("LVM_SOLUTIONS"):
        candidates = [Path(os.environ["LVM_SOLUTIONS"])]
    for folder in candidates:
        if any(folder.glob("*/judges.py")):
            return folder.resolve()
    raise JudgeError("The judges were not found; set LVM_SOLUTIONS to the course's solutions folder.")


@cache
def load(path: Path) -> None:
    """Import one judges.py, which enters its judges."""
    name = f"lvm_judges_{exercises.module_name(path.parent.name)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _random_stream_kept():
        spec.loader.exec_module(module)


@lru_cache(maxsize=32)
def from_text(lab: str, text: str) -> Mapping[str, Judge]:
    """The judges that the text of a judges.py enters, by exercise; where the text is all that came to this machine."""
    name = f"lvm_judges_text_{exercises.module_name(lab)}"
    module = types.ModuleType(name)
    module.__file__ = f"{lab}/judges.py"
    sys.modules[name] = module
    before = dict(_judges)
    try:
        with _random_stream_kept():
            exec(compile(text, module.__file__, "exec"), module.__dict__)
        return {entered: judge for entered, judge in _judges.items() if before.get(entered) is not judge}
    finally:
        _judges.clear()
        _judges.update(before)


@contextmanager
def _random_stream_kept() -> Iterator[None]:
    stream = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(stream)
