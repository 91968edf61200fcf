"""A small model with a discrete latent for questioning estimators: all that q can draw is tried, one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lvmlib.exercises.expected_gradients import (
    IN_JOINT,
    IN_Q,
    OFFSET,
    ROUNDING,
    SLACK,
    Moments,
    alike,
    record_excess,
    record_means,
    rows,
    weigh,
)
from lvmlib.exercises.plain_values import blame
from lvmlib.exercises.tapes import OnTape, Tape, bits, categorical, log_table, one_hot, tapes
from lvmlib.probe import Ask, Draw

FEATURES = 2

Family = Callable[[Tensor, Tape], OnTape]


class DiscreteModel:
    """q(z|x) with logits linear in x, and log_joint of a mixture of Gaussians; both hang on parameters further up.

    Args:
        family: of q: numbers, one-hot vectors or bits.
        outcomes: that one draw can have.
        batch: number of observations, or None for a q without batch axes.
        offset: is added to log_joint.
    """

    def __init__(
        self,
        draw: Draw,
        family: Family,
        outcomes: int,
        *,
        batch: int | None = None,
        offset: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ):
        lead = () if batch is None else (batch,)
        width = outcomes.bit_length() - 1 if family is bits else outcomes
        self.family, self.outcomes, self.offset = family, outcomes, offset
        self.x = draw.uniform(*lead, FEATURES, low=0.5, high=1.5, dtype=dtype)
        self.weight = draw.uniform(FEATURES, width, dtype=dtype).requires_grad_()
        self.mixture = draw.uniform(outcomes, 1 + FEATURES, low=-1.5, high=1.5, dtype=dtype).requires_grad_()
        self.parameters = {IN_Q: self.weight, IN_JOINT: self.mixture}

    def q(self, tape: Tape) -> OnTape:
        """q(z|x) on a tape, with a graph to its parameters."""
        return self.family(self.x @ self.weight, tape)

    def log_joint(self, z: Tensor) -> Tensor:
        """log p(x, z) in nats, shape (…, *batch) for codes of shape (…, *batch, *event)."""
        table = self._joint_table()
        if self.family is one_hot:
            return (z * table).sum(-1)
        number = z if self.family is categorical else (z * 2 ** torch.arange(z.shape[-1])).sum(-1).long()
        return table.expand(*number.shape, -1).gather(-1, number[..., None]).squeeze(-1)

    def probabilities(self) -> Tensor:
        """Of all outcomes, shape (observations, outcomes), float64."""
        return self._log_q_table().detach().double().exp().reshape(-1, self.outcomes)

    def units(self, draws: int) -> dict[str, Tensor]:
        """What the variance of an average over independent draws is measured in, by group of parameters.

        In q's parameters 300² E|∇ log q|², in those of log_joint the variance of its own gradient.
        """
        probabilities = self.probabilities()[..., None]
        scores = rows(self._log_q_table().reshape(-1, self.outcomes), self.weight)
        paths = rows(self._joint_table().reshape(-1, self.outcomes), self.mixture)
        deviations = paths - (probabilities * paths).sum(1, keepdim=True)
        in_q = OFFSET**2 * (probabilities * scores.square()).sum((1, 2)).mean()
        return {IN_Q: in_q / draws, IN_JOINT: (probabilities * deviations.square()).sum((1, 2)).mean() / draws}

    def over_tapes(
        self, ask: Ask, question: str, draws: int, run: Callable[[Tape], Mapping[str, Tensor] | None]
    ) -> dict[str, Moments] | None:
        """Moments of all that `run` answers under each tape; None where the question has a fault."""
        before = [parameter.detach().clone() for parameter in self.parameters.values()]
        table, probabilities, answers = self.probabilities(), [], []
        for tape in tapes(self.outcomes, draws):
            answer = run(tape)
            if answer is None or question in ask.answers.faults:
                return None
            probabilities.append(tape.probability(table))
            answers.append(answer)
        again = run(Tape([0] * draws))
        if again is not None and not alike(again, answers[0]):
            blame(ask, question, "gives another answer when it is called again with the same draws")
        for parameter, old in zip(self.parameters.values(), before, strict=True):
            if parameter.grad is not None or not torch.equal(parameter.detach(), old):
                blame(ask, question, "called backward() or moved the parameters; leave both to those who call it")
        return None if question in ask.answers.faults else weigh(probabilities, answers)

    def write_down(self, ask: Ask, question: str, found: Mapping[str, Moments], draws: int, bound: float) -> None:
        """Record the means, and where the model has an offset also the excess of variance.

        Args:
            found: what `over_tapes` gave.
            draws: how many independent draws are averaged over.
            bound: of the variance in q's parameters, in `units`.
        """
        record_means(ask, question, found, **(ROUNDING if self.offset else {}))
        if self.offset:
            record_excess(ask, question, found, self.units(draws), {IN_Q: bound, IN_JOINT: SLACK})

    def _log_q_table(self) -> Tensor:
        return log_table(self.q(Tape([0])))

    def _joint_table(self) -> Tensor:
        log_prior = self.mixture[:, 0].log_softmax(0)
        distances = (self.x[..., None, :] - self.mixture[:, 1:]).square().sum(-1)
        return log_prior - 0.5 * distances + self.offset


def miscounted(tape: Tape, draws: int, wanted: str) -> str | None:
    """What is wrong with how often q was drawn from, in a clause that ends with what is wanted, or None."""
    if tape.drawn == draws:
        return None
    return f"drew {tape.drawn} {'outcome' if tape.drawn == 1 else 'outcomes'} from q; {wanted}"
