"""Questioning control variates that keep account of the rewards they have seen: histories of batches, and their state.

Every question builds control variates of its own.  What must hold of any state, whatever it is an account of, is found
out here by comparing a control variate with its like; what it does to the rewards is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame
from lvmlib.exercises.several_tensors import tensors
from lvmlib.probe import Ask, Draw

NAMES = ("reward", "loss")

STATE = "what it keeps from batch to batch, and what a copy of it keeps"
GRAPH = "rewards that come with a graph"


class History(NamedTuple):
    """Batches of rewards that one control variate sees, one after the other."""

    question: str
    decay: float
    rewards: Sequence[Tensor]
    edge: bool = True
    x: Tensor | None = None
    ends_in_eval_mode: bool = False
    double: bool = False


def modified(batch: int) -> str:
    """The quantity under which a batch's new rewards are written down; the first batch is number 1."""
    return f"modified reward of batch {batch}"


def loss_of(batch: int) -> str:
    """The quantity under which a batch's losses are written down."""
    return f"loss of batch {batch}"


def histories(draw: Draw) -> list[History]:
    """Everyday ones first: wide rewards, high ones and quiet ones; then the limits."""
    few, some, many = draw.distinct(3, 3, 8)

    def decay() -> float:
        return draw.integer(11, 18) / 20

    def batches(
        sizes: Sequence[int],
        centres: tuple[float, float],
        widths: tuple[float, float],
        dtype: torch.dtype = torch.float32,
    ) -> list[Tensor]:
        """Batches around centres of their own, each as wide as its turn has it: first the wide ones, then narrow."""
        found = []
        for turn, size in enumerate(sizes):
            centre = draw.uniform(1, low=centres[0], high=centres[1], dtype=torch.float64)
            width = widths[turn % 2]
            found.append((centre + width * draw.uniform(size, dtype=torch.float64)).to(dtype))
        return found

    def wide(*sizes: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        return batches(sizes, (20, 40), (15, 6), dtype=dtype)

    quiet = [
        *batches([some, few], (1, 2), (0.3, 0.2)),
        *wide(many),
        *batches([few, some, many], (1, 2), (0.2, 0.4)),
    ]
    images = draw.uniform(some, 1, few, many, low=0, high=1)
    return [
        History(f"batches of {few}, {some}, {many} and {few}", decay(), wide(few, some, many, few), edge=False),
        History("rewards around −300", decay(), batches([some, many, some], (-320, -280), (50, 30)), edge=False),
        History("quiet rewards, and one loud batch among them", decay(), quiet, edge=False),
        History("decay 0", 0.0, wide(some, few, many)),
        History("decay 0.99", 0.99, batches([many, some, few, many], (-300, -250), (80, 60))),
        History("batches of one", decay(), wide(some, 1, 1, many)),
        History("nothing but batches of one", decay(), wide(1, 1, 1)),
        History("many batches", decay(), wide(*[few] * 12)),
        History("float64 rewards", decay(), wide(some, few, many, dtype=torch.float64), double=True),
        History("x is passed, too", decay(), wide(some, some, some), x=images),
        History("eval mode after the first batch", decay(), wide(some, few), ends_in_eval_mode=True),
    ]


def ask_running(ask: Ask) -> None:
    """All questions to a class that is made from its decay."""
    for history in histories(ask.draw):
        ask_history(ask, history)
    seen = [ask.draw.uniform(size, low=-40, high=-3) for size in (4, 6, 5)]
    ask_state(ask, lambda: ask.function(0.75), [(reward,) for reward in seen])
    ask_graph(ask, lambda: ask.function(0.75), seen)


def ask_history(ask: Ask, history: History) -> None:
    """Show a new control variate the batches of a history and write down what it makes of each."""
    question = history.question
    if history.edge:
        ask.answers.edges.append(question)
    control_variate = ask.attempt(question, ask.function, history.decay)
    if history.double and hasattr(control_variate, "double") and not _takes(ask, history):
        control_variate.double()
    for batch, reward in enumerate(history.rewards, start=1):
        if history.ends_in_eval_mode and batch == len(history.rewards) and hasattr(control_variate, "eval"):
            control_variate.eval()
        parts = step(ask, question, control_variate, reward, *([] if history.x is None else [history.x]))
        if parts is None:
            return
        record_parts(ask, question, batch, parts, reward.dtype)


def _takes(ask: Ask, history: History) -> bool:
    """Whether a control variate takes these rewards as it is, without being told of their type."""
    trial = Ask(ask.function, seed=0)
    step(trial, history.question, trial.attempt(history.question, ask.function, history.decay), history.rewards[0])
    return not trial.answers.faults


def record_parts(ask: Ask, question: str, batch: int, parts: Sequence[Tensor], dtype: torch.dtype) -> None:
    """Write down the new rewards and the losses of one batch; of what type the losses are does not matter."""
    reward, loss = parts
    # The state may be a float32 number whatever the rewards are.
    ask.record(question, modified(batch), reward, rtol=1e-4, atol=1e-4)
    ask.record(question, loss_of(batch), loss.to(dtype), rtol=1e-4, atol=1e-4)


def step(ask: Ask, question: str, control_variate: Any, *arguments: Tensor) -> tuple[Tensor, ...] | None:
    """What a control variate makes of one batch: new rewards and a loss for each; None where that is a fault."""
    if question in ask.answers.faults:
        return None
    passed = [argument.clone() for argument in arguments]
    parts = tensors(ask, question, ask.attempt(question, control_variate, *passed), NAMES)
    for name, given, now in zip(("reward", "x"), arguments, passed, strict=False):
        if not torch.equal(given, now):
            blame(ask, question, f"changed its argument `{name}` in place; work on a new tensor")
    return None if question in ask.answers.faults else parts


def ask_state(ask: Ask, make: Callable[[], Any], batches: Sequence[Sequence[Tensor]]) -> None:
    """Whether the state is one's own, survives in a state_dict, and is no longer shared after loading.

    Args:
        make: a new control variate, each time alike.
        batches: the arguments of each call; all but the last are seen before the state is saved.
    """
    question, last = STATE, batches[-1]
    ask.answers.edges.append(question)
    original, twin, copy = (ask.attempt(question, make) for _ in range(3))
    before = [step(ask, question, original, *batch) for batch in batches[:-1]]
    alike = [step(ask, question, twin, *batch) for batch in batches[:-1]]
    if question in ask.answers.faults:
        return
    if not all(map(_close, before, alike)):
        blame(ask, question, "two of them share their state: what one has seen, the other counts, too; keep it in self")
        return
    if not hasattr(copy, "load_state_dict"):
        blame(ask, question, "has no state_dict, in which its state is saved with the model; make it a torch.nn.Module")
        return
    ask.attempt(question, lambda: copy.load_state_dict(original.state_dict()), doing="loaded from its state_dict")
    after = [step(ask, question, each, *last) for each in (twin, copy, original)]
    if question in ask.answers.faults:
        return
    if not _close(after[0], after[1]):
        lost = (
            "forgets what it has seen when it is saved and loaded: state_dict carries buffers, parameters and modules"
        )
        blame(ask, question, f"{lost} that self holds, and nothing else")
    elif not _close(after[0], after[2]):
        blame(
            ask, question, "shares its state with a copy that loaded its state_dict; hand out a clone, or use a buffer"
        )
    else:
        ask.record(question, "agreement of a loaded copy", torch.tensor(True))


def ask_graph(ask: Ask, make: Callable[[], Any], rewards: Sequence[Tensor]) -> None:
    """Whether the state waits for gradients of its own, and what becomes of rewards that hang on a graph."""
    question = GRAPH
    ask.answers.edges.append(question)
    parts = step(ask, question, ask.attempt(question, make), rewards[0])
    if parts is not None and parts[0].requires_grad:
        learns = "its state is a parameter that requires gradients, and an optimizer would move it; keep it in a buffer"
        blame(ask, question, learns)
    control_variate = ask.attempt(question, make)
    for reward in rewards[:-1]:
        step(ask, question, control_variate, reward.clone().requires_grad_() * 1.0)
    parts = step(ask, question, control_variate, rewards[-1])
    if parts is not None:
        record_parts(ask, question, len(rewards), parts, rewards[-1].dtype)


def _close(one: Sequence[Tensor] | None, other: Sequence[Tensor] | None) -> bool:
    pairs = zip(one or (), other or (), strict=True)
    return all(a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5) for a, b in pairs)
