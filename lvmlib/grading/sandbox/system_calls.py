"""A filter of system calls for a process that runs a stranger's code, as a seccomp program (Linux, seccomp(2)).

Namespaces and lost capabilities already keep such a process in; this takes away what code of a lab never needs and
what namespaces do not cover: kernel keyrings, memory that belongs to no process, sockets to the host of a virtual
machine, and the calls in which most holes of kernels were found.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from lvmlib.grading.sandbox.libc import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl

SECCOMP_MODE_FILTER = 2
LOAD_WORD, AND, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ALL_BITS = 0xFFFFFFFF
X32 = 0x40000000

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# fmt: off
DENIED = {
    "x86_64": {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
        "open_by_handle_at": 304, "name_to_handle_at": 303,
        "add_key": 248, "request_key": 249, "keyctl": 250,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "personality": 135,
        "init_module": 175, "finit_module": 313, "delete_module": 176, "reboot": 169, "syslog": 103, "acct": 163,
        "quotactl": 179, "memfd_create": 319, "shmget": 29, "msgget": 68,
    },
    "aarch64": {
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
        "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268,
        "open_by_handle_at": 265, "name_to_handle_at": 264,
        "add_key": 217, "request_key": 218, "keyctl": 219,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "personality": 92,
        "init_module": 105, "finit_module": 273, "delete_module": 106, "reboot": 142, "syslog": 116, "acct": 89,
        "quotactl": 60, "memfd_create": 279, "shmget": 194, "msgget": 186,
    },
}
# Newer calls have one number everywhere.
DENIED_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "memfd_secret": 447,
    "pidfd_getfd": 438,
}
# fmt: on
CLONE3 = 435


class Condition(NamedTuple):
    """A call that is denied where `argument & mask` is `value`, or, if `only`, where it is anything else."""

    numbers: dict[str, int]
    argument: int
    mask: int
    value: int
    only: bool
    error: int = errno.EPERM


NEW_NAMESPACES = 0x7E020080
SHARED_ANONYMOUS = 0x21
SET_LEASE = 1024
CONDITIONS = (
    Condition({"x86_64": 56, "aarch64": 220}, 0, NEW_NAMESPACES, 0, only=True),  # clone
    Condition({"x86_64": 41, "aarch64": 198}, 0, ALL_BITS, socket.AF_UNIX, True, errno.EAFNOSUPPORT),  # socket
    Condition({"x86_64": 53, "aarch64": 199}, 0, ALL_BITS, socket.AF_UNIX, True, errno.EAFNOSUPPORT),  # socketpair
    # mmap: such memory is charged to nobody once its pages are given back, though it keeps their content.
    Condition({"x86_64": 9, "aarch64": 222}, 3, SHARED_ANONYMOUS, SHARED_ANONYMOUS, only=False),
    Condition({"x86_64": 72, "aarch64": 25}, 1, ALL_BITS, SET_LEASE, only=False),  # fcntl
)


def forbid_system_calls() -> bool:
    """Put the filter over this process and all that it will start, for good.

    Returns:
        Whether there is a filter for this machine.

    Raises:
        OSError: the kernel refused it.
    """
    machine = platform.machine()
    if machine not in AUDIT:
        return False
    steps = b"".join(_program(machine))
    held = ctypes.create_string_buffer(steps)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(held)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))
    return True


def _program(machine: str) -> Iterator[bytes]:
    yield _step(LOAD_WORD, ARCHITECTURE)
    yield _step(JUMP_EQUAL, AUDIT[machine], then=1)
    yield _step(RETURN, KILL)
    yield _step(LOAD_WORD, NUMBER)
    yield _step(JUMP_AT_LEAST, X32, otherwise=1)
    yield _fail(errno.EPERM)
    for number in (DENIED[machine] | DENIED_EVERYWHERE).values():
        yield _step(JUMP_EQUAL, number, otherwise=1)
        yield _fail(errno.EPERM)
    # Its flags lie in memory, where a filter cannot read them; without it, libc falls back on clone.
    yield _step(JUMP_EQUAL, CLONE3, otherwise=1)
    yield _fail(errno.ENOSYS)
    for condition in CONDITIONS:
        yield from _conditional(condition, machine)
    yield _step(RETURN, ALLOW)


def _conditional(condition: Condition, machine: str) -> Iterator[bytes]:
    yield _step(JUMP_EQUAL, condition.numbers[machine], otherwise=5)
    yield _step(LOAD_WORD, FIRST_ARGUMENT + 8 * condition.argument)
    yield _step(AND, condition.mask)
    yield _step(JUMP_EQUAL, condition.value, then=int(condition.only), otherwise=int(not condition.only))
    yield _fail(condition.error)
    yield _step(LOAD_WORD, NUMBER)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)


def _fail(number: int) -> bytes:
    return _step(RETURN, FAIL | number)
