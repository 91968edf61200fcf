"""A small ready digit classifier: a yardstick for what a generative model draws, not an exercise."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

_WEIGHTS = Path(__file__).parent / "weights"


class Classifier(nn.Module):
    """Three convolutions and one hidden layer for 28×28 grey images, 61,000 parameters.

    Args:
        classes: Number of classes.
        width: Number of features before the last layer.
    """

    def __init__(self, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 3 * 3, width), nn.ReLU(),
        )  # fmt: skip
        self.output = nn.Linear(width, classes)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, for distances between sets of images such as the FID.

        Args:
            images: Grey images in [0, 1], shape (batch, 1, 28, 28).

        Returns:
            Features ≥ 0, shape (batch, width).

        Raises:
            ValueError: The images have another shape.
        """
        if images.ndim != 4 or images.shape[1:] != (1, 28, 28):
            raise ValueError(
                f"The classifier takes images of shape (batch, 1, 28, 28), and these have shape {tuple(images.shape)}: "
                "resize or reshape them first."
            )
        return self.hidden(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes, shape (batch, classes), of images as :meth:`features` takes them."""
        return self.output(self.features(images))


def load_classifier(name: str = "mnist") -> Classifier:
    """A trained classifier in evaluation mode on the profile's device; its parameters take no gradient, its input may.

    Args:
        name: Which one; ``"mnist"`` knows the ten digits.

    Raises:
        ValueError: There is no classifier of that name.
    """
    from safetensors.torch import load_file

    from lvmlib.profile import profile

    stored = {path.stem.removeprefix("classifier-"): path for path in sorted(_WEIGHTS.glob("classifier-*.safetensors"))}
    if name not in stored:
        raise ValueError(f"There is no classifier {name!r}; there is {', '.join(map(repr, stored))}.")
    classifier = Classifier()
    classifier.load_state_dict(load_file(stored[name]))
    return classifier.requires_grad_(False).eval().to(profile.device)
