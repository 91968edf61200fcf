"""Questioning pictures taken of a generator during its training, which must not notice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvmlib.exercises.training_steps import HIDDEN, small_generator
from lvmlib.probe import Ask

LATENT = 3


def ask_snapshot(
    ask: Ask,
    question: str,
    shape: tuple[int, int, int],
    count: int,
    *,
    training: bool,
    dropout: bool = False,
    edge: bool = False,
) -> None:
    """Have a generator with BatchNorm make images twice; write them down, and see that it is as it was."""
    if edge:
        ask.answers.edges.append(question)
    generator = _lived(ask, shape, dropout).train(training)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    for occasion in ("images", "images of other codes"):
        z = ask.draw.uniform(count, LATENT, low=-2, high=2)
        images = ask.call(question, {"generator": generator, "z": z})
        fault = None if images is None else _trace(generator, before, images, training)
        if fault:
            ask.answers.faults.setdefault(question, fault)
        if images is None or question in ask.answers.faults:
            return
        ask.record(question, f"a pixel of the {occasion}", images)


def _lived(ask: Ask, shape: tuple[int, int, int], dropout: bool) -> nn.Sequential:
    """A generator whose BatchNorm has running statistics, as after some training."""
    generator = small_generator(ask.draw, LATENT, shape, normalised=True)
    if dropout:
        generator.insert(3, nn.Dropout(0.5))
    for name, buffer in generator.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(ask.draw.uniform(HIDDEN))
        elif name.endswith("running_var"):
            buffer.copy_(ask.draw.uniform(HIDDEN, low=0.5, high=4))
    return generator


def _trace(generator: nn.Module, before: dict[str, Tensor], images: Tensor, training: bool) -> str | None:
    """What is not as it was, in a clause, or None."""
    if not all(module.training is training for module in generator.modules()):
        was, now = ("train", "eval") if training else ("eval", "train")
        return f"left the generator in {now} mode; it was in {was} mode, and should be again"
    now_state = generator.state_dict()
    if not all(torch.equal(tensor, now_state[name]) for name, tensor in before.items()):
        return "changed the generator's weights or its running statistics; take the picture in eval mode"
    if any(parameter.grad is not None or not parameter.requires_grad for parameter in generator.parameters()):
        return "left gradients in the generator, or froze it"
    if images.requires_grad:
        return "returned images that hold a graph, and with it the memory of every layer; work under torch.no_grad()"
    return None
