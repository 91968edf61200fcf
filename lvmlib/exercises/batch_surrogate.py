"""Questioning a batch's surrogate and loss with control variates, under all that q can draw for the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lvmlib.exercises.discrete_model import FEATURES, DiscreteModel, Family, miscounted
from lvmlib.exercises.expected_gradients import LITTLE, OFFSET, gradients_of
from lvmlib.exercises.plain_values import blame, kind_of, several
from lvmlib.exercises.tapes import Tape, bits, categorical, one_hot
from lvmlib.probe import Ask

LOSS = "loss, averaged over all draws,"
LOSS_IN_VARIATES = "gradient of loss in the control variates' parameters"
LOSS_IN_MODEL = "gradient of loss in the parameters of q and log_joint"
SURROGATE_IN_VARIATES = "gradient of surrogate in the control variates' parameters"


class Variates(nn.Module):
    """Control variates of the probe's own: they scale a reward, shift it by what depends on x, and learn something.

    Args:
        x: the observations that they should be given, shape (batch, features).

    Attributes:
        calls: how often they were called.
        fault: what was wrong with that, in a clause.
    """

    def __init__(self, x: Tensor, slope: Tensor, *, scale: float = 1.0, constant: float = 0.0):
        super().__init__()
        self.x, self.slope, self.scale, self.constant = x, slope, scale, constant
        self.weight = nn.Parameter(slope.new_full((), 0.75))
        self.calls, self.fault = 0, ""

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Another reward and a loss, shape (batch,) both."""
        self.calls += 1
        self.fault = self.fault or self._misuse(reward, x)
        return self.scale * reward - self.x @ self.slope - self.constant, self.weight * (reward + self.x[:, 0])

    def _misuse(self, reward: Tensor, x: Tensor | None) -> str:
        if type(reward) is not Tensor or reward.shape != self.x.shape[:1]:
            given, shape = kind_of(reward), tuple(self.x.shape[:1])
            return f"gave the control variates {given} as reward; one number for each observation is wanted, {shape}"
        if x is None or x.shape != self.x.shape or not torch.equal(x, self.x):
            return "did not hand x on to the control variates; a baseline looks at it"
        return ""


class NoVariates(Variates):
    """They change nothing and have nothing to learn, as an empty chain does."""

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The reward, and a loss of zeros."""
        super().forward(reward, x)
        return reward, torch.zeros_like(reward)


def ask_nvil_surrogate(ask: Ask) -> None:
    """Ask `surrogate(q, log_joint, control_variates, x)` for a surrogate and a loss of batches of changing kinds."""
    few, some = sorted(ask.draw.distinct(2, 2, 4))

    def ask_kind(
        question: str,
        family: Family,
        outcomes: int,
        batch: int,
        *,
        kind: type[Variates] = Variates,
        scale: float = 1.0,
        edge: bool = False,
        **how: Any,
    ) -> None:
        model = DiscreteModel(ask.draw, family, outcomes, batch=batch, **how)
        slope = ask.draw.uniform(FEATURES, low=0.5, high=1.5).to(model.x.dtype)
        ask_batch(ask, question, model, lambda: kind(model.x, slope, scale=scale, constant=model.offset), edge=edge)

    ask_kind(f"2 observations, K = {some}, a baseline of x", one_hot, some, 2)
    ask_kind(f"3 observations, K = {few}, rewards are halved", one_hot, few, 3, scale=0.5)
    ask_kind("2 observations, two bits, an empty chain", bits, 4, 2, kind=NoVariates)
    ask_kind("3 observations, K = 3, rewards near −300", one_hot, 3, 3, offset=OFFSET, dtype=torch.float64)
    ask_kind(f"one observation, K = {some}", one_hot, some, 1, scale=0.5, edge=True)
    ask_kind("2 observations, K = 2", one_hot, 2, 2, scale=1.5, edge=True)
    ask_kind("codes are numbers, float64", categorical, some, 2, dtype=torch.float64, edge=True)


def ask_batch(
    ask: Ask, question: str, model: DiscreteModel, make: Callable[[], Variates], *, edge: bool = False
) -> None:
    """Ask for surrogate and loss under all tapes, and write down the means of what they are and where they lead.

    Args:
        question: in words a student understands; unique in the probe.
        make: gives new control variates for every call.
        edge: whether this tests a limit rather than everyday use.
    """
    if edge:
        ask.answers.edges.append(question)
    batch = len(model.x)

    def run(tape: Tape) -> Mapping[str, Tensor] | None:
        variates, x = make(), model.x.clone()
        result = ask.attempt(question, ask.function, model.q(tape), model.log_joint, variates, x)
        if variates.fault:  # which comes before whatever it led to
            ask.answers.faults[question] = variates.fault
        parts = several(ask, question, result, ("surrogate", "loss"))
        answer = None if parts is None else _answer(ask, question, parts, model, variates)
        fault = miscounted(tape, batch, f"one for each observation is wanted, here {batch}") or _not_once(
            variates.calls
        )
        if not fault and not torch.equal(x, model.x):
            fault = "changed its argument `x` in place; work on a new tensor"
        if fault:
            blame(ask, question, fault)
        return answer

    found = model.over_tapes(ask, question, batch, run)
    if found is not None:
        model.write_down(ask, question, found, batch, bound=LITTLE)


def _not_once(calls: int) -> str | None:
    if calls == 1:
        return None
    return f"called the control variates {calls} times; call them once, for they learn from what they are given"


def _answer(
    ask: Ask, question: str, parts: tuple[Any, ...], model: DiscreteModel, variates: Variates
) -> dict[str, Tensor] | None:
    """The loss, and where both numbers lead."""
    surrogate, loss = parts
    of_surrogate = {**model.parameters, SURROGATE_IN_VARIATES: variates.weight}
    of_loss = {LOSS_IN_VARIATES: variates.weight, **model.parameters}
    leads = gradients_of(ask, question, surrogate, of_surrogate, "surrogate")
    learns = gradients_of(ask, question, loss, of_loss, "loss")
    if leads is None or learns is None:
        return None
    in_model = torch.cat([learns[name] for name in model.parameters])
    in_variates = learns[LOSS_IN_VARIATES]
    return {LOSS: loss.detach(), **leads, LOSS_IN_VARIATES: in_variates, LOSS_IN_MODEL: in_model}
