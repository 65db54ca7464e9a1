"""What travels on the control socket: one request, one reply, each a JSON object behind its length.

    message  = length object        length: 4 bytes, big-endian, of the UTF-8 bytes that follow
    request  = {"operation": NAME, "arguments": {NAME: VALUE, ...}}
    reply    = {"result": ANY} or {"error": {"code": ERRNO, "problem": SENTENCE}}

Pure functions; ``service`` and ``client`` own the sockets. What breaks these rules is an AdminError.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ietpy.errors import AdminError

LIMIT: Final = 8 * 1024 * 1024  #: bytes of JSON in one message; more is a mistake or an attack
HEADER: Final = 4


def encode(message: Mapping[str, Any]) -> bytes:
    """``message`` as it travels. Raises AdminError when it is larger than ``LIMIT``."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
    if len(text) > LIMIT:
        raise AdminError(errno.EMSGSIZE, f"a message of {len(text)} bytes; at most {LIMIT} travel at once")
    return len(text).to_bytes(HEADER, "big") + text


def length(header: bytes) -> int:
    """How many bytes follow ``header`` (4 bytes). Raises AdminError when that is more than ``LIMIT``."""
    count = int.from_bytes(header, "big")
    if count > LIMIT:
        raise AdminError(errno.EMSGSIZE, f"a message of {count} bytes was announced; at most {LIMIT} travel")
    return count


def decode(text: bytes) -> dict[str, Any]:
    """The JSON object behind a header. Raises AdminError when it is none."""
    try:
        message = json.loads(text.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise AdminError(errno.EPROTO, f"a message that is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise AdminError(errno.EPROTO, "a message that is not a JSON object")
    return message


def read_message(receive: Callable[[int], bytes]) -> dict[str, Any]:
    """One message; ``receive(n)`` returns exactly ``n`` bytes or raises."""
    return decode(receive(length(receive(HEADER))))


def request(operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"operation": operation, "arguments": dict(arguments)}


def parse_request(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Operation name and arguments. Raises AdminError when ``message`` is no request."""
    operation, arguments = message.get("operation"), message.get("arguments", {})
    if not isinstance(operation, str) or not isinstance(arguments, dict):
        raise AdminError(errno.EPROTO, 'a request needs "operation" (text) and "arguments" (object)')
    try:
        encode(message)
    except UnicodeEncodeError:  # JSON can escape what is no character; nobody further in could write it anywhere
        raise AdminError(errno.EPROTO, "a request with half a surrogate pair") from None
    return operation, arguments


def success(result: Any) -> dict[str, Any]:
    return {"result": result}


def failure(error: AdminError) -> dict[str, Any]:
    return {"error": {"code": error.code, "problem": str(error)}}


def parse_reply(message: Mapping[str, Any]) -> Any:
    """The result; an error reply is raised as the AdminError it was."""
    if "result" in message:
        return message["result"]
    error = message.get("error")
    if not isinstance(error, dict):
        raise AdminError(errno.EPROTO, "a reply with neither result nor error")
    raise AdminError(int(error.get("code", errno.EPROTO)), str(error.get("problem", "no reason was given")))
