"""Questioning a baseline of all samples but one: where its surrogates lead, and that they do not lead into rewards."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmlib.exercises.expected_gradients import OFFSET
from lvmlib.exercises.plain_values import blame, kind_of
from lvmlib.probe import Ask, gradients, is_plain


def ask_leave_one_out(ask: Ask) -> None:
    """Ask `surrogate(log_q, reward)` for the gradients of one surrogate an observation."""
    draw = ask.draw
    samples, batch = draw.distinct(2, 3, 6)

    def values(
        samples: int, batch: int, around: float = 0.0, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        log_q = draw.uniform(samples, batch, low=-4, high=-0.2, dtype=dtype)
        return log_q, draw.uniform(samples, batch, low=around - 4, high=around + 4, dtype=dtype)

    _ask(ask, f"{samples} samples of {batch} observations", *values(samples, batch))
    _ask(ask, f"{batch} samples of {samples} observations", *values(batch, samples))
    _ask(ask, f"2 samples of {batch} observations", *values(2, batch))
    _ask(ask, "a reward without a graph", *values(samples, batch), attached=False, edge=True)
    _ask(ask, "one observation", *values(samples, 1), edge=True)
    _ask(ask, "as many samples as observations", *values(batch, batch), edge=True)
    _ask(ask, "40 samples", *values(40, batch), edge=True)
    _ask(ask, "rewards near −300", *values(samples, batch, OFFSET), atol=5e-4, edge=True)
    _ask(ask, "float64 inputs", *values(samples, batch, OFFSET, torch.float64), edge=True)


def _ask(
    ask: Ask,
    question: str,
    log_q: Tensor,
    reward: Tensor,
    *,
    attached: bool = True,
    edge: bool = False,
    atol: float | None = None,
) -> None:
    """Write down the gradients of a surrogate; that of the rewards as 0 where it is that of their mean over samples.

    Args:
        attached: whether the rewards have a graph.
        edge: whether this tests a limit rather than everyday use.
    """
    if edge:
        ask.answers.edges.append(question)
    leaves = {"log_q": log_q.clone().requires_grad_(), "reward": reward.clone().requires_grad_()}
    # Results of something, as they are in use, so that a graph may be cut in place.
    passed = {"log_q": leaves["log_q"] * 1.0, "reward": leaves["reward"] * 1.0 if attached else reward.clone()}
    surrogate = ask.attempt(question, ask.function, *passed.values())
    fault = _not_one_each(surrogate, log_q)
    for name, tensor in passed.items():
        if not torch.equal(tensor, leaves[name]) or tensor.requires_grad != (name == "log_q" or attached):
            fault = f"changed its argument `{name}` in place; work on a new tensor"
    if fault:
        blame(ask, question, fault)
    if question in ask.answers.faults:
        return
    found = ask.attempt(question, gradients, surrogate, list(leaves.values()), doing="differentiated")
    if found is None:
        return
    in_log_q, in_reward = found
    ask.record(question, "gradient of log_q", in_log_q, atol=atol)
    (of_mean,) = gradients(leaves["reward"].mean(0), [leaves["reward"]])
    adds_the_mean = torch.allclose(in_reward, of_mean, rtol=1e-4, atol=1e-6)
    ask.record(question, "gradient of reward", torch.zeros_like(reward) if adds_the_mean else in_reward)


def _not_one_each(surrogate: object, log_q: Tensor) -> str | None:
    if type(surrogate) is not Tensor:
        return f"returned {kind_of(surrogate)}; its signature promises a tensor"
    if not is_plain(surrogate) or surrogate.dtype != log_q.dtype:
        return f"returned a tensor of {surrogate.dtype}; an ordinary one of {log_q.dtype} is wanted, as the inputs are"
    if surrogate.shape != log_q.shape[1:]:
        shape, wanted = tuple(surrogate.shape), tuple(log_q.shape[1:])
        return f"returned a tensor of shape {shape}; one number for each observation is wanted, {wanted}"
    return None
