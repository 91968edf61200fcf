"""Questioning a gradient penalty: critics whose slopes are known, and where the penalty's own gradient goes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lvmlib.exercises.plain_values import blame, kind_of
from lvmlib.probe import Ask, Draw, is_plain


class Polynomial(nn.Module):
    """f(x) = Σ_d a_d x_d + b_d x_d² / 2 + c_d x_d³ / 3 over all coordinates of x, plus a constant.

    Its slope, a + b x + c x², has length |a| everywhere if b = c = 0, and otherwise tells one place from another.
    """

    def __init__(self, *coefficients: Tensor):
        super().__init__()
        self.coefficients = nn.ParameterList(nn.Parameter(tensor.clone()) for tensor in coefficients)
        self.constant = nn.Parameter(coefficients[0].new_ones(()))

    def forward(self, x: Tensor) -> Tensor:
        terms = sum(tensor * x**power / power for power, tensor in enumerate(self.coefficients, start=1))
        return terms.flatten(1).sum(1) + self.constant


def smooth_critic(draw: Draw, shape: Sequence[int]) -> nn.Module:
    """A small convolutional network with smooth activations; each image is scored on its own."""
    channels, height, width = shape
    critic = nn.Sequential(
        nn.Conv2d(channels, 3, 3, padding=1),
        nn.Softplus(),
        nn.GroupNorm(1, 3),
        nn.Flatten(),
        nn.Linear(3 * height * width, 4),
        nn.Tanh(),
        nn.Linear(4, 1),
        nn.Flatten(0),
    )
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.copy_(draw.uniform(*parameter.shape, low=-0.9, high=0.9))
    return critic


def ask_penalty(
    ask: Ask,
    question: str,
    critic: nn.Module,
    batch: Sequence[Tensor],
    weight: float,
    *,
    attached: bool = False,
    slopes: bool = True,
    edge: bool = False,
    rtol: float | None = None,
) -> None:
    """Ask for the penalty of a critic and for its gradient in the critic's weights.

    Args:
        batch: real, fake and eps.
        attached: whether fake still hangs on the graph of the generator that made it.
        slopes: whether the gradient is asked for; where the critic is flat, it has none.
        edge: whether this tests a limit rather than everyday use.
        rtol: relative tolerance of the value, if not the one of its dtype.
    """
    if edge:
        ask.answers.edges.append(question)
    parameters = list(critic.parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    modes = [module.training for module in critic.modules()]
    passed = [tensor.clone() for tensor in batch]
    if attached:
        passed[1] = passed[1].requires_grad_() * 1.0
    penalty = ask.attempt(question, ask.function, critic, *passed, weight)
    fault = _broken(penalty) or _disturbed(parameters) or _changed(batch, passed)
    if not fault and modes != [module.training for module in critic.modules()]:
        fault = "left the critic in another mode; it was in train mode and should be so afterwards"
    if fault:
        blame(ask, question, fault)
    if question in ask.answers.faults:
        return
    ask.record(question, "value", penalty, rtol=rtol)
    if slopes:
        gradients = ask.attempt(question, _in_weights, penalty, parameters, doing="differentiated")
        if gradients is not None:
            ask.record(question, "gradient of the critic's weights", gradients)


def _broken(penalty: object) -> str | None:
    if type(penalty) is not Tensor:
        return f"returned {kind_of(penalty)}; its signature promises a tensor"
    if not is_plain(penalty) or not penalty.is_floating_point():
        return f"returned a tensor of {penalty.dtype}; an ordinary one of floats is wanted"
    return None


def _disturbed(parameters: Sequence[nn.Parameter]) -> str | None:
    if any(parameter.grad is None or not (parameter.grad == 1).all() for parameter in parameters):
        return "changed the gradients stored in the critic; torch.autograd.grad returns a gradient and stores none"
    if not all(parameter.requires_grad for parameter in parameters):
        return "left the critic frozen; set requires_grad back to what it was"
    return None


def _changed(batch: Sequence[Tensor], passed: Sequence[Tensor]) -> str | None:
    for name, given, now in zip(("real", "fake", "eps"), batch, passed, strict=True):
        if not torch.equal(given, now):
            return f"changed its argument `{name}` in place; work on a new tensor"
    return None


def _in_weights(penalty: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradient of a penalty in all weights, one after the other; zeros where none arrives."""
    if not penalty.requires_grad:
        return torch.cat([torch.zeros_like(parameter).flatten() for parameter in parameters])
    gradients = torch.autograd.grad(penalty.sum(), parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])
