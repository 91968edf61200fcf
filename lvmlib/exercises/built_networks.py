"""What is asked of every network that a student builds: whether it is new each time, and whether all of it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from lvmlib.probe import Answers, Ask, is_plain


def build_anew(ask: Ask, question: str, build: Callable[[], tuple[nn.Module, ...]]) -> tuple[nn.Module, ...]:
    """What `build` returns, in eval mode and with weights moved off any special start.

    It is called twice, to see whether the networks are new each time and whether torch's random numbers are left alone.
    """
    built, streams = [], []
    for seed in (1, 2):
        torch.default_generator.manual_seed(seed)
        built.append(build())
        streams.append(torch.get_rng_state())
    note(ask, question, "seeds torch", torch.equal(*streams))
    note(ask, question, "same objects", any(one is other for one, other in zip(*built, strict=True)))
    together = nn.ModuleList(built[0]).eval()
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in together.parameters()):
        raise TypeError("a lazy layer has no weights yet; give every layer its number of inputs")
    with torch.no_grad():
        for parameter in together.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
            parameter.add_(scale * ask.draw.uniform(*parameter.shape).to(parameter))
    return built[0]


def refuse_unusual(outputs: Mapping[str, object]) -> None:
    """Raise TypeError unless every output is an ordinary tensor."""
    for name, output in outputs.items():
        if type(output) is not Tensor or not is_plain(output):
            raise TypeError(f"{name} should be an ordinary dense tensor, not {type(output).__name__}")


def refuse_change(before: Iterable[Tensor], inputs: Iterable[Tensor]) -> None:
    """Raise ValueError if a network changed what it was given."""
    if not all(map(torch.equal, before, inputs)):
        raise ValueError(
            "a network changed its input in place; in-place activations are safe after the first layer only"
        )


def note_learning(
    ask: Ask,
    question: str,
    part: str,
    module: nn.Module,
    run: Callable[[], Sequence[Tensor]],
    inputs: Iterable[Tensor],
) -> None:
    """Note whether a network uses weights that it does not list, or that no gradient reaches.

    Args:
        part: what the network is called, in `about_building` too.
        run: computes outputs of the network.
        inputs: from which gradients were wanted as well.
    """
    used = {id(leaf) for output in run() for leaf in _leaves(output)} - set(map(id, inputs))
    registered = {id(parameter) for parameter in module.parameters()}
    note(ask, question, f"{part} hides weights", bool(used - registered))
    idle = [parameter for parameter in module.parameters() if id(parameter) not in used]
    note(ask, question, f"{part} blocks gradients", _matters(idle, run))


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


def _matters(weights: list[nn.Parameter], run: Callable[[], Sequence[Tensor]]) -> bool:
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
    return not all(map(torch.equal, before, after))


def note(ask: Ask, question: str, quantity: str, found: bool) -> None:
    """Write down a yes or no."""
    ask.record(question, quantity, torch.tensor(found))


def about_building(answers: Answers, questions: Iterable[str], builder: str, parts: Sequence[str]) -> str | None:
    """What is wrong with how `builder` builds these parts, from what the functions above noted."""
    sentences = {
        "same objects": "two calls return the same networks; build new ones in every call",
        "seeds torch": f"{builder} seeds torch's random numbers; leave them to whoever calls it",
    }
    for part in parts:
        sentences[f"{part} hides weights"] = (
            f"the {part} uses weights that {part}.parameters() does not list, so no optimizer trains them; "
            "keep layers as attributes or in nn.Sequential or nn.ModuleList"
        )
    for part in parts:
        sentences[f"{part} blocks gradients"] = (
            f"no gradient reaches some weights of the {part}: something is detached or frozen"
        )
    for question in questions:
        for quantity, sentence in sentences.items():
            if answers.tensors[question, quantity]:
                return sentence
    return None


def sees_everything(arrived: Tensor) -> bool:
    """Whether a gradient, shape (channel, height, width), reaches the four quarters of every channel."""
    return all(part.any() for channel in arrived for half in channel.chunk(2, 0) for part in half.chunk(2, 1))
