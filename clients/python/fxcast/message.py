"""The messages of a server, which are checked before use: a server may send anything."""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from .errors import ProtocolError
from .quote import clip

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 64


def _name(value: Any) -> bool:
    return _short(value) and value != ""


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _maybe(check: Check) -> Check:
    """Returns the check of a field that may be absent or null."""
    return lambda value: value is None or check(value)


# The fields that the client reads of each type. Those of quotes, candles and day figures are in quote.py.
_FIELDS: Mapping[str, Mapping[str, Check]] = {
    "welcome": {"heartbeat_ms": _maybe(_count), "limits": _maybe(_object), "session": _maybe(_object)},
    "session": {"session": _object},
    "ack": {"ok": _maybe(_each(_text)), "failed": _maybe(_each(_object)), "mode": _maybe(_text)},
    "snapshot": {"data": _list, "reset": _maybe(_flag)},
    "update": {"data": _list},
    "status": {"status": _short, "symbol": _maybe(_name)},
    "resumed": {"symbol": _name},
    "message": {"channel": _text},
    "error": {"code": _text, "message": _maybe(_text), "retry_after_ms": _maybe(_count)},
    "closing": {"code": _positive, "reason": _maybe(_text), "reconnect_after_ms": _maybe(_count)},
}


def read_message(text: str) -> Mapping[str, Any]:
    """Returns the message of a text. Raises ProtocolError, which names the fault, if it has one.

    Unknown types and unknown fields are no faults.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError(f"a message that is not JSON: {clip(text)}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError(f"a message without a type: {clip(text)}")
    for name, check in _FIELDS.get(message["type"], {}).items():
        if not check(message.get(name)):
            raise ProtocolError(f"{message['type']}: bad {name} {clip(message.get(name))}")
    return message
