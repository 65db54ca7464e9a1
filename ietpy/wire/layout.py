"""A header layout is declared once, as named fields, and compiled to a struct at import.

The data path calls only the compiled ``codec``; the named forms serve tests, dumps and rarely sent PDUs.
"""

from __future__ import annotations

import struct
from typing import Any


class Layout:
    """Named big-endian fields of a fixed size; the size is checked when the layout is built.

    ``fields`` are (name, struct code) pairs. A code of ``Nx`` or a name starting with ``_`` is padding.
    """

    def __init__(self, name: str, size: int, fields: tuple[tuple[str, str], ...]) -> None:
        self.name = name
        self.size = size
        self.codec = struct.Struct(">" + "".join(code for _, code in fields))
        if self.codec.size != size:
            raise ValueError(f"{name}: the fields take {self.codec.size} bytes, {size} declared")
        self.fields = tuple((field, code) for field, code in fields if not code.endswith("x"))
        self._defaults: dict[str, Any] = {field: b"" if code.endswith("s") else 0 for field, code in self.fields}

    def pack(self, **values: Any) -> bytes:
        """Bytes of the layout; fields not named are zero. Raises KeyError for a name it does not have."""
        for field in values:
            if field not in self._defaults:
                raise KeyError(f"{self.name} has no field {field!r}")
        return self.codec.pack(*(self._defaults | values).values())

    def unpack(self, data: bytes | bytearray | memoryview, offset: int = 0) -> dict[str, Any]:
        """Field values by name, from ``offset``."""
        return dict(zip(self._defaults, self.codec.unpack_from(data, offset), strict=True))

    def dump(self, data: bytes | bytearray | memoryview) -> str:
        """One line of text for logs: the name and every field that is not zero."""
        shown = (
            f"{field}={value.hex() if isinstance(value, bytes) else format(value, '#x')}"
            for field, value in self.unpack(data).items()
            if value and not (isinstance(value, bytes) and not any(value))
        )
        return " ".join([self.name, *shown])
