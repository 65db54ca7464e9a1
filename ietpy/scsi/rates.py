"""How fast a logical unit, or an initiator, may be; ``pace`` sees to it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Rates(NamedTuple):
    """In a second; 0: as many as there are."""

    operations: int = 0
    bytes: int = 0

    def shared_with(self, other: Rates) -> Rates:
        """The stricter of each."""
        return Rates(*(min(filter(None, pair), default=0) for pair in zip(self, other, strict=True)))


UNLIMITED: Final = Rates()
