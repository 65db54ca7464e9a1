"""The table of store types and its one opener."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.stores import STORES, open_store


@pytest.mark.parametrize(("type", "path", "options", "sentence"), [
    ("rbd", "/x", {}, "there is no store type 'rbd'; use fileio, blockio, nullio"),
    ("FileIO", "/x", {}, "there is no store type 'FileIO'; use fileio, blockio, nullio"),
    ("fileio", "", {}, "fileio needs the path of its medium"),
    ("blockio", "", {}, "blockio needs the path of its medium"),
    ("nullio", "/x", {}, "nullio has no medium; leave out the path /x"),
    ("fileio", "/x", {"Blocks": 1}, "fileio has no option Blocks; it has none"),
    ("nullio", "", {"Size": 1}, "nullio has no option Size; it has Blocks, Sectors"),
])
def test_wrong_calls_are_told(type: str, path: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(type, path, options=options)
    assert str(caught.value) == sentence
    assert caught.value.errno == errno.EINVAL


def test_rows_know_their_own_name() -> None:
    assert {name: row.name for name, row in STORES.items()} == {name: name for name in STORES}


@pytest.mark.parametrize("word", ["0", "1", "0x10", str(2**51 - 1)])
def test_block_counts_keep_within_63_bits(word: str) -> None:
    for option in STORES["nullio"].options:
        assert option.value.parse(word) * 4096 < 2**63


def test_only_the_store_that_is_opened_is_imported(image: Path) -> None:
    code = ("import sys\nfrom ietpy.stores import open_store\n"
            "loaded = lambda: sorted(n for n in sys.modules if n.startswith('ietpy.stores.'))\n"
            "print(loaded())\nopen_store('nullio', '')\nprint(loaded())")
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.split("\n")[:2] == ["[]", "['ietpy.stores.nullio']"]
