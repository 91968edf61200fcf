"""Exact expectations over what a discrete distribution can draw: every sequence of its outcomes, one after another.

A tape is one such sequence.  A distribution on a tape hands its outcomes out instead of drawing, and counts them; the
mean over all tapes, weighted by their probabilities, is the expectation itself and needs no tolerance for chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

LIMIT = 1_000
"""Outcomes that one tape hands out before it takes the call for an endless loop."""


class Tape:
    """Numbers of outcomes in the order in which they are handed out.

    Attributes:
        drawn: how many outcomes were asked for.  After the last number the tape starts again, so that who draws too
            often comes to an end and is told how often.
    """

    def __init__(self, numbers: Sequence[int]):
        self.numbers = tuple(numbers)
        self.drawn = 0

    def take(self, count: int) -> Tensor:
        """The next `count` numbers, shape (count,).

        Raises:
            RuntimeError: more than `LIMIT` outcomes were asked for.
        """
        first, self.drawn = self.drawn, self.drawn + count
        if self.drawn > LIMIT:
            raise RuntimeError(f"more than {LIMIT:,} outcomes were drawn; the loop has no end")
        numbers = self.numbers or (0,)
        return torch.tensor([numbers[place % len(numbers)] for place in range(first, self.drawn)]).long()

    def probability(self, table: Tensor) -> Tensor:
        """The probability of the tape, 0-d, where the rows of `table`, (rows, outcomes), take turns in drawing."""
        factors = [table[place % len(table), number] for place, number in enumerate(self.numbers)]
        return torch.stack([table.new_ones(()), *factors]).prod()


def tapes(outcomes: int, draws: int) -> Iterator[Tape]:
    """All `outcomes ** draws` tapes."""
    return (Tape(numbers) for numbers in product(range(outcomes), repeat=draws))


def moments(probabilities: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a random vector, coordinate by coordinate.

    Args:
        probabilities: of the tapes, shape (T,); they sum to 1.
        values: what the vector is under each of them, shape (T, N).

    Returns:
        Two tensors of shape (N,), in float64.
    """
    weights, values = probabilities.double()[:, None], values.double()
    mean = (weights * values).sum(0)
    return mean, (weights * (values - mean).square()).sum(0)


class OnTape(td.Distribution):
    """A discrete distribution whose `sample` reads from a tape; all else is that of the class it is mixed into.

    Attributes:
        tape: what is handed out.
        points: all outcomes by their numbers, shape (outcomes, *event).
    """

    tape: Tape
    points: Tensor

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The next outcomes of the tape, shape (*sample, *batch, *event)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        count = math.prod(shape[: len(shape) - len(self.event_shape)])
        return self.points[self.tape.take(count)].reshape(shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Refused.

        Raises:
            NotImplementedError: always; nothing discrete can be reparameterized.
        """
        raise NotImplementedError("a discrete outcome has no path derivative; draw it with q.sample()")

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution with another batch shape, on the same tape."""
        expanded = super().expand(batch_shape, _instance)
        expanded.tape, expanded.points = self.tape, self.points
        return expanded


class TapedCategorical(OnTape, td.Categorical):
    """`td.Categorical` on a tape."""


class TapedOneHot(OnTape, td.OneHotCategorical):
    """`td.OneHotCategorical` on a tape."""


class TapedBits(OnTape, td.Independent):
    """`td.Independent(td.Bernoulli(logits), 1)` on a tape; outcome n holds the binary digits of n, lowest first."""


def categorical(logits: Tensor, tape: Tape) -> TapedCategorical:
    """Numbers 0 … K−1 with logits (*batch, K)."""
    q = TapedCategorical(logits=logits)
    q.tape, q.points = tape, torch.arange(logits.shape[-1])
    return q


def one_hot(logits: Tensor, tape: Tape) -> TapedOneHot:
    """One-hot vectors with logits (*batch, K)."""
    q = TapedOneHot(logits=logits)
    q.tape, q.points = tape, torch.eye(logits.shape[-1], dtype=logits.dtype)
    return q


def bits(logits: Tensor, tape: Tape) -> TapedBits:
    """Independent bits with logits (*batch, D); there are 2^D outcomes."""
    q = TapedBits(td.Bernoulli(logits=logits), 1)
    digits = torch.arange(2 ** logits.shape[-1])[:, None] >> torch.arange(logits.shape[-1]) & 1
    q.tape, q.points = tape, digits.to(logits.dtype)
    return q


def log_table(q: OnTape) -> Tensor:
    """log q of all outcomes, shape (*batch, outcomes)."""
    batch = q.batch_shape
    points = q.points.reshape(len(q.points), *[1] * len(batch), *q.event_shape)
    return q.log_prob(points.expand(-1, *batch, *q.event_shape)).movedim(0, -1)
