"""A disk's identity as parameters of a ``LunOption`` line: in words where they make the same bytes, else in bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ietpy.config.options import LUN_EXTENSION_BY_WORD
from ietpy.migrate.model import Identity
from ietpy.scsi.identity import IdentityOptions, iet_identity
from ietpy.scsi.vpd import unit_designators

_BLANK: Final = " "
_SHORT, _LONG = 16, 32  #: characters to which VPD page 80h is padded (iet-compat 7.4)


def options_of(identity: Identity, target: str, number: int) -> IdentityOptions:
    """What has to be said for LUN ``number`` of ``target`` to report ``identity``; what is not known stays as it is."""
    ours = iet_identity(target, number)
    vendor, product, revision = (
        _word(word, value, own) for word, value, own in (
            ("vendor", identity.vendor, ours.vendor),
            ("product", identity.product, ours.product),
            ("revision", identity.revision, ours.revision),
        )
    )
    serial, page_80 = _serial(identity.serial, ours.serial)
    said = IdentityOptions(vendor=vendor, product=product, revision=revision, serial=serial, page_80=page_80)
    page_83 = b"".join(identity.designators or ())
    if not page_83 or page_83 == unit_designators(iet_identity(target, number, options=said)):
        return said
    return replace(said, page_83=page_83)


def unsaid(identity: Identity) -> tuple[str, ...]:
    """What of an identity is known, and cannot be said: INQUIRY has printable ASCII here, without commas."""
    fields = (("vendor", identity.vendor), ("product", identity.product), ("revision", identity.revision))
    return tuple(word for word, value in fields if value and _word(word, value, "") is None)


def unknown(identity: Identity) -> tuple[str, ...]:
    """What of an identity the source's files do not tell."""
    fields = (
        ("vendor", identity.vendor), ("product", identity.product), ("revision", identity.revision),
        ("VPD page 80h", identity.serial), ("VPD page 83h", identity.designators),
    )
    return tuple(word for word, value in fields if value is None)


def _word(word: str, value: bytes | None, own: str) -> str | None:
    """The value of a parameter that makes this field of INQUIRY; None: it is so anyway, or no value does."""
    if value is None:
        return None
    text = value.decode("latin-1").rstrip(_BLANK)
    if text == own:
        return None
    try:
        return str(LUN_EXTENSION_BY_WORD[word].value.parse(text))
    except ValueError:
        return None


def _serial(page: bytes | None, own: str) -> tuple[str | None, bytes | None]:
    """The serial number in words, or the page in bytes; neither if it is so anyway."""
    if not page:
        return None, None
    text = page.decode("latin-1").lstrip(_BLANK)
    if text.rjust(_SHORT if len(text) <= _SHORT else _LONG).encode("latin-1") == page:
        if text == own:
            return None, None
        try:
            return str(LUN_EXTENSION_BY_WORD["serial"].value.parse(text)), None
        except ValueError:
            pass
    return None, page
