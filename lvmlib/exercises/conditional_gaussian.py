"""What any good network that returns a Gaussian has in common: the questions to it, and the law of its answers.

Many networks are right, so nothing here compares with an oracle.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch import distributions as td

from lvmlib.exercises.built_networks import about_building, build_anew, note_learning, refuse_change, refuse_unusual
from lvmlib.exercises.plain_values import kind_of
from lvmlib.probe import Answers, Ask, Draw

BATCHES = ((7,), (3, 4))
BATCH = 16
SINGLES = 4

LOUDNESS = 1000
HUSH = 1e-15
FLOOR = 1e-14
"""A scale below this makes (x / scale)² infinite in float32 for x of some hundreds of thousands."""

PARTS_OF_A_SHAPE = ("batch", "event")

PARTS = {"mean": "loc", "scale": "scale"}


class Plan(NamedTuple):
    """What a network is built for."""

    outcome: tuple[int, ...]
    inputs: int
    hidden: int

    @property
    def question(self) -> str:
        return f"outcome_shape {self.outcome}, num_inputs {self.inputs}, hidden {self.hidden}"

    @property
    def loud(self) -> str:
        """The question with large weights."""
        return f"{self.question}, large weights"

    @property
    def hushed(self) -> str:
        """The question with weights near 0."""
        return f"{self.question}, all weights near 0"


def plans(draw: Draw) -> list[Plan]:
    """Three sizes that everybody knows, two of which differ in nothing but `hidden`, and one that the seed chooses."""
    channels, height, width = draw.distinct(3, 2, 5)
    inputs = draw.integer(2, 9)
    return [
        Plan((12,), 7, 19),
        Plan((12,), 7, 38),
        Plan((4, 5), 3, 23),
        Plan((channels, height, width), inputs, 131 + draw.integer(0, 30)),
    ]


def ask_network(ask: Ask, plan: Plan) -> None:
    """Build a network of this size and write down the Gaussians that it returns, and where gradients go."""
    question = plan.question
    built = ask.attempt(question, _build, ask, plan, may_draw=True)
    if built is None:
        return
    (network,) = built
    if not ask.attempt(question, _ask_shapes, ask, plan, network):
        return
    ask.attempt(question, _ask_outputs, ask, plan, network)
    ask.attempt(question, _ask_gradients, ask, plan, network, doing="differentiated")
    ask.attempt(plan.hushed, _ask_scaled, ask, plan.hushed, plan, network, HUSH, 1.0)
    ask.attempt(plan.loud, _ask_scaled, ask, plan.loud, plan, network, LOUDNESS / HUSH, 10.0)


def _build(ask: Ask, plan: Plan) -> tuple[nn.Module, ...]:
    def build() -> tuple[nn.Module]:
        network = ask.function(plan.outcome, plan.inputs, plan.hidden)
        if not isinstance(network, nn.Module):
            raise TypeError(f"GaussianCPD should be a torch.nn.Module, not {kind_of(network)}")
        return (network,)

    built = build_anew(ask, plan.question, build)
    shapes = [tuple(parameter.shape) for parameter in built[0].parameters()]
    ask.record(plan.question, "number of weights", torch.tensor(sum(map(prod, shapes))))
    ask.record(plan.question, "has a layer of that width", torch.tensor(any(plan.hidden in shape for shape in shapes)))
    return built


def _run(network: nn.Module, inputs: Tensor) -> tuple[td.Independent, dict[str, Tensor]]:
    """The distribution and its mean and scale, each spread over the whole event."""
    before = inputs.detach().clone()
    found = network(inputs)
    if not isinstance(found, td.Distribution):
        raise TypeError(f"the network should return a td.Independent of a td.Normal, not {kind_of(found)}")
    if not isinstance(found, td.Independent) or not isinstance(found.base_dist, td.Normal):
        raise TypeError(f"the network should return a td.Independent of a td.Normal; this is {_described(found)}")
    parts = {name: getattr(found.base_dist, attribute) for name, attribute in PARTS.items()}
    refuse_unusual(parts)
    refuse_change((before,), (inputs,))
    return found, parts


def _described(distribution: td.Distribution) -> str:
    name = type(distribution).__name__
    kind = f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
    return f"{kind} of {_described(distribution.base_dist)}" if isinstance(distribution, td.Independent) else kind


def _inputs(ask: Ask, plan: Plan, *batch: int) -> Tensor:
    return ask.draw.uniform(*batch, plan.inputs, low=-3, high=3)


def _ask_shapes(ask: Ask, plan: Plan, network: nn.Module) -> bool:
    """Whether all shapes are as promised; only then do the other questions make sense."""
    kept = True
    for batch in BATCHES:
        distribution, _ = _run(network, _inputs(ask, plan, *batch))
        shapes = {"batch shape": distribution.batch_shape, "event shape": distribution.event_shape}
        for name, shape in shapes.items():
            ask.record(plan.question, f"{name} of {batch}", torch.tensor(tuple(shape), dtype=torch.int64))
        kept = kept and distribution.batch_shape == batch and distribution.event_shape == plan.outcome
        if kept:
            log_prob = distribution.log_prob(torch.zeros(*batch, *plan.outcome))
            ask.record(plan.question, f"shape of log_prob of {batch}", torch.tensor(log_prob.shape))
    return kept


def _ask_outputs(ask: Ask, plan: Plan, network: nn.Module) -> None:
    ends = [_inputs(ask, plan, BATCH) for _ in range(2)]
    for occasion, inputs in {
        "all together": ends[0],
        "once more": ends[0],
        "the other end": ends[1],
        "half way": (ends[0] + ends[1]) / 2,
    }.items():
        _record(ask, plan.question, _run(network, inputs)[1], occasion)
    singles = [_run(network, ends[0][[item]])[1] for item in range(SINGLES)]
    _record(ask, plan.question, {name: torch.cat([single[name] for single in singles]) for name in PARTS}, "one by one")


def _record(ask: Ask, question: str, parts: dict[str, Tensor], occasion: str) -> None:
    for name, part in parts.items():
        ask.record(question, f"{name}, {occasion}", part)


def _ask_gradients(ask: Ask, plan: Plan, network: nn.Module) -> None:
    inputs = _inputs(ask, plan, BATCH).requires_grad_()
    for name, part in _run(network, inputs)[1].items():
        arrived = torch.zeros_like(inputs)
        if part.requires_grad:
            weight = ask.draw.uniform(*part.shape, low=0.5, high=1.5)
            loss = (part * weight).sum()
            (arrived,) = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
        ask.record(plan.question, f"gradient of {name}", arrived.abs().sum(0))
    note_learning(ask, plan.question, "network", network, lambda: [*_run(network, inputs)[1].values()], [inputs])


def _ask_scaled(ask: Ask, question: str, plan: Plan, network: nn.Module, factor: float, reach: float) -> None:
    """Mean and scale after all weights were multiplied, with inputs that many times as large as usual."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor)
        _, parts = _run(network, reach * _inputs(ask, plan, BATCH))
    _record(ask, question, parts, "rescaled")


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with a network, in a clause, decided from what it returned; None if nothing is."""
    asked = plans(Draw(seed))
    complaints = (
        _about_shapes,
        _about_faults,
        _about_building,
        _about_numbers,
        _about_floor,
        _about_mean,
        _about_use,
        _about_hidden,
    )
    return next((clause for complain in complaints if (clause := complain(answers, asked))), None)


def _about_shapes(answers: Answers, asked: list[Plan]) -> str | None:
    for plan in asked:
        for batch in BATCHES:
            for name, wanted in (("event shape", plan.outcome), ("batch shape", batch), ("shape of log_prob", batch)):
                found = answers.tensors.get((plan.question, f"{name} of {batch}"))
                if found is None or tuple(found.tolist()) == wanted:
                    continue
                axes = len(plan.outcome)
                hint = f"; td.Independent takes as many axes as outcome_shape has, here {axes}"
                shapes = [
                    answers.tensors[plan.question, f"{part} shape of {batch}"].tolist() for part in PARTS_OF_A_SHAPE
                ]
                moved = tuple(sum(shapes, [])) == (*batch, *plan.outcome)
                return (
                    f"the {name} is {tuple(found.tolist())} and should be {wanted} for inputs of shape "
                    f"{(*batch, plan.inputs)}{hint if moved else ''} ({plan.question})"
                )
    return None


UNUSABLE = "Expected parameter scale"


def _about_faults(answers: Answers, asked: list[Plan]) -> str | None:
    loud = {plan.loud for plan in asked}
    for question, fault in answers.faults.items():
        if fault.startswith("draws random numbers"):
            fault = "draws random numbers when it is called in eval mode; sampling is the distribution's work"
        elif UNUSABLE in fault and question in loud:
            fault = "the scale falls to 0 where its raw output is far below 0, and no density is left; give it a floor"
        elif UNUSABLE in fault:
            fault = "the scale is not positive: make it so, by softplus or exp, and give it a floor"
        return f"{fault} ({question})"
    return None


def _about_building(answers: Answers, asked: list[Plan]) -> str | None:
    return about_building(answers, [plan.question for plan in asked], "GaussianCPD", ("network",))


def _about_numbers(answers: Answers, asked: list[Plan]) -> str | None:
    for plan in asked:
        for name in PARTS:
            together = _answer(answers, plan, f"{name}, all together")
            if together.dtype != torch.float32:
                return (
                    f"the {name} is {together.dtype}; it should be torch.float32, as the inputs are ({plan.question})"
                )
            if not together.isfinite().all():
                return f"the {name} is not finite ({plan.question})"
            if not torch.equal(together, _answer(answers, plan, f"{name}, once more")):
                return f"the {name} differs when a batch is given twice ({plan.question})"
            singles = _answer(answers, plan, f"{name}, one by one")
            if not torch.allclose(together[:SINGLES], singles, rtol=1e-3, atol=1e-3):
                return f"the {name} for one input depends on the rest of its batch ({plan.question})"
    return None


def _about_floor(answers: Answers, asked: list[Plan]) -> str | None:
    for plan in asked:
        for question in (plan.question, plan.hushed, plan.loud):
            occasion = "all together" if question == plan.question else "rescaled"
            scale = answers.tensors[question, f"scale, {occasion}"]
            if scale.isnan().any():
                return f"the scale is NaN ({question})"
            lowest = scale.min().item()
            if not lowest >= FLOOR:
                where = "near 0" if question == plan.hushed else "far below 0"
                return (
                    f"the scale falls to {lowest:.3g} where its raw output is {where}, and no density is left; "
                    f"give it a floor ({question})"
                )
    return None


def _about_mean(answers: Answers, asked: list[Plan]) -> str | None:
    means = torch.cat([answers.tensors[plan.loud, "mean, rescaled"].flatten() for plan in asked])
    if means.isnan().any():
        return "the mean is NaN for large weights"
    reason = "whatever the weights; outcomes may lie anywhere, so no activation belongs at the mean's end"
    if not means.min() < -1:
        return f"the mean is never below -1, {reason}"
    if not means.max() > 1:
        return f"the mean is never above 1, {reason}"
    return None


def _about_use(answers: Answers, asked: list[Plan]) -> str | None:
    """Whether mean and scale come from the inputs, from all of them, and each on its own."""
    for name in PARTS:
        everywhere = [_answer(answers, plan, f"{name}, all together") for plan in asked]
        if all(_is_close(part, part[:1]) for part in everywhere):
            return f"the {name} is the same for every input; compute it from the inputs"
        if all(_is_close(flat := part.flatten(1), flat[:, :1]) for part in everywhere):
            return f"the {name} is the same for every entry of an outcome; each has its own"
    for name in PARTS:
        if not any(_answer(answers, plan, f"gradient of {name}").any() for plan in asked):
            return f"no gradient passes through the {name}: it was detached, or made of plain numbers"
        blind = [plan for plan in asked if not _answer(answers, plan, f"gradient of {name}").all()]
        if len(blind) > 1:
            return f"the {name} does not depend on some of the inputs ({blind[0].question})"
    if all(_follows(answers, plan) for plan in asked):
        return "the scale is computed from the mean, or the mean from the scale; each needs weights of its own"
    return None


def _is_close(parts: Tensor, one: Tensor) -> bool:
    """Whether all are like one; the last digit of an activation may depend on its place."""
    return torch.allclose(parts, one.expand_as(parts), rtol=1e-5, atol=0)


def _follows(answers: Answers, plan: Plan) -> bool:
    """Whether, entry by entry, the larger mean always has the larger scale, or always the smaller."""
    mean, scale = (_answer(answers, plan, f"{name}, all together").flatten(1) for name in PARTS)
    ranked = scale.gather(0, mean.argsort(0)).diff(dim=0)
    return bool(((ranked >= 0).all(0) | (ranked <= 0).all(0)).all())


def _about_hidden(answers: Answers, asked: list[Plan]) -> str | None:
    if all(_is_straight(answers, plan) for plan in asked):
        return "the mean is linear in the inputs: put a nonlinearity after the hidden layer"
    narrow, wide = (int(_answer(answers, plan, "number of weights")) for plan in asked[:2])
    if not narrow < wide:
        return (
            f"has {narrow:,} weights with hidden 19 and {wide:,} with hidden 38; let `hidden` decide the layer's width"
        )
    for plan in asked:
        if not _answer(answers, plan, "has a layer of that width"):
            return f"no layer has `hidden` units ({plan.question})"
    return None


def _is_straight(answers: Answers, plan: Plan) -> bool:
    """Whether the mean half way between two inputs is always half way between their means."""
    one, other, between = (
        _answer(answers, plan, f"mean, {occasion}") for occasion in ("all together", "the other end", "half way")
    )
    return bool(((one + other) / 2 - between).abs().max() <= 1e-4 * one.abs().max())


def _answer(answers: Answers, plan: Plan, quantity: str) -> Tensor:
    return answers.tensors[plan.question, quantity]
