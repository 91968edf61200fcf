"""A round of answers as bytes: a probe's tensors in safetensors, its words in its header. Nothing is unpickled."""

from __future__ import annotations

import json
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save

from lvmlib.grading.words import plain
from lvmlib.probe import Answers, is_plain

LONGEST_FAULT = 400
MOST = 5_000
"""Tensors, faults and questions in one round."""
LONGEST_HEADER = 2_000_000
"""Bytes of names and words in one round; thousands are usual."""


class ForgedAnswers(Exception):
    """Bytes that no probe of ours wrote."""


def encode(answers: Answers) -> bytes:
    """Answers as bytes, without tolerances, which only an oracle's answers need.

    Raises:
        TypeError: a tensor is not an ordinary one.
    """
    entries = list(answers.tensors)
    unusual = next((entry for entry in entries if not is_plain(answers.tensors[entry])), None)
    if unusual:
        raise TypeError(f"{unusual[1]} is a tensor of an unusual kind")
    words = {"questions": answers.questions, "edges": answers.edges, "faults": answers.faults, "entries": entries}
    tensors = {str(number): answers.tensors[entry].contiguous() for number, entry in enumerate(entries)}
    # Two entries may share memory, which safetensors refuses.
    tensors = {number: tensor.clone() for number, tensor in tensors.items()}
    return save(tensors, metadata={"answers": json.dumps(words)})


def decode(content: bytes) -> Answers:
    """The answers that `encode` wrote, if they are such: the bytes come from a stranger.

    Raises:
        ForgedAnswers: they are not.
    """
    try:
        header = int.from_bytes(content[:8], "little")
        if header > LONGEST_HEADER:
            raise ForgedAnswers("too many words")
        words = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["answers"])
        tensors = load(content)
        entries = [_entry(entry) for entry in words["entries"]]
        faults = {_word(question): plain(_word(fault), LONGEST_FAULT) for question, fault in words["faults"].items()}
        questions, edges = ([_word(word) for word in words[name]] for name in ("questions", "edges"))
        if max(map(len, (entries, faults, questions, edges))) > MOST or len(tensors) != len(entries):
            raise ForgedAnswers("too many answers, or too few")
        named = {entry: _ordinary(tensors[str(number)]) for number, entry in enumerate(entries)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RuntimeError, OverflowError) as error:
        raise ForgedAnswers(f"not answers of a probe: {type(error).__name__}") from error
    except safetensors.SafetensorError as error:
        raise ForgedAnswers("not safetensors") from error
    return Answers(questions, edges, named, faults)


def _word(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError("not a text")
    return text


def _entry(entry: Any) -> tuple[str, str]:
    question, quantity = entry
    return _word(question), _word(quantity)


def _ordinary(tensor: torch.Tensor) -> torch.Tensor:
    if not is_plain(tensor):
        raise TypeError("not an ordinary tensor")
    return tensor
