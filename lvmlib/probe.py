"""Questioning a student's function: what is asked, and what is written down of its answers.

A probe knows no right answer.  It draws inputs, calls the function and keeps plain tensors, so that whoever judges them
may sit in another process.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor


class Unsolved(Exception):
    """A function still holds its `raise NotImplementedError`; the exception's argument is that function's name."""


class Draw:
    """Random inputs that are the same on every machine: integers of a Mersenne twister and exact arithmetic only."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, *shape: int, low: float = -1.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform numbers between `low` and `high`."""
        ticks = torch.randint(0, 2**24, shape, generator=self.generator).double()
        return (low + (high - low) * ticks / 2**24).to(dtype)

    def bits(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Fair zeros and ones."""
        return torch.randint(0, 2, shape, generator=self.generator).to(dtype)

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def distinct(self, count: int, low: int, high: int) -> list[int]:
        """Different whole numbers from `low` to `high`, so that exchanged axes show."""
        return (low + torch.randperm(high - low + 1, generator=self.generator)[:count]).tolist()


@dataclass
class Answers:
    """What a probe wrote down: plain tensors by question and quantity, and one sentence where a question failed.

    `edges` are the questions that test the limits of a function; known mistakes are recognised on the others.
    `tensors` holds keys `(question, quantity)`, where quantity is `value`, `gradient of NAME` or a name of the probe's
    own; `tolerances` belongs to the same keys and matters only in the answers of an oracle.
    """

    questions: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    tensors: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    tolerances: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)


class Ask:
    """The hand of a probe: calls the student's function and writes into `answers` what came of it."""

    def __init__(self, function: Callable[..., Any], seed: int):
        self.function = function
        self.draw = Draw(seed)
        self.answers = Answers()

    def __call__(
        self,
        question: str,
        arguments: Mapping[str, Any],
        *,
        wrt: tuple[str, ...] = (),
        returns: type = Tensor,
        edge: bool = False,
        rtol: float | None = None,
        atol: float | None = None,
        may_draw: bool = False,
    ) -> None:
        """Call the function once more and record its value and its gradients.

        Args:
            question: what is asked, in words a student understands; unique in the probe.
            arguments: in the order of the signature; they are passed by position, as copies.
            wrt: the arguments whose gradients are wanted, with a different weight on every element of the result.
            returns: what the signature promises: `Tensor`, `float` or `int`.
            edge: whether this tests a limit rather than everyday use.
            rtol: relative tolerance, if not the one of the result's dtype.
            atol: absolute tolerance, likewise.
            may_draw: whether random numbers are in order, as they are where a layer is made only to be measured.
        """
        if edge:
            self.answers.edges.append(question)
        passed = {name: _fresh(value, name in wrt) for name, value in arguments.items()}
        result = self.attempt(question, self.function, *passed.values(), may_draw=may_draw, value_only=True)
        value = self._number(question, result, returns)
        if value is None:
            return
        fault = _side_effect(arguments, passed)
        found = self.attempt(question, gradients, value, [passed[name] for name in wrt], doing="differentiated")
        copies = [_fresh(value, name in wrt) for name, value in arguments.items()]
        repeated = self.attempt(question, self.function, *copies, may_draw=may_draw, value_only=True)
        again = self._number(question, repeated, returns)
        if again is not None and not same(value, again):
            fault = fault or "gives another answer when it is called again with the same inputs"
        if fault:
            self.answers.faults.setdefault(question, fault)
        if question in self.answers.faults:
            return
        self.record(question, "value", value, rtol, atol)
        for name, gradient in zip(wrt, found, strict=True):
            self.record(question, f"gradient of {name}", gradient, rtol, atol)

    def call(self, question: str, arguments: Mapping[str, Any], *, returns: type | None = Tensor) -> Any:
        """Call the student's function once, where the call itself does something, or returns no number.

        Tensors are passed as copies, everything else as it is.

        Args:
            returns: what the signature promises, as a tensor then; None takes whatever comes, for the probe to read.

        Returns:
            What it returned, or None where it raised or broke its promise, which is then a fault of the question.
        """
        passed = {name: _fresh(value, False) for name, value in arguments.items()}
        result = self.attempt(question, self.function, *passed.values())
        value = result if returns is None else self._number(question, result, returns)
        fault = _side_effect(arguments, passed)
        if fault:
            self.answers.faults.setdefault(question, fault)
        return value

    def attempt(
        self,
        question: str,
        function: Callable[..., Any],
        *arguments: Any,
        doing: str = "",
        may_draw: bool = False,
        value_only: bool = False,
    ) -> Any:
        """Call `function`; an exception and a use of torch's random stream become faults of the question.

        Args:
            doing: what could not be done where the call raises; without it the exception alone is told.
            may_draw: whether random numbers are in order, as they are where weights are initialised.
            value_only: whether nothing but the value counts, so that settings it changes are put back without a word.
        """
        if question not in self.answers.questions:
            self.answers.questions.append(question)
        stream, learning = torch.get_rng_state(), torch.is_grad_enabled()
        try:
            with _settings_kept():
                result = function(*arguments)
                stopped = learning and not torch.is_grad_enabled()
        except NotImplementedError as error:
            if is_stub(error):
                raise Unsolved(stub_name(error)) from error
            self.answers.faults.setdefault(question, _raised(error, doing))
            return None
        except (Exception, SystemExit, GeneratorExit) as error:
            self.answers.faults.setdefault(question, _raised(error, doing))
            return None
        if not may_draw and not torch.equal(stream, torch.get_rng_state()):
            fault = "draws random numbers of its own; all it needs is in its arguments"
            self.answers.faults.setdefault(question, fault)
        if stopped and not value_only:
            fault = "left gradients switched off for all that follows; use `with torch.no_grad():`"
            self.answers.faults.setdefault(question, fault)
        return result

    def _number(self, question: str, result: Any, returns: type) -> Tensor | None:
        """What was returned as a tensor, or a fault where it is not what the signature promises."""
        if question in self.answers.faults:
            return None
        fault = _broken_promise(result, returns)
        if fault:
            self.answers.faults[question] = fault
            return None
        return result if isinstance(result, Tensor) else torch.tensor(float(result), dtype=torch.float64)

    def record(
        self, question: str, quantity: str, value: Tensor, rtol: float | None = None, atol: float | None = None
    ) -> None:
        """Keep a copy of `value` under the question, with the tolerance it is to be compared within."""
        default = (1e-6, 1e-6) if value.dtype == torch.float64 else (1e-4, 2e-5)
        self.answers.tensors[question, quantity] = value.detach().clone()
        self.answers.tolerances[question, quantity] = (
            default[0] if rtol is None else rtol,
            default[1] if atol is None else atol,
        )


def interrogate(probe: Callable[[Ask], None], function: Callable[..., Any], seed: int) -> Answers:
    """Run a probe on a function, leaving no trace: random streams, warnings and torch's settings stay as they were.

    Raises:
        Unsolved: the function raised NotImplementedError.
    """
    ask = Ask(function, seed)
    with _undisturbed():
        probe(ask)
    return ask.answers


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ask under torch's own defaults, restore what a student's function could move, and keep warnings off stderr."""
    streams = torch.get_rng_state(), numpy.random.get_state(), random.getstate()
    try:
        with (
            _settings_kept(),
            torch.enable_grad(),
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_rng_state(streams[0])
        numpy.random.set_state(streams[1])
        random.setstate(streams[2])


SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_num_threads, torch.set_num_threads),
    (numpy.geterr, lambda handling: numpy.seterr(**handling)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (os.getcwd, os.chdir),
    (lambda: sys.stdout, lambda stream: setattr(sys, "stdout", stream)),
)


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    """Restore the global settings that a student's function changes, so that no later question is blamed for them."""
    before = [get() for get, _ in SETTINGS]
    try:
        yield
    finally:
        for (get, put), value in zip(SETTINGS, before, strict=True):
            if get() != value:
                put(value)


def _fresh(value: Any, differentiable: bool) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(differentiable)
    return list(value) if type(value) is list else value


LARGEST = 10_000_000


def _broken_promise(result: Any, returns: type) -> str | None:
    promised = {Tensor: "a tensor", float: "a float", int: "an int"}[returns]
    if returns is Tensor:
        kept = type(result) is Tensor
    else:
        kept = isinstance(result, Integral if returns is int else Real) and not isinstance(result, bool)
        kept = kept and _is_float(result)
    if not kept:
        return f"returned {_article(type(result).__name__)}; its signature promises {promised}"
    if returns is Tensor and not is_plain(result):
        return "returned a tensor of an unusual kind; an ordinary dense tensor of real numbers is wanted"
    return None


def _is_float(number: Real) -> bool:
    try:
        float(number)
    except Exception:
        return False
    return True


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is an ordinary one: dense, real, on the CPU, and of a size that can be looked at."""
    ordinary = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_nested
    kind = tensor.dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    return ordinary and kind and tensor.device.type == "cpu" and tensor.numel() < LARGEST


def _side_effect(given: Mapping[str, Any], passed: Mapping[str, Any]) -> str | None:
    for name, value in given.items():
        if isinstance(value, Tensor) and not same(value, passed[name]):
            return f"changed its argument `{name}` in place; work on a new tensor"
        if type(value) is list and value != passed[name]:
            return f"changed its argument `{name}` in place; work on a new list"
    return None


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers, or NaN in the same places."""
    return one.shape == other.shape and torch.equal(torch.nan_to_num(one.detach()), torch.nan_to_num(other.detach()))


def gradients(value: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a sum of `value` that weights each of its elements differently; zeros where none arrives.

    The graph is kept, for another part of an answer may share it.
    """
    if not leaves or not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    weights = 1 + 0.5 * torch.cos(torch.arange(value.numel(), dtype=value.dtype)).reshape(value.shape)
    loss = (value * weights).sum()
    return list(torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True))


def is_stub(error: NotImplementedError) -> bool:
    """Whether the student's own `raise NotImplementedError` was met, and not one inside torch."""
    frames = traceback.extract_tb(error.__traceback__)
    return _is_students(frames[-1].filename)


def stub_name(error: NotImplementedError) -> str:
    """What is not written yet: the function that raised, or the class whose method it is."""
    raising = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return raising.f_code.co_qualname.rpartition("<locals>.")[2].partition(".")[0]


def _raised(error: BaseException, doing: str = "") -> str:
    """One line: what was raised, and on which line of the student's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_students(frame.filename)]
    where = f" at `{frames[-1].line[:80]}`" if frames and frames[-1].line else ""
    try:
        what = " ".join(str(error).split())[:200]
    except Exception:
        what = ""
    kind = f"could not be {doing}: {type(error).__name__}" if doing else f"raised {type(error).__name__}"
    return f"{kind}{where}" + (f": {what}" if what else "")


def _is_students(filename: str) -> bool:
    """Whether code of this file was written for a lab: not installed, not Python's own, not ours."""
    paths = sysconfig.get_paths()
    theirs = (paths["stdlib"], paths["purelib"], paths["platlib"], str(Path(__file__).parent))
    return not filename.startswith(tuple(folder + os.sep for folder in theirs))


def _article(noun: str) -> str:
    return "None" if noun == "NoneType" else f"{'an' if noun[:1].lower() in set('aeiou') else 'a'} {noun}"
