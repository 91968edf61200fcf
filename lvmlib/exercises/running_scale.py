"""The law of rewards that are divided by a running scale: which divisors a history allows.

Several accounts of "the usual spread of a reward" are right: a running standard deviation or the root of a running
variance, with either correction, with a batch of one counted as 0 or left out, and with the floor of 1 applied to the
divisor or to what is kept.  A control variate must follow one of them through all histories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises.running_rewards import GRAPH, History, histories, loss_of, modified
from lvmlib.probe import Answers, Draw

TOLERANCE = 1e-3
"""Relative, of a divisor; corrections and means of roots and squares differ by more."""

Spread = Callable[[Tensor, int], float]


def deviation(reward: Tensor, correction: int) -> float:
    """The standard deviation of one batch; that of a single reward is 0, whatever the correction."""
    return float(reward.std(correction=correction)) if len(reward) > 1 else 0.0


@dataclass(frozen=True)
class Account:
    """One way to keep a running scale s, right or wrong, as the divisors that it gives."""

    power: int = 1
    correction: int = 0
    skips_single: bool = False
    keeps_floor: bool = False
    start: float | None = 1.0
    spread: Spread = deviation
    weights: Callable[[float, int], tuple[float, float]] = lambda decay, batch: (decay, 1 - decay)
    divisor: Callable[[float], float] = lambda s: max(1.0, s)
    updates_first: bool = False
    sees_modified: bool = False
    largest: bool = False

    def divisors(self, history: History) -> Iterator[float]:
        """What the rewards of each batch are divided by."""
        kept = self.start
        for batch, reward in enumerate(history.rewards, start=1):
            now = self.divisor(self._root(kept))
            seen = reward.double() / now if self.sees_modified else reward.double()
            kept = self._updated(kept, seen, history.decay, batch)
            yield self.divisor(self._root(kept)) if self.updates_first else now

    def _root(self, kept: float | None) -> float:
        return 1.0 if kept is None else kept ** (1 / self.power)

    def _updated(self, kept: float | None, reward: Tensor, decay: float, batch: int) -> float | None:
        if self.skips_single and len(reward) == 1:
            return kept
        found = self.spread(reward, self.correction) ** self.power
        if kept is None:
            return found
        old, new = self.weights(decay, batch)
        updated = max(kept, found) if self.largest else old * kept + new * found
        return max(1.0, updated) if self.keeps_floor else updated


RIGHT = [
    Account(power=power, correction=correction, skips_single=skips_single, keeps_floor=keeps_floor)
    for power, correction, skips_single, keeps_floor in product((1, 2), (0, 1), (False, True), (False, True))
]

WRONG: Mapping[str, Mapping[str, Any]] = {
    "s had already seen the batch that it divides; divide first, update then": {"updates_first": True},
    "decay is on the wrong side: it weighs the old s, and 1 − decay the new batch": {
        "weights": lambda decay, batch: (1 - decay, decay)
    },
    "1 − decay is missing before the new standard deviation": {"weights": lambda decay, batch: (decay, 1.0)},
    "the floor is missing: where s is below 1, dividing by it makes rewards louder": {"divisor": lambda s: s},
    "never divided: s does not change": {"weights": lambda decay, batch: (1.0, 0.0)},
    "divided by min(1, s); the floor is max(1, s)": {"divisor": lambda s: min(1.0, s)},
    "divided by 1 + s; the floor is max(1, s)": {"divisor": lambda s: 1 + s},
    "multiplied by the scale; divide": {"divisor": lambda s: 1 / max(1.0, s)},
    "divided by the root of s, which is a standard deviation already": {"divisor": lambda s: max(1.0, s) ** 0.5},
    "this keeps the variance; take its root before you divide": {
        "spread": lambda reward, correction: deviation(reward, correction) ** 2
    },
    "divided by s²; divide by s": {"divisor": lambda s: max(1.0, s) ** 2},
    "s starts at 0; it starts at 1": {"start": 0.0},
    "s starts with the spread of the first batch; it starts at 1": {"start": None},
    "divided by the standard deviation of the batch itself; s is what earlier batches had": {
        "weights": lambda decay, batch: (0.0, 1.0),
        "updates_first": True,
    },
    "only the batch before counts; s is a running average": {"weights": lambda decay, batch: (0.0, 1.0)},
    "all batches count alike; decay says how soon old ones are forgotten": {
        "weights": lambda decay, batch: (1 - 1 / batch, 1 / batch)
    },
    "s is the largest spread so far; it is a running average": {"largest": True},
    "this is the root of the mean square; subtract the mean first": {
        "spread": lambda reward, correction: float(reward.square().mean().sqrt())
    },
    "this is the mean of |reward|; take the standard deviation": {
        "spread": lambda reward, correction: float(reward.abs().mean())
    },
    "this is the mean distance from the mean; take the standard deviation": {
        "spread": lambda reward, correction: float((reward - reward.mean()).abs().mean())
    },
    "this is the range; take the standard deviation": {
        "spread": lambda reward, correction: float(reward.max() - reward.min())
    },
    "this is the largest |reward|; take the standard deviation": {
        "spread": lambda reward, correction: float(reward.abs().max())
    },
    "s saw the rewards after they were divided; it sees them as they come": {"sees_modified": True},
}


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with a control variate that divides by a running scale, in a clause; None if nothing is."""
    for question, fault in answers.faults.items():
        return f"{fault} ({question})"
    asked = histories(Draw(seed))
    found: dict[str, list[float]] = {}
    for history in asked:
        for complain in (_about_loss, _about_reward):
            clause = complain(answers, history)
            if clause:
                return f"{clause} ({history.question})"
    for history in asked:
        found[history.question] = [_divisor(answers, history, batch) for batch in range(1, len(history.rewards) + 1)]
    if not answers.tensors[GRAPH, modified(3)].isfinite().all():
        return f"modified reward of batch 3 is not finite ({GRAPH})"
    if _explained(RIGHT, asked, found):
        return None
    for sentence, change in WRONG.items():
        if _explained((replace(account, **change) for account in RIGHT), asked, found):
            return sentence
    return _first_difference(asked, found)


def _about_loss(answers: Answers, history: History) -> str | None:
    for batch, reward in enumerate(history.rewards, start=1):
        loss = answers.tensors[history.question, loss_of(batch)]
        if loss.shape != reward.shape:
            return f"the loss has shape {tuple(loss.shape)}; it should be {tuple(reward.shape)}, a 0 for each reward"
        if loss.any():
            return f"the loss is {loss.flatten()[0].item():.4g}; nothing is learned here, so it is 0 for each reward"
    return None


def _about_reward(answers: Answers, history: History) -> str | None:
    for batch, reward in enumerate(history.rewards, start=1):
        name = modified(batch)
        observed = answers.tensors[history.question, name]
        if observed.shape != reward.shape:
            return f"{name} has shape {tuple(observed.shape)}; it should be {tuple(reward.shape)}"
        if observed.dtype != reward.dtype:
            return f"{name} is {observed.dtype}; it should be {reward.dtype}, as the reward is"
        if not observed.isfinite().all():
            single = any(len(earlier) == 1 for earlier in history.rewards[:batch])
            hint = "; the standard deviation of a batch of one is 0, but NaN with the usual correction"
            return f"{name} is {observed[~observed.isfinite()][0].item()}{hint if single else ''}"
        ratio = observed.double() / reward.double()
        if torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=TOLERANCE, atol=1e-12):
            if ratio[0] == 0:
                return f"{name} is 0"
            continue
        slopes = observed.double().diff() / reward.double().diff()
        if slopes[0] > 0 and torch.allclose(slopes, slopes[0].expand_as(slopes), rtol=0.02, atol=0):
            return f"a constant was subtracted from {name.replace('modified ', 'the ')}; scaling divides and no more"
        return f"{name} is not the reward divided by one number"
    return None


def _divisor(answers: Answers, history: History, batch: int) -> float:
    reward, observed = history.rewards[batch - 1], answers.tensors[history.question, modified(batch)]
    return float(reward.double().sum() / observed.double().sum())


def _explained(accounts: Iterable[Account], asked: Iterable[History], found: Mapping[str, list[float]]) -> bool:
    """Whether one of the accounts gives the divisors of all histories."""
    return any(
        all(_agree(account.divisors(history), found[history.question]) for history in asked) for account in accounts
    )


def _agree(expected: Iterable[float], found: Iterable[float]) -> bool:
    return all(math.isclose(one, other, rel_tol=TOLERANCE) for one, other in zip(expected, found, strict=True))


def _first_difference(asked: Iterable[History], found: Mapping[str, list[float]]) -> str:
    differences = (
        f"the rewards of batch {batch} were divided by {divisor:.5g}, not {wanted:.5g} ({history.question})"
        for history in asked
        for batch, (wanted, divisor) in enumerate(
            zip(RIGHT[0].divisors(history), found[history.question], strict=True), start=1
        )
        if not math.isclose(wanted, divisor, rel_tol=TOLERANCE)
    )
    return next(differences)
