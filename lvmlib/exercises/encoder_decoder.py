"""What any good pair of encoder and decoder has in common: the questions to it, and the law that judges the answers.

Many networks are right, so nothing here compares with an oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lvmlib.probe import Answers, Ask, Draw, is_plain

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


def _build(ask: Ask, size: Size) -> tuple[nn.Module, nn.Module]:
    """The pair, built twice to see whether it is new each time, with weights moved off any special start."""
    pairs, streams = [], []
    for seed in (1, 2):
        torch.default_generator.manual_seed(seed)
        pairs.append(_as_modules(ask.function(*size)))
        streams.append(torch.get_rng_state())
    _note(ask, size, "seeds torch", torch.equal(*streams))
    _note(ask, size, "same objects", any(one is other for one, other in zip(*pairs, strict=True)))
    pair = nn.ModuleList(pairs[0]).eval()
    with torch.no_grad():
        for parameter in pair.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
            parameter.add_(scale * ask.draw.uniform(*parameter.shape).to(parameter))
    return pairs[0]


def _as_modules(pair: object) -> tuple[nn.Module, nn.Module]:
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(isinstance(part, nn.Module) for part in pair):
        raise TypeError("build_vae should return two torch.nn.Module objects, (encoder, decoder)")
    if any(isinstance(parameter, nn.UninitializedParameter) for part in pair for parameter in part.parameters()):
        raise TypeError("a lazy layer has no weights yet; give every layer its number of inputs")
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
    for name, output in outputs.items():
        if type(output) is not Tensor or not is_plain(output):
            raise TypeError(f"{name} should be an ordinary dense tensor, not {type(output).__name__}")
    if not (torch.equal(before[0], x) and torch.equal(before[1], z)):
        raise ValueError(
            "a network changed its input in place; in-place activations are safe after the first layer only"
        )
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
    for module, names in ((encoder, ("mean", "log_var")), (decoder, ("logits",))):
        used = {id(leaf) for name in names for leaf in _leaves(outputs[name])} - {id(x), id(z)}
        registered = {id(parameter) for parameter in module.parameters()}
        part = "encoder" if module is encoder else "decoder"
        _note(ask, size, f"{part} hides weights", bool(used - registered))
        idle = [parameter for parameter in module.parameters() if id(parameter) not in used]
        _note(ask, size, f"{part} blocks gradients", _matters(idle, lambda: _run(encoder, decoder, x, z), names))


def _leaves(output: Tensor) -> Iterator[Tensor]:
    """The tensors at which the graph of an output ends."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(following for following, _ in node.next_functions)


def _matters(weights: list[nn.Parameter], run: Callable[[], dict[str, Tensor]], names: Sequence[str]) -> bool:
    """Whether outputs depend on weights to which they send no gradient."""
    if not weights:
        return False
    kept = [weight.detach().clone() for weight in weights]
    before = run()
    with torch.no_grad():
        for weight in weights:
            weight.add_(0.1)
        after = run()
        for weight, value in zip(weights, kept, strict=True):
            weight.copy_(value)
    return any(not torch.equal(before[name], after[name]) for name in names)


def _ask_loud(ask: Ask, size: Size, encoder: nn.Module, decoder: nn.Module) -> None:
    """Outputs under large weights, which only an activation at the end can keep within bounds."""
    with torch.no_grad():
        for parameter in nn.ModuleList([encoder, decoder]).parameters():
            parameter.mul_(LOUDNESS)
    x, z = _inputs(ask, size)
    _record(ask, size, _run(encoder, decoder, x, LOUDNESS * z), "loud")


def _note(ask: Ask, size: Size, quantity: str, found: bool) -> None:
    ask.record(size.question, quantity, torch.tensor(found))


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
    sentences = {
        "same objects": "two calls return the same networks; build new ones in every call",
        "seeds torch": "build_vae seeds torch's random numbers; leave them to whoever calls it",
        "encoder hides weights": "the encoder uses weights that encoder.parameters() does not list, so no optimizer "
        "trains them; keep layers as attributes or in nn.Sequential or nn.ModuleList",
        "decoder hides weights": "the decoder uses weights that decoder.parameters() does not list, so no optimizer "
        "trains them; keep layers as attributes or in nn.Sequential or nn.ModuleList",
        "encoder blocks gradients": "no gradient reaches some weights of the encoder: something is detached or frozen",
        "decoder blocks gradients": "no gradient reaches some weights of the decoder: something is detached or frozen",
    }
    for size in asked:
        for quantity, sentence in sentences.items():
            if _answer(answers, size, quantity):
                return sentence
    return None


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
        blind = [size for size in asked if not _sees_everything(_answer(answers, size, f"gradient of {name}"))]
        if len(blind) > 1:
            return f"{name} does not depend on some part or channel of the image ({blind[0].question})"
    if all(_is_affine(answers, size) for size in asked):
        return "log_var is computed from mean, or mean from log_var; each needs weights of its own"
    return None


def _sees_everything(arrived: Tensor) -> bool:
    """Whether a gradient, shape (channel, height, width), reaches the four quarters of every channel."""
    return all(part.any() for channel in arrived for half in channel.chunk(2, 0) for part in half.chunk(2, 1))


def _is_affine(answers: Answers, size: Size) -> bool:
    """Whether every unit's log_var is a straight line in its mean."""
    mean, log_var = (_answer(answers, size, f"{name}, all together").double() for name in ("mean", "log_var"))
    pairs = torch.stack([mean, log_var]).permute(2, 0, 1)
    return all(abs(float(torch.corrcoef(pair)[0, 1])) > 0.9999 for pair in pairs)


def _answer(answers: Answers, size: Size, quantity: str) -> Tensor:
    return answers.tensors[size.question, quantity]
