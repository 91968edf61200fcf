"""Questioning a surrogate for a mixture of Gaussians under all components, with eps on the nodes of a quadrature."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lvmlib.exercises.expected_gradients import (
    IN_JOINT,
    LITTLE,
    OFFSET,
    SLACK,
    alike,
    gradients_of,
    record_excess,
    record_means,
    weigh,
)
from lvmlib.exercises.plain_values import blame
from lvmlib.probe import Ask, Draw

REACH, STEP = 6.0, 0.4
"""Of the trapezoidal rule for eps.  It is exact beyond every digit for polynomials, and leaves a smaller error than a
Gauss–Hermite rule of as many nodes where one component is narrow inside another (Trefethen & Weideman, *The
exponentially convergent trapezoidal rule*, 2014)."""

PARTS = ("logits", "means", "log_scales")


class Weighted(NamedTuple):
    """A component, 0-d int64, and a value of eps, 0-d, with their joint weight, 0-d float64."""

    component: Tensor
    eps: Tensor
    weight: Tensor


class MixtureModel:
    """A mixture of Gaussians in one dimension as q, and a log_joint with parameters of its own.

    Args:
        squared: whether log_joint is a parabola; otherwise it bends in another way.
        offset: is added to log_joint.
    """

    def __init__(
        self,
        draw: Draw,
        components: int,
        *,
        squared: bool,
        offset: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ):
        places = torch.linspace(-1, 1, components, dtype=dtype) if components > 1 else torch.zeros(1, dtype=dtype)
        order = torch.randperm(components, generator=draw.generator)
        self.logits = draw.uniform(components, dtype=dtype).requires_grad_()
        self.means = (places[order] + draw.uniform(components, low=-0.3, high=0.3, dtype=dtype)).requires_grad_()
        self.log_scales = draw.uniform(components, low=-0.4, high=0.5, dtype=dtype).requires_grad_()
        self.decoder = draw.uniform(2, low=0.5, high=1.5, dtype=dtype).requires_grad_()
        self.squared, self.offset = squared, offset
        in_q = {f"gradient of {part}, averaged over all draws,": getattr(self, part) for part in PARTS}
        self.parameters = {**in_q, IN_JOINT: self.decoder}

    def log_joint(self, z: Tensor) -> Tensor:
        """Nats, of the shape of z."""
        slope, place = self.decoder
        bend = (slope * z - place).square() if self.squared else 3 * F.softplus(slope * z - place) + 0.25 * z.square()
        return self.offset - bend

    def draws(self) -> list[Weighted]:
        """All components with all nodes."""
        nodes = torch.arange(-REACH, REACH + STEP / 2, STEP, dtype=torch.float64)
        shares, chances = (-nodes.square() / 2).softmax(0), self.logits.detach().double().softmax(0)
        return [
            Weighted(torch.tensor(component), node.to(self.logits.dtype), chances[component] * share)
            for component in range(len(chances))
            for node, share in zip(nodes, shares, strict=True)
        ]

    def units(self) -> dict[str, Tensor]:
        """300² E|∇ log q(component, z)|² by part of q's parameters."""
        chances, scales = self.logits.detach().double().softmax(0), self.log_scales.detach().double().exp()
        squares = 1 - chances.square().sum(), (chances / scales.square()).sum(), 2 * chances.sum()
        return {name: OFFSET**2 * square for name, square in zip(self.parameters, squares, strict=False)}


def ask_hybrid_surrogate(ask: Ask) -> None:
    """Ask `surrogate(logits, means, log_scales, log_joint, component, eps)` to be unbiased, by paths where it can."""

    def ask_components(components: int, what: str, *, squared: bool, edge: bool = False, **how: Any) -> None:
        question = f"{components} {'components' if components > 1 else 'component'}, {what}"
        ask_mixture(ask, question, MixtureModel(ask.draw, components, squared=squared, **how), edge=edge)

    ask_components(2, "a log_joint of degree 2", squared=True)
    ask_components(3, "another log_joint", squared=False)
    ask_components(2, "rewards near −300, float64", squared=False, offset=OFFSET, dtype=torch.float64)
    ask_components(1, "a log_joint of degree 2", squared=True, edge=True)


def ask_mixture(ask: Ask, question: str, model: MixtureModel, *, edge: bool = False) -> None:
    """Ask for the surrogate of all draws; write down the mean of its gradients, and the excess of their variance.

    Args:
        question: in words a student understands; unique in the probe.
        edge: whether this tests a limit rather than everyday use.
    """
    if edge:
        ask.answers.edges.append(question)
    given = {part: getattr(model, part) for part in PARTS}
    before = {part: tensor.detach().clone() for part, tensor in given.items()}
    draws, answers = model.draws(), []
    for component, eps, _ in [*draws, draws[0]]:
        passed = *given.values(), model.log_joint, component.clone(), eps.clone()
        answer = gradients_of(ask, question, ask.attempt(question, ask.function, *passed), model.parameters)
        if answer is None:
            return
        answers.append(answer)
    if not alike(answers[0], answers.pop()):
        blame(ask, question, "gives another answer when it is called again with the same draw")
    for part, tensor in given.items():
        if tensor.grad is not None or not torch.equal(tensor.detach(), before[part]):
            blame(ask, question, f"called backward() or moved `{part}`; leave both to those who call it")
    if question in ask.answers.faults:
        return
    found = weigh([draw.weight for draw in draws], answers)
    record_means(ask, question, found, rtol=2e-3, atol=1e-3)
    if model.offset:
        at_most = dict(zip(model.parameters, (SLACK, LITTLE, LITTLE), strict=False))
        record_excess(ask, question, found, model.units(), at_most)
