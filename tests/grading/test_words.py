"""A stranger's words and names are harmless wherever they are shown."""

from __future__ import annotations

import pytest

from lvmlib.grading.words import plain, printable, sentence

HOSTILE = ["\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07red", "\x9b31mred", "\u202ered", "red\r\n\u2028\ud800"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    for shown in (plain(text, 100), printable(text)):
        assert shown.isprintable() and "red" in shown


def test_what_is_shown_has_an_end() -> None:
    assert len(plain("x" * 1000, 100)) == len(printable("x" * 1000)) == 100


def test_names_stay_as_they_are_and_apart() -> None:
    assert printable("Ада Лавлейс") == "Ада Лавлейс"
    assert printable("Zoë\u00a0Müller") == "Zoë Müller"
    assert printable("a\u202eb\x00c\ud800\x9b") == "a�b�c��"
    assert printable("ada\x00") != printable("ada")


@pytest.mark.parametrize(
    ("words", "told"),
    [("it ended", "It ended."), ("It ended.", "It ended."), ("why?", "Why?"), ("it said a…", "It said a…")],
)
def test_words_become_a_sentence(words: str, told: str) -> None:
    assert sentence(words) == told
