"""Questioning a function that draws initial weights, and the law of what it draws.

The tests are exact for every sample size (Chernoff bounds of a mean and a variance, Laurent & Massart, *Adaptive
estimation of a quadratic functional*, 2000, lemma 1; and of a distribution function, Massart, *The tight constant in
the Dvoretzky–Kiefer–Wolfowitz inequality*, 1990).  A submission meets fewer than 200 of them, so that a right one is
refused with a probability below 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from lvmlib.exercises.built_networks import note
from lvmlib.probe import Answers, Ask

STD = 0.02
FALSE_ALARM = 5e-9

NETWORK = "a network"
ALONE = "one layer by itself"

CONVOLUTION = "a convolution"
UNBIASED = "a convolution without bias, inside another module"
WIDE = "a strided convolution"
TRANSPOSED = "a transposed convolution"
TRANSPOSED_UNBIASED = "a transposed convolution without bias"
NORM = "a BatchNorm"
NESTED_NORM = "a BatchNorm inside another module"

# Never run, so that the layers need not fit together: each has the 16,000 weights and more that the tests need.
LAYERS: dict[str, Callable[[], nn.Module]] = {
    CONVOLUTION: lambda: nn.Conv2d(32, 64, 3),
    UNBIASED: lambda: nn.Conv2d(64, 16, 4, bias=False),
    WIDE: lambda: nn.Conv2d(64, 16, 4, stride=2, padding=1),
    TRANSPOSED: lambda: nn.ConvTranspose2d(48, 24, 4, stride=2),
    TRANSPOSED_UNBIASED: lambda: nn.ConvTranspose2d(100, 20, 3, bias=False),
    NORM: lambda: nn.BatchNorm2d(16_500),
    NESTED_NORM: lambda: nn.BatchNorm2d(17_000),
}
NORMS = (NORM, NESTED_NORM)


def ask_initial_weights(ask: Ask) -> None:
    """Apply the function to a network, and to two layers by themselves; write down what the weights then are."""
    layers = {name: make() for name, make in LAYERS.items()}
    nested = nn.Sequential(layers[UNBIASED], layers[NESTED_NORM], nn.LeakyReLU(0.2))
    others = nn.Linear(5, 7), nn.ReLU(), nn.Unflatten(1, (7, 1, 1)), nn.Dropout(), nn.Linear(3, 1)
    direct = [layer for name, layer in layers.items() if name not in (UNBIASED, NESTED_NORM)]
    network = nn.Sequential(*others[:3], *direct, nested, *others[3:])
    _ask_layers(ask, NETWORK, layers, lambda: network.apply(ask.function))
    for name in (TRANSPOSED, NORM):
        layer = LAYERS[name]()
        _ask_layers(ask, f"{ALONE}: {name}", {name: layer}, partial(ask.function, layer))


def _ask_layers(ask: Ask, question: str, layers: dict[str, nn.Module], initialise: Callable[[], object]) -> None:
    before = {name: _start(ask, layer) for name, layer in layers.items()}
    drawn = []
    for _ in range(2):
        torch.default_generator.manual_seed(ask.draw.integer(0, 2**31 - 1))
        ask.attempt(question, initialise, may_draw=True)
        if question in ask.answers.faults:
            return
        drawn.append([weight.detach().clone() for layer in layers.values() for weight in layer.parameters()])
    note(ask, question, "repeats", all(map(torch.equal, *drawn)))
    for name, layer in layers.items():
        after = dict(layer.named_parameters())
        same = all(after.get(key) is parameter for key, parameter in before[name][0].items())
        note(ask, question, f"{name}: replaced", not same or not all(p.requires_grad for p in after.values()))
        for key, parameter in after.items():
            ask.record(question, f"{name}: {key}", parameter)
            unmoved = torch.equal(parameter, before[name][1][key])
            note(ask, question, f"{name}: {key} unmoved", unmoved)


def _start(ask: Ask, layer: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, Tensor]]:
    """The parameters of a layer, and the numbers that were drawn into them to begin with."""
    parameters = dict(layer.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.copy_(ask.draw.uniform(*parameter.shape, low=0.2, high=0.8))
    return parameters, {name: parameter.detach().clone() for name, parameter in parameters.items()}


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with the weights that were drawn, in a clause, or None."""
    for question, fault in answers.faults.items():
        if fault.startswith("raised AttributeError"):
            fault += "; it meets every module, those without weights too"
        return f"{fault} ({question})"
    for question in answers.questions:
        layers = [name for name in LAYERS if (question, f"{name}: weight") in answers.tensors]
        for complain in (_about_objects, _about_untouched, _about_weights, _about_biases):
            for name in layers:
                clause = complain(answers, question, name)
                if clause:
                    return clause
        alike = layers == list(LAYERS) and torch.equal(*(_weight(answers, question, name) for name in (UNBIASED, WIDE)))
        if alike or answers.tensors[question, "repeats"]:
            return "draws the same numbers in every call, so that all networks start alike; leave seeds to the caller"
    return None


def _about_objects(answers: Answers, question: str, name: str) -> str | None:
    if answers.tensors[question, f"{name}: replaced"]:
        return (
            f"the parameters of {name} are new objects or no longer learn, and an optimizer that was made before does "
            "not know them; change the numbers in place"
        )
    return None


def _about_untouched(answers: Answers, question: str, name: str) -> str | None:
    if not answers.tensors[question, f"{name}: weight unmoved"]:
        return None
    return f"the weights of {name} were left as they were ({question})"


def _about_weights(answers: Answers, question: str, name: str) -> str | None:
    weight = _weight(answers, question, name)
    shape = tuple(_shape(name))
    if tuple(weight.shape) != shape or weight.dtype != torch.float32:
        return f"the weights of {name} are {weight.dtype} of shape {tuple(weight.shape)}; they were float32 of {shape}"
    mean = 1.0 if name in NORMS else 0.0
    clause = _against_normal(weight.flatten().double(), mean)
    return clause and f"the weights of {name} {clause}"


def _weight(answers: Answers, question: str, name: str) -> Tensor:
    return answers.tensors[question, f"{name}: weight"]


def _shape(name: str) -> torch.Size:
    with torch.device("meta"):
        weight = LAYERS[name]().weight
    assert isinstance(weight, Tensor)
    return weight.shape


def _about_biases(answers: Answers, question: str, name: str) -> str | None:
    bias = answers.tensors.get((question, f"{name}: bias"))
    if bias is None:
        return None
    if not bias.isfinite().all():
        return f"the biases of {name} are not finite"
    if name in NORMS and bias.any():
        return f"the biases of {name} are not 0 (here {bias[bias != 0][0].item():.3g})"
    return None


def _against_normal(values: Tensor, mean: float) -> str | None:
    """How numbers differ from draws of N(mean, 0.02²), in a clause that begins with its verb, or None."""
    if not values.isfinite().all():
        return "are not finite"
    if (values == values[0]).all():
        return f"are all {values[0].item():.4g}; draw each of them"
    standardised = (values - mean) / STD
    if _is_standard_normal(standardised):
        return None
    found, spread = values.mean().item(), values.std().item()
    wanted = f"N({mean:.0f}, 0.02²)"
    if abs(found - mean) > 0.5 * max(spread, STD):
        return f"have mean {found:.3g}; {wanted} has mean {mean:.0f}"
    known = {
        STD**0.5: "0.02 was taken for the variance; it is the standard deviation",
        STD**2: "0.02² was taken for the standard deviation; that is 0.02",
    }
    for std, sentence in known.items():
        if abs(spread / std - 1) < 0.05:
            return f"have standard deviation {spread:.3g}: {sentence}"
    if _is_uniform(values):
        return f"are uniform, between {values.min().item():.3g} and {values.max().item():.3g}; {wanted} is normal"
    if abs(spread / STD - 1) > _relative_error(len(values)):
        return f"have standard deviation {spread:.4g}; that of {wanted} is 0.02"
    return f"are not distributed as {wanted}, though their standard deviation is about right"


def _is_standard_normal(values: Tensor) -> bool:
    """Mean, variance and distribution function, each at the level of `FALSE_ALARM`."""
    count = len(values)
    exponent = math.log(2 / FALSE_ALARM)
    excess = (values.square().mean() - 1).item()
    return (
        abs(values.mean().item()) <= math.sqrt(2 * exponent / count)
        and -2 * math.sqrt(exponent / count) <= excess <= 2 * math.sqrt(exponent / count) + 2 * exponent / count
        and _distance(values, torch.special.ndtr) <= math.sqrt(exponent / (2 * count))
    )


def _relative_error(count: int) -> float:
    """Of a standard deviation, within the variance's test."""
    return math.sqrt(math.log(2 / FALSE_ALARM) / count)


def _is_uniform(values: Tensor) -> bool:
    low, high = values.min(), values.max()
    distance = _distance((values - low) / (high - low), lambda share: share)
    return distance <= math.sqrt(math.log(2 / FALSE_ALARM) / (2 * len(values)))


def _distance(values: Tensor, distribution: Callable[[Tensor], Tensor]) -> float:
    """Kolmogorov–Smirnov distance of numbers to a distribution function."""
    expected = distribution(values.sort().values)
    steps = torch.arange(len(values) + 1, dtype=torch.float64) / len(values)
    return max((steps[1:] - expected).max().item(), (expected - steps[:-1]).max().item())
