"""Questioning a function that clips weights: critics of many kinds, and what is written down of them afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lvmlib.exercises.plain_values import blame
from lvmlib.probe import Ask, Draw

NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


class Scaled(nn.Module):
    """A critic inside a critic, with weights that belong to no layer: a shift and, without axes, a scale."""

    def __init__(self, inside: nn.Module, width: int):
        super().__init__()
        self.inside = inside
        self.shift = nn.Parameter(torch.zeros(width))
        self.scale = nn.Parameter(torch.ones(()))


def dense_critic(inputs: int, width: int) -> nn.Sequential:
    """Linear layers alone."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))


def normalised_critic(channels: int, width: int) -> nn.Module:
    """Convolutions, the running statistics of BatchNorm, and a layer norm."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(width, width, bias=False),
        nn.LayerNorm(width),
        nn.Linear(width, 1),
    )


def nested_critic(inputs: int, width: int) -> nn.Module:
    """Layers inside modules inside modules, and weights that stand alone."""
    return Scaled(nn.ModuleDict({"body": dense_critic(inputs, width), "norm": nn.BatchNorm1d(width)}), width)


def ask_clipping(
    ask: Ask,
    question: str,
    critic: nn.Module,
    limit: float,
    *,
    reach: float = 3.0,
    learned: bool = True,
    edge: bool = False,
) -> None:
    """Have a critic clipped.

    Args:
        reach: its weights, gradients and statistics lie within this many times the limit.
        learned: whether gradients are stored in it.
        edge: whether this tests a limit rather than everyday use.
    """
    if edge:
        ask.answers.edges.append(question)
    _fill(ask.draw, critic, reach * limit)
    if not learned:
        critic.zero_grad()
    before = {name: _Flags.of(parameter) for name, parameter in critic.named_parameters()}
    modes = [module.training for module in critic.modules()]
    ask.attempt(question, ask.function, critic, limit)
    fault = _tampered(before, critic)
    if not fault and modes != [module.training for module in critic.modules()]:
        fault = "switched the critic between train and eval mode; leave its mode alone"
    if fault:
        blame(ask, question, fault)
    if question not in ask.answers.faults:
        for quantity, found in _quantities(critic).items():
            ask.record(question, quantity, torch.cat(found), rtol=1e-6, atol=0)


class _Flags(NamedTuple):
    """A parameter and what clipping must leave as it is."""

    parameter: nn.Parameter
    learning: bool
    has_gradient: bool

    @classmethod
    def of(cls, parameter: nn.Parameter) -> _Flags:
        return cls(parameter, parameter.requires_grad, parameter.grad is not None)


def _fill(draw: Draw, critic: nn.Module, reach: float) -> None:
    """Numbers on both sides of zero for all that a critic holds; the running variances alone are positive."""

    def drawn(like: Tensor, low: float) -> Tensor:
        return draw.uniform(*like.shape, low=low, high=reach).to(like.dtype)

    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.copy_(drawn(parameter, -reach))
            parameter.grad = drawn(parameter, -reach)
        for name, buffer in critic.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(drawn(buffer, reach / 10 if "var" in name else -reach))


def _tampered(before: Mapping[str, _Flags], critic: nn.Module) -> str | None:
    """What was done to the parameters beside changing their values, in a clause."""
    now = dict(critic.named_parameters())
    added = [name for name in now if name not in before]
    if added:
        return f"gave the critic a new parameter, `{added[0]}`; change the values of those it has"
    for name, (parameter, learning, has_gradient) in before.items():
        if name not in now:
            return f"took `{name}` from the critic's parameters; change its values alone"
        if now[name] is not parameter:
            return f"replaced the parameter `{name}`, so that the optimizer knows it no more; change it in place"
        if parameter.requires_grad and not learning:
            return f"let `{name}` learn, which was frozen; clip without tracking and leave requires_grad alone"
        if not parameter.is_leaf or parameter.requires_grad != learning:
            return f"left `{name}` where no gradient reaches it; clip without tracking and leave requires_grad alone"
        if parameter.grad is None and has_gradient:
            return f"took the gradient of `{name}` away; clip the weights alone"
    return None


def _quantities(critic: nn.Module) -> dict[str, list[Tensor]]:
    """All numbers of a critic by what they are, in the words of a complaint."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    for quantity, tensor in _entries(critic):
        found[quantity].append(tensor.detach().flatten())
    return found


def _entries(critic: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for module in critic.modules():
        of = "of a normalisation" if isinstance(module, NORMALISATIONS) else "of a layer"
        for name, parameter in module.named_parameters(recurse=False):
            yield f"a {name} {of}" if name in ("weight", "bias") else f"the parameter `{name}`", parameter
        for name, buffer in module.named_buffers(recurse=False):
            yield f"the statistic `{name}`", buffer
    for parameter in critic.parameters():
        if parameter.grad is not None:
            yield "a stored gradient", parameter.grad
