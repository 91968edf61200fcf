"""Questioning score-function surrogates: the exact mean of their gradients, and their variance at rewards near −300."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises.discrete_model import DiscreteModel, miscounted
from lvmlib.exercises.expected_gradients import LITTLE, OFFSET, SLACK, gradients_of
from lvmlib.exercises.plain_values import blame
from lvmlib.exercises.tapes import Tape, categorical
from lvmlib.probe import Ask


def ask_score_function_surrogate(ask: Ask) -> None:
    """Ask `surrogate(q, log_joint, samples)` to be unbiased, with the variance of independent draws at most."""
    few, some, many = sorted(ask.draw.distinct(3, 2, 5))

    def ask_samples(outcomes: int, samples: int, what: str = "", *, edge: bool = False, **how: Any) -> None:
        question = f"K = {outcomes}, {samples} {'sample' if samples == 1 else 'samples'}{what}"
        model = DiscreteModel(ask.draw, categorical, outcomes, **how)
        wanted = f"samples = {samples} asks for {samples}"
        ask_surrogate(ask, question, model, samples, draws=samples, wanted=wanted, bound=SLACK, edge=edge)

    near: dict[str, Any] = {"offset": OFFSET, "dtype": torch.float64}
    ask_samples(many, 2)
    ask_samples(few, 3)
    ask_samples(some, 1)
    ask_samples(few, 3, ", rewards near −300", **near)
    ask_samples(some, 2, ", rewards near −300", edge=True, **near)
    ask_samples(many, 1, ", rewards near −300", edge=True, **near)
    ask_samples(2, 4, edge=True)
    ask_samples(some, 2, ", float64", edge=True, dtype=torch.float64)


def ask_self_critic(ask: Ask) -> None:
    """Ask `surrogate(q, log_joint)` to be unbiased, of two draws, and rid of a constant in the rewards."""
    few, some, many = sorted(ask.draw.distinct(3, 2, 6))

    def ask_pair(outcomes: int, what: str = "", *, edge: bool = False, **how: Any) -> None:
        model = DiscreteModel(ask.draw, categorical, outcomes, **how)
        wanted = "two are wanted, independent of each other"
        ask_surrogate(ask, f"K = {outcomes}{what}", model, draws=2, wanted=wanted, bound=LITTLE, edge=edge)

    ask_pair(some)
    ask_pair(few)
    ask_pair(many, ", rewards near −300", offset=OFFSET, dtype=torch.float64)
    ask_pair(few, ", rewards near −300", offset=OFFSET, dtype=torch.float64, edge=True)
    ask_pair(many, ", float64", dtype=torch.float64, edge=True)


def ask_surrogate(
    ask: Ask,
    question: str,
    model: DiscreteModel,
    *samples: int,
    draws: int,
    wanted: str,
    bound: float,
    edge: bool = False,
) -> None:
    """Ask for a surrogate under all tapes; write down the mean of its gradients, and the excess of their variance.

    The student's function is called as `surrogate(q, log_joint, *samples)`.

    Args:
        question: in words a student understands; unique in the probe.
        samples: how many it is told to average over, if it is told.
        draws: how many outcomes one call should draw.
        wanted: what is said to those who draw another number.
        bound: of the variance in q's parameters, where the model has an offset.
        edge: whether this tests a limit rather than everyday use.
    """
    if edge:
        ask.answers.edges.append(question)

    def run(tape: Tape) -> Mapping[str, Tensor] | None:
        surrogate = ask.attempt(question, ask.function, model.q(tape), model.log_joint, *samples)
        gradients = gradients_of(ask, question, surrogate, model.parameters)
        fault = miscounted(tape, draws, wanted)
        if fault:
            blame(ask, question, fault)
        return gradients

    found = model.over_tapes(ask, question, draws, run)
    if found is not None:
        model.write_down(ask, question, found, draws=samples[0] if samples else 1, bound=bound)
