"""What any good generator and any good discriminator of images have in common: the questions, and the law.

Many networks are right, so nothing here compares with an oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lvmlib.exercises import Law
from lvmlib.exercises.built_networks import (
    about_building,
    build_anew,
    note_learning,
    refuse_change,
    refuse_unusual,
    sees_everything,
)
from lvmlib.probe import Answers, Ask, Draw

BATCH = 8
SINGLES = 2
SIDE = 28
LOUDNESS = 16
LOUD_INPUTS = 100
SHOUTS = 6
"""So many redrawn weights in each of four sizes: that all logits have one sign by chance is one in ten million."""

SETTLING = 2


class Plan(NamedTuple):
    """What a network is built for: `inputs` and `outputs` are shapes without the batch."""

    part: str
    product: str
    question: str
    arguments: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def draw_inputs(self, draw: Draw, batch: int) -> Tensor:
        """Codes on either side of 0, or images in [0, 1]."""
        low, high = (-2, 2) if self.part == "generator" else (0, 1)
        return draw.uniform(batch, *self.inputs, low=low, high=high)


def generators(draw: Draw) -> list[Plan]:
    """Four sizes that everybody knows, two of which differ in nothing but the width, and one that the seed chooses."""
    sizes = [(100, 8, 1), (100, 16, 1), (7, 16, 3), (1, 8, 2)]
    sizes.append((draw.integer(8, 40), 8 * draw.integer(1, 2), draw.integer(1, 4)))
    return [
        Plan(
            "generator",
            "images",
            f"latent {latent}, width {width}, channels {channels}",
            (latent, width, channels),
            (latent,),
            (channels, SIDE, SIDE),
        )
        for latent, width, channels in sizes
    ]


def discriminators(draw: Draw) -> list[Plan]:
    """Three sizes that everybody knows, two of which differ in nothing but the width, and one that the seed chooses."""
    sizes = [(8, 1), (16, 1), (16, 3), (8 * draw.integer(1, 2), draw.integer(4, 6))]
    return [
        Plan(
            "discriminator",
            "logits",
            f"width {width}, channels {channels}",
            (width, channels),
            (channels, SIDE, SIDE),
            (),
        )
        for width, channels in sizes
    ]


def ask_network(ask: Ask, plan: Plan) -> None:
    """Build a network of this size and write down what it returns, and where gradients go."""
    built = ask.attempt(plan.question, _build, ask, plan, may_draw=True)
    if built is None:
        return
    (network,) = built
    ask.attempt(plan.question, _settle, network, plan.draw_inputs(ask.draw, BATCH), may_draw=True)
    if plan.question in ask.answers.faults or not ask.attempt(plan.question, _ask_shapes, ask, plan, network):
        return
    ask.attempt(plan.question, _ask_outputs, ask, plan, network)
    ask.attempt(plan.question, _ask_gradients, ask, plan, network, doing="differentiated")
    ask.attempt(plan.question, _ask_loud, ask, plan, network, may_draw=True)


def _build(ask: Ask, plan: Plan) -> tuple[nn.Module, ...]:
    def build() -> tuple[nn.Module]:
        network = ask.function(*plan.arguments)
        if not isinstance(network, nn.Module):
            raise TypeError(f"build_{plan.part} should return a torch.nn.Module, not {type(network).__name__}")
        return (network,)

    built = build_anew(ask, plan.question, build)
    count = sum(parameter.numel() for parameter in built[0].parameters())
    ask.record(plan.question, "number of weights", torch.tensor(count))
    return built


def _settle(network: nn.Module, inputs: Tensor) -> None:
    """A few batches in train mode, for whatever keeps account of inputs or weights: BatchNorm, spectral norm."""
    network.train()
    with torch.no_grad():
        for _ in range(SETTLING):
            _run(network, inputs)
    network.eval()


def _run(network: nn.Module, inputs: Tensor) -> Tensor:
    before = inputs.detach().clone()
    try:
        output = network(inputs)
    except Exception as error:
        _explain(network, inputs, error)
        raise
    refuse_unusual({"what the network returns": output})
    refuse_change((before,), (inputs,))
    return output


def _explain(network: nn.Module, inputs: Tensor, error: Exception) -> None:
    """Raise an error that helps more than this one, if the network takes other inputs than those it was built for."""
    for sentence, change in _OTHER_INPUTS[inputs.dim()].items():
        try:
            network(change(inputs))
        except Exception:
            continue
        raise TypeError(sentence) from error


def _units(count: int) -> Callable[[Tensor], Tensor]:
    """Inputs of so many units or channels, the first one repeated."""
    return lambda inputs: inputs[:, :1].repeat_interleave(count, 1)


_OTHER_INPUTS: dict[int, dict[str, Callable[[Tensor], Tensor]]] = {
    2: {
        "the generator takes codes of shape (batch, latent, 1, 1), but they come as (batch, latent); "
        "give them the two axes inside the generator": lambda z: z[:, :, None, None],
        "the generator takes 100 latents whatever `latent` is; use the argument": _units(100),
    },
    4: {
        "the discriminator takes images of 1 channel whatever `channels` is; use the argument": _units(1),
        "the discriminator takes images of 3 channels whatever `channels` is; use the argument": _units(3),
        "the discriminator takes flat images, but they come as (batch, channels, 28, 28); "
        "flatten them inside the discriminator": lambda x: x.flatten(1),
    },
}


def _ask_shapes(ask: Ask, plan: Plan, network: nn.Module) -> bool:
    """Whether all shapes are as promised; only then do the other questions make sense."""
    kept = True
    for batch in (BATCH, 1):
        output = _run(network, plan.draw_inputs(ask.draw, batch))
        ask.record(plan.question, f"batch of {batch}", output)
        kept = kept and output.shape == (batch, *plan.outputs)
    return kept


def _ask_outputs(ask: Ask, plan: Plan, network: nn.Module) -> None:
    inputs = plan.draw_inputs(ask.draw, BATCH)
    ask.record(plan.question, "all together", _run(network, inputs))
    ask.record(plan.question, "once more", _run(network, inputs))
    singles = [_run(network, inputs[[item]]) for item in range(SINGLES)]
    ask.record(plan.question, "one by one", torch.cat(singles))


def _ask_gradients(ask: Ask, plan: Plan, network: nn.Module) -> None:
    inputs = plan.draw_inputs(ask.draw, BATCH).requires_grad_()
    output = _run(network, inputs)
    arrived = torch.zeros_like(inputs)
    if output.requires_grad:
        loss = (output * ask.draw.uniform(*output.shape, low=0.5, high=1.5)).sum()
        (arrived,) = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
    ask.record(plan.question, "gradient", arrived.abs().sum(0))
    note_learning(ask, plan.question, plan.part, network, lambda: [_run(network, inputs)], [inputs])


def _ask_loud(ask: Ask, plan: Plan, network: nn.Module) -> None:
    """Outputs under large weights of random signs, which only an activation at the end can keep within bounds."""
    inputs = LOUD_INPUTS * plan.draw_inputs(ask.draw, BATCH)
    heard = []
    # The many pixels of an image have both signs before their activation anyway.
    for shout in range(1 if plan.part == "generator" else SHOUTS):
        with torch.no_grad():
            for parameter in network.parameters():
                signs = 2 * ask.draw.bits(*parameter.shape) - 1
                parameter.mul_(signs if shout else LOUDNESS * signs)
        _settle(network, inputs)
        with torch.no_grad():
            heard.append(_run(network, inputs[:SINGLES]))
    ask.record(plan.question, "loud", torch.stack(heard))


def law_of(plans: Callable[[Draw], list[Plan]]) -> Law:
    """The law of the networks that are built for these plans."""

    def law(answers: Answers, seed: int) -> str | None:
        """What is wrong with the networks, in a clause, decided from what they returned; None if nothing is."""
        asked = plans(Draw(seed))
        complaints = (
            _about_shapes,
            _about_faults,
            _about_building,
            _about_numbers,
            _about_constants,
            _about_images if asked[0].part == "generator" else _about_logits,
            _about_use,
            _about_width,
        )
        return next((clause for complain in complaints if (clause := complain(answers, asked))), None)

    return law


def _about_shapes(answers: Answers, asked: list[Plan]) -> str | None:
    for plan in asked:
        for batch in (BATCH, 1):
            output = answers.tensors.get((plan.question, f"batch of {batch}"))
            wanted = (batch, *plan.outputs)
            if output is not None and output.shape != wanted:
                found = tuple(output.shape)
                return f"the {plan.product} have shape {found}; it should be {wanted} ({plan.question})"
    return None


def _about_faults(answers: Answers, asked: list[Plan]) -> str | None:
    for question, fault in answers.faults.items():
        if fault.startswith("draws random numbers"):
            fault = f"the {asked[0].part} is random in eval mode; all it needs is in its input"
        if "Expected more than 1 value per channel" in fault:
            fault = f"the {asked[0].part} normalises by its batch in eval mode, too, and cannot take a batch of one"
        return f"{fault} ({question})"
    return None


def _about_building(answers: Answers, asked: list[Plan]) -> str | None:
    part = asked[0].part
    return about_building(answers, [plan.question for plan in asked], f"build_{part}", [part])


def _about_numbers(answers: Answers, asked: list[Plan]) -> str | None:
    for plan in asked:
        together = _answer(answers, plan, "all together")
        if together.dtype != torch.float32:
            return f"the {plan.product} are {together.dtype}; they should be torch.float32 ({plan.question})"
        if not together.isfinite().all():
            return f"the {plan.product} are not finite ({plan.question})"
        if not torch.equal(together, _answer(answers, plan, "once more")):
            return f"the {plan.product} differ when a batch is given twice ({plan.question})"
        singles = _answer(answers, plan, "one by one")
        if not torch.allclose(together[:SINGLES], singles, rtol=1e-3, atol=1e-3):
            return f"in eval mode, one of the {plan.product} depends on the rest of its batch ({plan.question})"
    return None


def _about_constants(answers: Answers, asked: list[Plan]) -> str | None:
    everywhere = [_answer(answers, plan, "all together") for plan in asked]
    if all(torch.equal(output, output[:1].expand_as(output)) for output in everywhere):
        return f"the {asked[0].product} are the same for every input"
    return None


def _everything(answers: Answers, asked: list[Plan]) -> Tensor:
    return torch.cat([_answer(answers, plan, how).flatten() for plan in asked for how in ("loud", "all together")])


def _about_images(answers: Answers, asked: list[Plan]) -> str | None:
    values = _everything(answers, asked)
    low, high = values.min().item(), values.max().item()
    if not low >= 0:
        return f"some pixels are below 0 (here {low:.3g}); images are in [0, 1], and so should these be"
    if not high <= 1:
        return f"some pixels are above 1 (here {high:.3g}); images are in [0, 1], and so should these be"
    if not (low < 0.4 and high > 0.6):
        return f"all pixels are between {low:.3g} and {high:.3g}, whatever the weights; use all of [0, 1]"
    return None


def _about_logits(answers: Answers, asked: list[Plan]) -> str | None:
    values = _everything(answers, asked)
    reason = "return logits, without a sigmoid or another activation at the end"
    if not values.min() < 0:
        return f"the logits are never below 0, whatever the weights; {reason}"
    if not values.max() > 1:
        return f"the logits are never above 1, whatever the weights; {reason}"
    return None


def _about_use(answers: Answers, asked: list[Plan]) -> str | None:
    """Whether everything that goes in matters, and everything that comes out carries something of its own."""
    for plan in asked:
        together = _answer(answers, plan, "all together")
        for axis, what in enumerate(("channel", "row", "column")[: len(plan.outputs)], start=1):
            if together.shape[axis] > 1 and not (together != together.narrow(axis, 0, 1)).any():
                return f"the images are the same in every {what} ({plan.question})"
    # In one size alone it may be a small network whose few units happen to be dead.
    blind = [plan for plan in asked if not _uses_input(_answer(answers, plan, "gradient"))]
    if len(blind) > 1:
        what = "some units of z" if asked[0].part == "generator" else "some part or channel of an image"
        return f"the {asked[0].product} do not depend on {what} ({blind[0].question})"
    return None


def _uses_input(arrived: Tensor) -> bool:
    return bool(arrived.all()) if arrived.dim() == 1 else sees_everything(arrived)


def _about_width(answers: Answers, asked: list[Plan]) -> str | None:
    narrow, wide = (int(_answer(answers, plan, "number of weights")) for plan in asked[:2])
    if narrow < wide:
        return None
    return f"has {narrow:,} weights at width 8 and {wide:,} at width 16; let `width` decide how many features there are"


def _answer(answers: Answers, plan: Plan, quantity: str) -> Tensor:
    return answers.tensors[plan.question, quantity]
