"""Questioning a minibatch's estimate of a sum over all images: gradients that see which images they are asked for."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame
from lvmlib.probe import Ask


class ImageGradients:
    """Gradients of single images, shape (images, *shape); the same tensor, not a copy, each time one is asked for.

    `strays` are images that were asked for and are not in the batch.

    Raises:
        TypeError: it is asked for anything but one image.
    """

    def __init__(self, table: Tensor):
        self.given = table
        self.each = list(table.clone())
        self.batch: list[int] = []
        self.strays: list[int] = []

    def __call__(self, image: Any) -> Tensor:
        try:
            index = operator.index(image)
        except TypeError:
            kind = type(image).__name__
            raise TypeError(f"gradient takes the index of one image, an int, and was given {kind}") from None
        if index not in self.batch:
            self.strays.append(index)
            return torch.zeros_like(self.each[0])
        return self.each[index]

    def fault(self) -> str | None:
        """What was done with the gradients that should not have been done, in a clause."""
        if self.strays:
            return "asked for images that are not in the batch; take the gradients of those whose indices `batch` holds"
        if not all(map(torch.equal, self.each, self.given)):
            return "changed a gradient that it was given, in place; it belongs to the caller, so add to a new tensor"
        return None


def ask_batch(ask: Ask, question: str, table: Tensor, batch: Sequence[int], *, edge: bool = False) -> None:
    """Ask for the estimate from one batch of the images whose gradients a table (images, *shape) holds."""
    gradients = ImageGradients(table)
    gradients.batch = list(batch)
    ask(question, {"gradient": gradients, "batch": list(batch), "total": len(table)}, edge=edge)
    _note(ask, question, gradients)


def ask_every_batch(ask: Ask, size: int, table: Tensor) -> None:
    """Ask for the estimates from all batches of one size; their mean shows whether they are right on average."""
    total = len(table)
    question = f"all batches of {size} out of {total} images"
    gradients, estimates = ImageGradients(table), []
    for batch in combinations(range(total), size):
        gradients.batch = list(batch)
        arguments = {"gradient": gradients, "batch": list(batch), "total": total}
        estimates.append(ask.call(question, arguments))
        _note(ask, question, gradients)
        if question in ask.answers.faults:
            return
    if any(estimate.shape != estimates[0].shape for estimate in estimates):
        blame(ask, question, "returned tensors of different shapes for batches of one size")
        return
    ask.record(question, "mean over all batches", torch.stack(estimates).mean(0))


def _note(ask: Ask, question: str, gradients: ImageGradients) -> None:
    fault = gradients.fault()
    if fault:
        ask.answers.faults[question] = fault
