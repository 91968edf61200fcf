"""What the front page shows: some striking pictures, and a card for each lab."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lvmlib.authoring.gallery.lab import Lab
from lvmlib.authoring.gallery.pictures import Shown

ROOM = 0.6
"""Height over width of a card's picture."""


@dataclass(frozen=True)
class Exhibit:
    """A picture at the top of the front, and what is said below it."""

    lab: Lab
    picture: Shown
    words: str


# By lab and experiment, in the order of the page; the first is also what other sites show of this one.
STRIKING = {
    ("03-vae", "skin-tone"): "An emoji VAE: one direction of its codes is skin tone, also for new people.",
    ("03-vae", "new-faces"): "New ones, each from three random numbers.",
    ("05-beta-vae", "units-in-motion"): "Five latent units of a β-VAE, moved one at a time.",
    ("05-beta-vae", "betas-in-motion"): "Four values of β side by side: what each model’s strongest units do.",
}


def exhibits(labs: Iterable[Lab]) -> list[Exhibit]:
    """The striking pictures of those labs that are there."""
    found = {(lab.name, shown.experiment): (lab, shown) for lab in labs for shown in reversed(lab.album.shown)}
    return [Exhibit(*found[place], words) for place, words in STRIKING.items() if place in found]


def on_card(lab: Lab) -> list[Shown]:
    """The pictures of a lab's card: its cover, and those drawn with it as long as there is room."""
    chosen: list[Shown] = []
    for shown in lab.album.cover():
        height = sum(each.height / each.width for each in [*chosen, shown])
        if chosen and height > ROOM:
            break
        chosen.append(shown)
    return chosen
