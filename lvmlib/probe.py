"""Questioning a student's function: what is asked, and what is written down of its answers.

A probe knows no right answer.  It draws inputs, calls the function and keeps plain tensors, so that whoever judges them
may sit in another process.
"""

from __future__ import annotations

import contextlib
import io
import random
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor


class Unsolved(Exception):
    """The function still holds its `raise NotImplementedError`."""


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
        """
        if edge:
            self.answers.edges.append(question)
        passed = {name: _fresh(value, name in wrt) for name, value in arguments.items()}
        result = self.attempt(question, self.function, *passed.values())
        if question in self.answers.faults:
            return
        fault = _broken_promise(result, returns) or _side_effect(arguments, passed)
        if fault:
            self.answers.faults[question] = fault
            return
        value = result if isinstance(result, Tensor) else torch.tensor(result, dtype=torch.float64)
        again = self.attempt(question, self.function, *[_fresh(value, False) for value in arguments.values()])
        if question in self.answers.faults:
            return
        if not _same(value, again):
            self.answers.faults[question] = "gives another answer when it is called again with the same inputs"
            return
        self.record(question, "value", value, rtol, atol)
        for name, gradient in zip(wrt, _gradients(value, [passed[name] for name in wrt]), strict=True):
            self.record(question, f"gradient of {name}", gradient, rtol, atol)

    def attempt(self, question: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function`; an exception and a use of torch's random stream become faults of the question."""
        if question not in self.answers.questions:
            self.answers.questions.append(question)
        stream, dtype = torch.get_rng_state(), torch.get_default_dtype()
        try:
            result = function(*arguments)
        except NotImplementedError as error:
            raise Unsolved from error
        except (Exception, SystemExit) as error:
            self.answers.faults[question] = _raised(error)
            return None
        finally:
            torch.set_default_dtype(dtype)
        if not torch.equal(stream, torch.get_rng_state()):
            self.answers.faults[question] = "draws random numbers of its own; all it needs is in its arguments"
        return result

    def record(
        self, question: str, quantity: str, value: Tensor, rtol: float | None = None, atol: float | None = None
    ) -> None:
        """Keep a copy of `value` under the question, with the tolerance it is to be compared within."""
        loose, tight = (1e-4, 2e-5), (1e-9, 1e-9)
        default = tight if value.dtype in (torch.float64, torch.int64, torch.bool) else loose
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
    """Restore whatever a student's function could change globally, and keep warnings off stderr."""
    streams = torch.get_rng_state(), numpy.random.get_state(), random.getstate()
    dtype = torch.get_default_dtype()
    try:
        with torch.enable_grad(), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_rng_state(streams[0])
        numpy.random.set_state(streams[1])
        random.setstate(streams[2])


def _fresh(value: Any, differentiable: bool) -> Any:
    return value.detach().clone().requires_grad_(differentiable) if isinstance(value, Tensor) else value


def _broken_promise(result: Any, returns: type) -> str | None:
    if returns is Tensor:
        kept = type(result) is Tensor
    else:
        kept = isinstance(result, Integral if returns is int else Real) and not isinstance(result, bool)
    promised = {Tensor: "a tensor", float: "a float", int: "an int"}[returns]
    return None if kept else f"returned {_article(type(result).__name__)}; its signature promises {promised}"


def _side_effect(given: Mapping[str, Any], passed: Mapping[str, Any]) -> str | None:
    for name, value in given.items():
        if isinstance(value, Tensor) and not _same(value, passed[name]):
            return f"changed its argument `{name}` in place; work on a new tensor"
    return None


def _same(value: Any, other: Any) -> bool:
    other = other if isinstance(other, Tensor) else torch.tensor(other, dtype=torch.float64)
    return value.shape == other.shape and torch.equal(
        torch.nan_to_num(value.detach()), torch.nan_to_num(other.detach())
    )


def _gradients(value: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Gradients of a weighted sum of `value`; zeros where none arrives."""
    if not inputs or not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in inputs]
    weights = 1 + 0.5 * torch.cos(torch.arange(value.numel(), dtype=value.dtype)).reshape(value.shape)
    return list(torch.autograd.grad((value * weights).sum(), inputs, allow_unused=True, materialize_grads=True))


def _raised(error: BaseException) -> str:
    """One line: what was raised, and on which line of the student's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_students(frame.filename)]
    where = f" at `{frames[-1].line}`" if frames and frames[-1].line else ""
    what = " ".join(str(error).split())
    return f"raised {type(error).__name__}{where}" + (f": {what[:200]}" if what else "")


def _is_students(filename: str) -> bool:
    """Whether code of this file was written for a lab: not installed, not Python's own, not ours."""
    paths = sysconfig.get_paths()
    ours = str(Path(__file__).parent)
    return not filename.startswith((paths["stdlib"], paths["purelib"], paths["platlib"], ours))


def _article(noun: str) -> str:
    return noun if noun == "NoneType" else f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
