"""The calls Python has no binding for, against the running kernel."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.stores import linux


def test_errors_are_oserrors_with_errno(image: Path) -> None:
    fd = os.open(image, os.O_RDONLY)
    with pytest.raises(OSError) as caught:
        linux.punch_hole(fd, 0, 512)
    assert caught.value.errno == errno.EBADF
    assert not linux.can_punch_holes(fd, 8 << 20)
    assert not linux.can_discard_device(fd), "not a device"
    assert linux.rotational(fd) is None
    os.close(fd)
    with pytest.raises(OSError) as caught:
        linux.file_system_type(fd)
    assert caught.value.errno == errno.EBADF


def test_names_the_file_system() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    assert linux.file_system_type(fd) == 0x9FA0  # PROC_SUPER_MAGIC
    os.close(fd)


def test_a_signal_does_not_make_fallocate_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [errno.EINTR, errno.EINTR, 0]

    def interrupted(*arguments: Any) -> int:
        code = answers.pop(0)
        ctypes.set_errno(code)
        return -1 if code else 0

    def find(*arguments: Any) -> Callable[..., int]:
        return interrupted

    monkeypatch.setattr(linux, "_libc_function", find)
    linux.fallocate(0, 0, 0, 1)
    assert answers == []


def test_the_first_known_function_is_taken() -> None:
    function = linux._libc_function(("no_such_function", "fstatfs"), ctypes.c_int, ctypes.c_void_p)
    assert function(-1, None) == -1
