"""What the ready digit classifier makes of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lvmlib.classifier import Classifier, load_classifier

_SURE = 0.9
_BATCH = 1000
_ROUNDING = 0.01


@dataclass(frozen=True)
class Recognised:
    """What :func:`recognised` found.

    Attributes:
        share: Share of the images that the classifier is sure of, between 0 and 1.
        counts: How many of those are of each class 0, 1, …
    """

    share: float
    counts: tuple[int, ...]

    @property
    def classes(self) -> int:
        """How many classes occur."""
        return sum(count > 0 for count in self.counts)

    def __str__(self) -> str:
        share = f"{100 * self.share:.0f} % recognised with over {_SURE} confidence"
        return f"{share}, {self.classes} of {len(self.counts)} classes"


def recognised(images: Tensor) -> Recognised:
    """How many images the ready MNIST classifier takes for a digit with a probability over 0.9, and for which.

    It is that sure of 98 % of real test digits. A high share says that samples look like digits, not that they are as
    varied: a generator that draws ten different images can reach 100 %.

    Args:
        images: In [0, 1], shape (count, 1, 28, 28), on any device; one with NaN is not recognised.

    Raises:
        ValueError: The images have another shape or range, or there are none.
    """
    if not len(images):
        raise ValueError("There are no images to recognise; pass at least one.")
    classifier = load_classifier("mnist")
    counts = torch.zeros(classifier.output.out_features, dtype=torch.int64)
    for batch in in_batches(images, classifier):
        confidence, guess = classifier(batch).softmax(1).max(1)
        counts += guess[confidence > _SURE].cpu().bincount(minlength=len(counts))
    return Recognised(int(counts.sum()) / len(images), tuple(counts.tolist()))


def features(images: Tensor) -> Tensor:
    """What the last layer of the ready MNIST classifier sees of images as :func:`recognised` takes them.

    Returns:
        Shape (count, 64), float64 on the CPU.
    """
    classifier = load_classifier("mnist")
    return torch.cat([classifier.features(batch).cpu().double() for batch in in_batches(images, classifier)])


def in_batches(images: Tensor, classifier: Classifier) -> Iterator[Tensor]:
    """Parts of the images, without gradient, where and as the classifier's parameters are.

    Raises:
        ValueError: Pixels lie outside [0, 1].
    """
    for batch in images.detach().split(_BATCH):
        pixels = batch.to(classifier.output.weight)
        known = pixels[pixels.isfinite()]
        if ((known < -_ROUNDING) | (known > 1 + _ROUNDING)).any():
            raise ValueError(
                f"The images hold pixels from {known.min():.3g} to {known.max():.3g}, and the classifier knows [0, 1]; "
                "rescale them, for example (images + 1) / 2 after a tanh or images / 255 for bytes."
            )
        yield pixels
