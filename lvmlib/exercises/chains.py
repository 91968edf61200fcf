"""Questioning a chain of control variates: members whose order, inputs, number of calls and weights all show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lvmlib.exercises.plain_values import blame, kind_of
from lvmlib.exercises.running_rewards import ask_state, record_parts, step
from lvmlib.probe import Ask, Draw, gradients

Members = Callable[[], list[nn.Module]]


class Affine(nn.Module):
    """Scales and shifts a reward by weights of its own and by what x holds; its loss is a square."""

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        self.scale, self.shift = nn.Parameter(scale), nn.Parameter(shift)

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if x is None:
            raise TypeError("a control variate in this chain needs x as well as the reward")
        guess = self.scale * x.flatten(1).mean(1) + self.shift
        return reward * self.scale.detach() - guess.detach(), (reward.detach() - guess) ** 2


class Summing(nn.Module):
    """Adds the sum of all rewards that it saw before, so that each call shows; its loss is the reward's double."""

    total: Tensor

    def __init__(self, like: Tensor):
        super().__init__()
        self.register_buffer("total", torch.zeros_like(like))

    def forward(self, reward: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        modified = reward + self.total
        self.total = self.total + reward.detach().sum()
        return modified, 2 * reward.detach()


def members_of(draw: Draw, kinds: str, *, dtype: torch.dtype = torch.float32) -> Members:
    """How to make the same control variates again and again: `a` stands for an affine, `s` for a summing one."""
    numbers = [draw.uniform(2, low=1.2, high=2, dtype=dtype) for _ in kinds]

    def make() -> list[nn.Module]:
        return [
            Affine(*pair.clone().unbind()) if kind == "a" else Summing(pair[0])
            for kind, pair in zip(kinds, numbers, strict=True)
        ]

    return make


def ask_chain(
    ask: Ask, question: str, make: Members, batches: Sequence[tuple[Tensor, Tensor]], *, edge: bool = False
) -> None:
    """Show a chain of these members some batches; write down what comes out and where the losses' gradients go."""
    if edge:
        ask.answers.edges.append(question)
    members = make()
    chain = ask.attempt(question, ask.function, list(members))
    weights = [weight for member in members for weight in member.parameters()]
    for batch, (reward, x) in enumerate(batches, start=1):
        parts = step(ask, question, chain, reward, x)
        if parts is None:
            return
        record_parts(ask, question, batch, parts, reward.dtype)
        found = ask.attempt(question, gradients, parts[1], weights, doing="differentiated") if weights else None
        if found is not None:
            ask.record(question, f"gradient of the loss of batch {batch} in the members' weights", torch.stack(found))


def ask_nested(ask: Ask, question: str, make: Members, batch: tuple[Tensor, Tensor]) -> None:
    """A chain whose last member is a chain."""
    ask.answers.edges.append(question)
    *outer, last = make()
    inner = ask.attempt(question, ask.function, [last])
    chain = ask.attempt(question, ask.function, [*outer, inner]) if question not in ask.answers.faults else None
    parts = step(ask, question, chain, *batch)
    if parts is not None:
        record_parts(ask, question, 1, parts, batch[0].dtype)


def ask_membership(ask: Ask, make: Members, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Whether a chain holds its members as modules do: their weights can be learned, their state can be saved."""
    question = "weights and state of its members"
    ask.answers.edges.append(question)
    members = make()
    chain = ask.attempt(question, ask.function, list(members))
    if question in ask.answers.faults:
        return
    if not isinstance(chain, nn.Module):
        blame(ask, question, f"is {kind_of(chain)}; make it a torch.nn.Module, so that what its members learn is found")
        return
    listed = {id(weight) for weight in chain.parameters()}
    if not all(id(weight) in listed for member in members for weight in member.parameters()):
        blame(
            ask,
            question,
            "does not list its members' weights, so no optimizer trains them and none are saved: "
            "keep the members in an nn.ModuleList",
        )
        return
    ask_state(ask, lambda: ask.function(make()), batches)
