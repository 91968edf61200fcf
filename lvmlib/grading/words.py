"""A stranger's words, made harmless for a terminal, a table and a file."""

from __future__ import annotations

import re
import unicodedata

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])?")
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def plain(text: str, longest: int) -> str:
    """One line of visible characters: no escape codes, no control or direction marks, no lone surrogates.

    Args:
        longest: the most characters; what is cut off shows as an ellipsis.
    """
    cut = ESCAPES.sub("", text[: 20 * longest])
    visible = "".join(" " if character.isspace() else character for character in cut if _is_visible(character))
    line = " ".join(visible.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def printable(text: str, longest: int = 100) -> str:
    """A stranger's name for something: `�` stands for what cannot be seen, so that two names stay two.

    Args:
        longest: the most characters; what is cut off shows as an ellipsis.
    """
    shown = "".join(map(_in_sight, text[: longest + 1]))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _in_sight(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character if character.isprintable() else "�"


def sentence(words: str) -> str:
    """Words with a capital letter in front and an end."""
    ended = words if words.endswith((".", "!", "?", "…")) else f"{words}."
    return ended[:1].upper() + ended[1:]


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in INVISIBLE
