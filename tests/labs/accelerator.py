"""A GPU that the machine need not have: its tensors have shape, dtype and device, and no numbers."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

DEVICE = torch.device("meta")
ALONE = 200
"""Operations on the CPU after which nothing is expected to come to the device."""

aten = torch.ops.aten


class DevicesMixed(RuntimeError):
    """An operation that a GPU would refuse, and FakeTensorMode would not."""


class StaysOnCPU(Exception):
    """What was said to have no use for a device has none."""


class Accelerator(TorchDispatchMode):
    """Computes on `meta` under FakeTensorMode, which refuses mixed devices, and on the CPU as ever.

    A number that is read from the device, by `item` or a copy to the CPU, is made up: a truth for `all`, otherwise
    False, zero, or for fractions something between 0 and 1.

    Attributes:
        operations: on the device, since `begin`.
        held: bytes of all tensors that are on the device now.
        peak: the most that were held at a time, since `begin`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._alone: int | None = None
        self._storages: weakref.WeakSet[Any] = weakref.WeakSet()
        self.operations = self.held = self.peak = 0

    def begin(self, *, cut: bool = False) -> None:
        """Count anew; with `cut`, raise `StaysOnCPU` where nothing comes to the device for long."""
        self.operations, self.peak = 0, self.held
        self._alone = 0 if cut else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return DEVICE
        parts = list(_parts((*args, *kwargs.values())))
        if not any(_is_there(part) for part in parts):
            return self._on_cpu(func, args, kwargs)
        self.operations, self._alone = self.operations + 1, None
        if func is aten._local_scalar_dense.default:
            return _number(args[0])
        if func is aten.copy_.default and not _is_there(args[0]):
            return args[0].copy_(_numbers(args[1]))
        _refuse(func, args, parts)
        if func is aten.index.Tensor and (mask := _mask(args[1])) is not None:
            return args[0].flatten(0, mask.dim() - 1).clone()  # as if all were chosen
        with self._fake:
            answer = func(*args, **kwargs)
        return self._received(func, kwargs, answer)

    def _on_cpu(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self._alone is not None:
            self._alone += 1
            if self._alone > ALONE:
                raise StaysOnCPU
        return func(*args, **kwargs)

    def _received(self, func: Any, kwargs: Any, answer: Any) -> Any:
        def each(tensor: FakeTensor) -> Tensor:
            if tensor.fake_device == DEVICE:
                self._weigh(tensor)
                return tensor
            if "device" not in kwargs:
                raise DevicesMixed(f"{func} took tensors from more than one device.")
            return _numbers(tensor)

        if func.overloadpacket in (aten.all, aten._is_all_true):
            answer.made_up = True
        return tree_map_only(FakeTensor, each, answer)

    def _weigh(self, tensor: Tensor) -> None:
        """Count a storage once, until the last tensor that looks at it is gone."""
        storage = tensor.untyped_storage()
        if storage in self._storages:
            return
        self._storages.add(storage)
        size = storage.nbytes()
        weakref.finalize(storage, self._release, size)
        self.held += size
        self.peak = max(self.peak, self.held)

    def _release(self, size: int) -> None:
        self.held -= size


def let_torch_take_it_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules move there, optimizers step there as they do on a GPU, and 0-d tensors there can be printed."""
    from torch.optim import optimizer
    from torch.utils import _foreach_utils

    fused, swap = optimizer._get_fused_kernels_supported_devices(), torch.utils.swap_tensors
    foreach = _foreach_utils._get_foreach_kernels_supported_devices()

    def swap_tensors(one: Tensor, other: Tensor) -> None:
        if (one.device, one.dtype) != (other.device, other.dtype):
            swap(one, other)

    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: [*fused, DEVICE.type])
    monkeypatch.setattr(optimizer, "_get_foreach_kernels_supported_devices", lambda: [*foreach, DEVICE.type])
    monkeypatch.setattr(optimizer, "_foreach_supported_types", [*optimizer._foreach_supported_types, FakeTensor])
    monkeypatch.setattr(torch.utils, "swap_tensors", swap_tensors)
    monkeypatch.setattr(FakeTensor, "__format__", lambda tensor, spec: format(tensor.item(), spec))
    monkeypatch.setenv("LVM_DEVICE", DEVICE.type)


def _parts(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _parts(value)
        else:
            yield value


def _is_there(part: Any) -> bool:
    if isinstance(part, Tensor):
        return isinstance(part, FakeTensor) or part.is_meta
    return isinstance(part, torch.device) and part == DEVICE


def _refuse(func: Any, args: Any, parts: list[Any]) -> None:
    if any(isinstance(part, torch.Generator) for part in parts):
        raise DevicesMixed(f"{func} draws on the device from a generator of the CPU.")
    if func._schema.is_mutable and isinstance(args[0], Tensor) and not _is_there(args[0]):
        raise DevicesMixed(f"{func} writes what is on the device to the CPU.")


def _mask(indices: list[Tensor | None]) -> Tensor | None:
    return next((index for index in indices if index is not None and index.dtype == torch.bool), None)


def _number(tensor: Tensor) -> float | int | bool:
    if tensor.dtype == torch.bool:
        return hasattr(tensor, "made_up")
    return 0.5 if tensor.dtype.is_floating_point else 0


def _numbers(tensor: Tensor) -> Tensor:
    if not tensor.dtype.is_floating_point:
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    return torch.rand(tensor.shape, dtype=tensor.dtype, generator=torch.Generator().manual_seed(0))
