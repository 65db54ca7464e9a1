"""The size of nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.stores.nullio import NullStore


@pytest.mark.parametrize(("block_size", "options", "size"), [
    pytest.param(None, {}, 1 << 36, id="64 GiB by default"),
    pytest.param(4096, {}, 1 << 36, id="64 GiB in larger blocks"),
    pytest.param(None, {"Blocks": 1000}, 512_000, id="Blocks of 512 bytes"),
    pytest.param(4096, {"Blocks": 1000}, 4_096_000, id="Blocks of BlockSize"),
    pytest.param(2048, {"Sectors": 10}, 20_480, id="Sectors, the older name"),
    pytest.param(None, {"Blocks": 0}, 1 << 36, id="0 is the default"),
])
def test_size(block_size: int | None, options: dict[str, Any], size: int) -> None:
    assert NullStore(block_size=block_size, options=options).size == size


def test_reads_zeros_over_what_was_there() -> None:
    buffer = bytearray(b"\xff" * ((2 << 20) + 512))
    assert NullStore().read_now(1 << 35, memoryview(buffer))
    assert buffer == bytes(len(buffer))
