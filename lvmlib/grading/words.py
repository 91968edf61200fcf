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


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in INVISIBLE
