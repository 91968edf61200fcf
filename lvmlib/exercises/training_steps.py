"""Questioning one step of training: what it returns, which weights it moves, and what it leaves behind.

Two small networks with weights of our own play against each other; their gradients are full of ones beforehand, as if
an earlier step had left them there.  What the weights should be afterwards is the oracle's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from lvmlib.probe import Ask, Draw

Optimize = Callable[[Iterable[nn.Parameter]], Optimizer]

# Adam and RMSprop divide by the size of a gradient; their eps keeps a rounding error of one near zero small.
OPTIMIZERS: dict[str, Optimize] = {
    "SGD with momentum": lambda parameters: SGD(parameters, lr=0.15, momentum=0.7),
    "Adam": lambda parameters: Adam(parameters, lr=0.05, betas=(0.5, 0.9), eps=1e-2),
    "RMSprop": lambda parameters: RMSprop(parameters, lr=0.05, eps=1e-2),
}

HIDDEN = 4
ORDINALS = ("first", "second", "third", "fourth")


def small_discriminator(draw: Draw, shape: Sequence[int]) -> nn.Sequential:
    """Observations (batch, *shape) to one number each, (batch,), smoothly and without BatchNorm."""
    layers = nn.Flatten(), nn.Linear(prod(shape), HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1), nn.Flatten(0)
    return with_drawn_weights(draw, nn.Sequential(*layers))


def small_generator(draw: Draw, latent: int, shape: Sequence[int], *, normalised: bool = False) -> nn.Sequential:
    """Codes (batch, latent) to observations in [0, 1], (batch, *shape); with BatchNorm if `normalised`."""
    # A bias before BatchNorm has no gradient but rounding errors, which Adam would blow up.
    hidden = [nn.Linear(latent, HIDDEN, bias=not normalised), *([nn.BatchNorm1d(HIDDEN)] if normalised else [])]
    output = nn.Linear(HIDDEN, prod(shape)), nn.Sigmoid(), nn.Unflatten(1, tuple(shape))
    return with_drawn_weights(draw, nn.Sequential(*hidden, nn.Tanh(), *output))


def with_drawn_weights(draw: Draw, network: nn.Sequential) -> nn.Sequential:
    """The network, with weights that are the same on every machine and none of them near zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            size = draw.uniform(*parameter.shape, low=0.3, high=1.0)
            parameter.copy_(size * (2 * draw.bits(*parameter.shape) - 1))
    return network


def ask_steps(
    ask: Ask,
    question: str,
    networks: Mapping[str, nn.Module],
    trained: str,
    optimizer: Optimizer,
    batches: Sequence[Mapping[str, Any]],
    *,
    passes_gradients: bool = False,
    edge: bool = False,
) -> None:
    """Take one step on each batch and write down its loss and the weights that it moved.

    The student's function is called as `step(*networks, optimizer, *batch)`.

    Args:
        question: in words a student understands; unique in the probe.
        networks: in the order of the signature, each under the name of its argument.
        trained: which of them is trained; the weights of the others must not move.
        optimizer: of the trained network.
        batches: the remaining arguments of each step.
        passes_gradients: whether the others may receive gradients, as a discriminator does that leads a generator.
        edge: whether this tests a limit rather than everyday use.
    """
    if edge:
        ask.answers.edges.append(question)
    for network in networks.values():
        _fill_gradients(network)
    before = {name: _State.of(network) for name, network in networks.items()}
    for ordinal, batch in zip(ORDINALS, batches, strict=False):
        loss = ask.call(question, {**networks, "optimizer": optimizer, **batch})
        for name, network in networks.items():
            fault = before[name].change(network, name, trained, passes_gradients)
            if fault:
                ask.answers.faults.setdefault(question, fault)
        if loss is None or question in ask.answers.faults:
            return
        ask.record(question, f"the loss of the {ordinal} step", loss)
        moved = torch.cat([parameter.flatten() for parameter in networks[trained].parameters()])
        ask.record(question, f"a weight of the {trained} after the {ordinal} step", moved)


def _fill_gradients(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)


class _State(NamedTuple):
    """What a step must leave as it was: flags of a network and, where it is not trained, its weights."""

    parameters: list[nn.Parameter]
    weights: list[Tensor]
    gradients: list[Tensor | None]
    learning: list[bool]
    training: list[bool]

    @classmethod
    def of(cls, network: nn.Module) -> _State:
        parameters = list(network.parameters())
        return cls(
            parameters,
            [parameter.detach().clone() for parameter in parameters],
            [None if parameter.grad is None else parameter.grad.clone() for parameter in parameters],
            [parameter.requires_grad for parameter in parameters],
            [module.training for module in network.modules()],
        )

    def change(self, network: nn.Module, name: str, trained: str, passes_gradients: bool) -> str | None:
        """What a step should not have done to the network, in a clause, or None."""
        now = _State.of(network)
        if [*map(id, self.parameters)] != [*map(id, now.parameters)]:
            return f"put new parameters into the {name}, which its optimizer does not know; change them in place"
        if now.learning != self.learning:
            return f"left the {name} frozen; set requires_grad back to what it was"
        if now.training != self.training:
            return f"left the {name} in another mode; it was in {_mode(self)} mode and should be so afterwards"
        if name == trained:
            return None
        if not all(map(torch.equal, self.weights, now.weights)):
            return f"moved the {name}; this step trains the {trained} alone"
        if not passes_gradients and not self._same_or_cleared(now):
            return f"sent gradients into the {name}: the fakes were not detached"
        return None

    def _same_or_cleared(self, now: _State) -> bool:
        pairs = zip(self.gradients, now.gradients, strict=True)
        return all(new is None or not new.any() or (old is not None and torch.equal(old, new)) for old, new in pairs)


def _mode(state: _State) -> str:
    return "train" if all(state.training) else "eval"
