"""Checkpoints: plain tensors and numbers in one file that is never half-written."""

from __future__ import annotations

import copy
import os
import pickle
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FORMAT = "lvmlib checkpoint 1"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read or applied; the file on disk is as it was."""


def save(path: str | Path, contents: Mapping[str, Any]) -> None:
    """Write `contents` so that `path` always holds a whole checkpoint: the one before or this one.

    Args:
        path: the file; its folder is made if need be.
        contents: nested dicts, lists and tuples of tensors, numbers, strings and None.

    Raises:
        CheckpointError: something in `contents` is of another type.
        OSError: the disk refuses (full, read-only, no permission).
    """
    path = Path(path)
    payload = {"format": FORMAT, "contents": portable(contents)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "xb") as file:
            torch.save(payload, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def load(path: str | Path) -> dict[str, Any]:
    """Read what `save` wrote, every tensor on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is cut short, damaged, or not a checkpoint of this library.
    """
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint (cut short, damaged, or another kind of file); "
            "give another path, or move it away to train from the start."
        ) from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not an {FORMAT!r} file; give another path, or move it away to train from the start."
        )
    contents: dict[str, Any] = payload["contents"]
    return contents


def capture(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of every object named, as `save` takes it.

    Args:
        state: name → module, optimizer, scheduler, or anything else with `state_dict` and `load_state_dict`; or a
            tensor (a cloud of particles, say), or a `torch.Generator`.

    Raises:
        CheckpointError: an object is none of these, or its state holds more than tensors and plain values.
    """
    return {name: {"kind": _kind(item), "value": portable(_value(name, item), name)} for name, item in state.items()}


def restore(state: Mapping[str, Any], captured: Mapping[str, Any], origin: str | Path = "the checkpoint") -> None:
    """Load what `capture` took back into the objects named, in place: into all of them or, when one does not fit, none.

    Args:
        state: the same names and kinds of objects as were captured.
        captured: what `capture` returned.
        origin: the file, for the error's sentence.

    Raises:
        CheckpointError: names, kinds, shapes or dtypes differ.
    """
    missing, extra = state.keys() - captured.keys(), captured.keys() - state.keys()
    if missing or extra:
        lacks = f"lacks {_listed(missing)}" if missing else ""
        has = f"has {_listed(extra)}, which this training does not" if extra else ""
        raise _misfit(origin, " and ".join(filter(None, [lacks, has])))
    before = {name: copy.deepcopy(portable(_value(name, item), name)) for name, item in state.items()}
    try:
        for name, item in state.items():
            _put_back(name, item, captured[name])
    except Exception as error:
        for name, item in state.items():
            _setter(item)(before[name])
        raise _misfit(origin, str(error).strip().splitlines()[0].rstrip(".")) from error


def portable(value: Any, where: str = "contents") -> Any:
    """`value` as `torch.load(weights_only=True)` accepts it: detached tensors, plain containers, plain values.

    Raises:
        CheckpointError: it holds something else; checked before writing, because reading would be too late.
    """
    if isinstance(value, Tensor):
        tensor = value.detach()
        # torch.save writes the whole storage that a view looks into
        return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor
    if isinstance(value, np.generic):
        return portable(value.item(), where)
    if isinstance(value, Mapping):
        return {portable(key, where): portable(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [portable(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    raise CheckpointError(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot hold; "
        "keep tensors, numbers, strings, lists and dicts in it."
    )


def _put_back(name: str, item: Any, captured: Mapping[str, Any]) -> None:
    if captured["kind"] != _kind(item):
        raise ValueError(f"it holds a {captured['kind']} as {name!r} where this training has a {_kind(item)}")
    current = item.state_dict() if isinstance(item, nn.Module) else {"": item} if isinstance(item, Tensor) else {}
    saved = captured["value"] if isinstance(item, nn.Module) else {"": captured["value"]}
    for key, tensor in current.items():
        if isinstance(tensor, Tensor):
            _compare(f"{name}.{key}".rstrip("."), tensor, saved.get(key))
    if isinstance(item, nn.Module) and (extra := saved.keys() - current.keys()):
        raise ValueError(f"it holds {_listed(f'{name}.{key}' for key in extra)}, which this training does not have")
    _setter(item)(captured["value"])


def _compare(name: str, wanted: Tensor, saved: Tensor | None) -> None:
    if saved is None:
        raise ValueError(f"it lacks {name!r}")
    if saved.shape != wanted.shape:
        raise ValueError(f"{name!r} has shape {tuple(saved.shape)} in it and {tuple(wanted.shape)} in this training")
    if saved.dtype != wanted.dtype:
        raise ValueError(f"{name!r} is {saved.dtype} in it and {wanted.dtype} in this training")


def _kind(item: Any) -> str:
    """What has to agree: any module may take a module's weights, but Adam's moments are of no use to SGD."""
    for kind, name in ((nn.Module, "module"), (Tensor, "tensor"), (torch.Generator, "generator")):
        if isinstance(item, kind):
            return name
    return type(item).__name__


def _value(name: str, item: Any) -> Any:
    if isinstance(item, Tensor):
        return item
    if isinstance(item, torch.Generator):
        return item.get_state()
    if hasattr(item, "state_dict") and hasattr(item, "load_state_dict"):
        return item.state_dict()
    raise CheckpointError(
        f"{name!r} is a {type(item).__name__}; a checkpoint holds tensors, generators, and objects with state_dict and "
        "load_state_dict."
    )


def _setter(item: Any) -> Callable[[Any], Any]:
    if isinstance(item, Tensor):
        return item.detach().copy_
    if isinstance(item, torch.Generator):
        return item.set_state
    load_state_dict: Callable[[Any], Any] = item.load_state_dict
    return load_state_dict


def _misfit(origin: str | Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{origin} does not fit this training: {reason}; build what was built when it was written, or give another "
        "path."
    )


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # network and FUSE folders, such as Google Drive's, may refuse; the file in it is whole all the same
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
