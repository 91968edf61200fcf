"""What any good pair of encoder and decoder has in common: the questions to it, and the law that judges the answers.

Many networks are right, so nothing here compares with an oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lvmlib.exercises.built_networks import (
    about_building,
    build_anew,
    note_learning,
    refuse_change,
    refuse_unusual,
    sees_everything,
)
from lvmlib.probe import Answers, Ask, Draw

BATCH = 16
SINGLES = 4
LOUDNESS = 16
SIZES = ((1, 16, 16, 10), (3, 16, 40, 7), (2, 24, 8, 1))


class Size(NamedTuple):
    """What a pair is built for."""

    channels: int
    height: int
    width: int
    latent: int

    @property
    def question(self) -> str:
        return f"channels {self.channels}, height {self.height}, width {self.width}, latent {self.latent}"

    def shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """What the pair returns for this many images or codes."""
        images = (batch, self.channels, self.height, self.width)
        return {"mean": (batch, self.latent), "log_var": (batch, self.latent), "logits": images}


def sizes(draw: Draw) -> list[Size]:
    """Three sizes that everybody knows and one that only the seed does."""
    height, width = draw.distinct(2, 1, 5)
    return [*(Size(*size) for size in SIZES), Size(draw.integer(1, 4), 8 * height, 8 * width, draw.integer(2, 13))]


def ask_pair(ask: Ask, size: Size) -> None:
    """Build a pair of this size and write down what it returns, and where gradients go."""
    pair = ask.attempt(size.question, _build, ask, size, may_draw=True)
    if pair is None or not ask.attempt(size.question, _ask_shapes, ask, size, *pair):
        return
    ask.attempt(size.question, _ask_outputs, ask, size, *pair)
    ask.attempt(size.question, _ask_gradients, ask, size, *pair, doing="differentiated")
    ask.attempt(size.question, _ask_loud, ask, size, *pair)


def _build(ask: Ask, size: Size) -> tuple[nn.Module, ...]:
    return build_anew(ask, size.question, lambda: _as_modules(ask.function(*size)))


def _as_modules(pair: object) -> tuple[nn.Module, nn.Module]:
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(isinstance(part, nn.Module) for part in pair):
        raise TypeError("build_vae should return two torch.nn.Module objects, (encoder, decoder)")
    return pair[0], pair[1]


def _inputs(ask: Ask, size: Size) -> tuple[Tensor, Tensor]:
    x = ask.draw.uniform(BATCH, size.channels, size.height, size.width, low=0, high=1)
    return x, ask.draw.uniform(BATCH, size.latent, low=-2, high=2)


def _run(encoder: nn.Module, decoder: nn.Module, x: Tensor, z: Tensor) -> dict[str, Tensor]:
    before = x.detach().clone(), z.detach().clone()
    code = encoder(x)
    if isinstance(code, Tensor) and len(code) != 2:
        raise TypeError("encoder(x) should return the pair (mean, log_var), not one tensor")
    mean, log_var = code
    outputs = {"mean": mean, "log_var": log_var, "logits": decoder(z)}
    refuse_unusual(outputs)
    refuse_change(before, (x, z))
    return outputs


def _record(ask: Ask, size: Size, outputs: dict[str, Tensor], occasion: str) -> None:
    for name, output in outputs.items():
        ask.record(size.question, f"{name}, {occasion}", output)


def _ask_shapes(ask: Ask, size: Size, encoder: nn.Module, decoder: nn.Module) -> bool:
    """Whether all shapes are as promised; only then do the other questions make sense."""
    kept = True
    for batch in (BATCH, 1):
        x, z = _inputs(ask, size)
        outputs = _run(encoder, decoder, x[:batch], z[:batch])
        _record(ask, size, outputs, f"batch of {batch}")
        kept = kept and all(outputs[name].shape == shape for name, shape in size.shapes(batch).items())
    return kept


def _ask_outputs(ask: Ask, size: Size, encoder: nn.Module, decoder: nn.Module) -> None:
    x, z = _inputs(ask, size)
    _record(ask, size, _run(encoder, decoder, x, z), "all together")
    _record(ask, size, _run(encoder, decoder, x, z), "once more")
    singles = [_run(encoder, decoder, x[[item]], z[[item]]) for item in range(SINGLES)]
    joined = {name: torch.cat([single[name] for single in singles]) for name in singles[0]}
    _record(ask, size, joined, "one by one")


def _ask_gradients(ask: Ask, size: Size, encoder: nn.Module, decoder: nn.Module) -> None:
    x, z = (tensor.requires_grad_() for tensor in _inputs(ask, size))
    outputs = _run(encoder, decoder, x, z)
    for name, source in (("mean", x), ("log_var", x), ("logits", z)):
        output = outputs[name]
        weight = ask.draw.uniform(*output.shape, low=0.5, high=1.5)
        arrived = torch.zeros_like(source)
        if output.requires_grad:
            loss = (output * weight).sum()
            (arrived,) = torch.autograd.grad(loss, source, retain_graph=True, allow_unused=True, materialize_grads=True)
        ask.record(size.question, f"gradient of {name}", arrived.abs().sum(0))
    for part, module, names in (("encoder", encoder, ("mean", "log_var")), ("decoder", decoder, ("logits",))):

        def run(names: Sequence[str] = names) -> list[Tensor]:
            outputs = _run(encoder, decoder, x, z)
            return [outputs[name] for name in names]

        note_learning(ask, size.question, part, module, run, (x, z))


def _ask_loud(ask: Ask, size: Size, encoder: nn.Module, decoder: nn.Module) -> None:
    """Outputs under large weights, which only an activation at the end can keep within bounds."""
    with torch.no_grad():
        for parameter in nn.ModuleList([encoder, decoder]).parameters():
            parameter.mul_(LOUDNESS)
    x, z = _inputs(ask, size)
    _record(ask, size, _run(encoder, decoder, x, LOUDNESS * z), "loud")


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with a pair, in a clause, decided from what it returned; None if nothing is."""
    asked = sizes(Draw(seed))
    complaints = (
        _about_shapes,
        _about_faults,
        _about_building,
        _about_numbers,
        _about_constants,
        _about_ranges,
        _about_use,
    )
    return next((clause for complain in complaints if (clause := complain(answers, asked))), None)


def _about_shapes(answers: Answers, asked: list[Size]) -> str | None:
    for size in asked:
        for batch in (BATCH, 1):
            for name, shape in size.shapes(batch).items():
                output = answers.tensors.get((size.question, f"{name}, batch of {batch}"))
                if output is None or output.shape == shape:
                    continue
                swapped = size.height != size.width and output.shape[-2:] == (size.width, size.height)
                hint = "; height and width are swapped" if swapped and name == "logits" else ""
                found = tuple(output.shape)
                return f"{name} has shape {found}; it should be {shape}{hint} ({size.question}, batch of {batch})"
    return None


def _about_faults(answers: Answers, asked: list[Size]) -> str | None:
    for question, fault in answers.faults.items():
        if fault.startswith("draws random numbers"):
            fault = "is random in eval mode; use nn.Dropout for dropout, and leave sampling to reparameterize"
        return f"{fault} ({question})"
    return None


def _about_numbers(answers: Answers, asked: list[Size]) -> str | None:
    for size in asked:
        for name in size.shapes(1):
            together = _answer(answers, size, f"{name}, all together")
            if together.dtype != torch.float32:
                return f"{name} is {together.dtype}; it should be torch.float32, as the images are ({size.question})"
            if not together.isfinite().all():
                return f"{name} is not finite ({size.question})"
            if not torch.equal(together, _answer(answers, size, f"{name}, once more")):
                return f"{name} differs when a batch is given twice ({size.question})"
            if not torch.allclose(
                together[:SINGLES], _answer(answers, size, f"{name}, one by one"), rtol=1e-3, atol=1e-3
            ):
                return f"{name} of an image depends on the other images of its batch ({size.question})"
    return None


def _about_building(answers: Answers, asked: list[Size]) -> str | None:
    return about_building(answers, [size.question for size in asked], "build_vae", ("encoder", "decoder"))


def _about_constants(answers: Answers, asked: list[Size]) -> str | None:
    for name, source in (("mean", "image"), ("log_var", "image"), ("logits", "code")):
        everywhere = [_answer(answers, size, f"{name}, all together") for size in asked]
        if all(torch.equal(output, output[:1].expand_as(output)) for output in everywhere):
            return f"{name} is the same for every {source}; compute it from the {source}"
    return None


def _about_ranges(answers: Answers, asked: list[Size]) -> str | None:
    limits = {
        "log_var": (-1, 0, "a variance may be below 1 and above 1"),
        "mean": (-1, 1, "a code may lie anywhere"),
        "logits": (-1, 1, "return logits, without a sigmoid, tanh or ReLU"),
    }
    for name, (low, high, reason) in limits.items():
        found = [_answer(answers, size, f"{name}, {how}") for size in asked for how in ("loud", "all together")]
        values = torch.cat([output.flatten() for output in found])
        if not values.min() < low:
            return f"{name} is never below {low}, whatever the weights; {reason}, so no activation belongs at the end"
        if not values.max() > high:
            return f"{name} is never above {high}, whatever the weights; {reason}, so no activation belongs at the end"
    return None


def _about_use(answers: Answers, asked: list[Size]) -> str | None:
    """Whether everything that goes in matters, and everything that comes out carries something of its own."""
    for size in asked:
        for name in ("mean", "log_var", "logits"):
            together = _answer(answers, size, f"{name}, all together")
            for axis, what in enumerate(("unit",) if name != "logits" else ("channel", "row", "column"), start=1):
                if together.shape[axis] > 1 and not (together != together.narrow(axis, 0, 1)).any():
                    return f"{name} is the same for every {what} ({size.question})"
            arrived = _answer(answers, size, f"gradient of {name}")
            if name == "logits" and not arrived.all():
                return f"no gradient reaches some units of z, so the encoder cannot learn from them ({size.question})"
    for name in ("mean", "log_var"):
        # In one size alone it may be a small network whose few units happen to be dead.
        blind = [size for size in asked if not sees_everything(_answer(answers, size, f"gradient of {name}"))]
        if len(blind) > 1:
            return f"{name} does not depend on some part or channel of the image ({blind[0].question})"
    if all(_is_affine(answers, size) for size in asked):
        return "log_var is computed from mean, or mean from log_var; each needs weights of its own"
    return None


def _is_affine(answers: Answers, size: Size) -> bool:
    """Whether every unit's log_var is a straight line in its mean."""
    mean, log_var = (_answer(answers, size, f"{name}, all together").double() for name in ("mean", "log_var"))
    pairs = torch.stack([mean, log_var]).permute(2, 0, 1)
    return all(abs(float(torch.corrcoef(pair)[0, 1])) > 0.9999 for pair in pairs)


def _answer(answers: Answers, size: Size, quantity: str) -> Tensor:
    return answers.tensors[size.question, quantity]
