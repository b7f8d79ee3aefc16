"""Names of symbols and wildcards."""

from __future__ import annotations

import re

_PAIR = re.compile(r"([A-Z0-9]{2,10})/([A-Z0-9]{2,10})|([A-Z]{3})[_.-]?([A-Z]{3})")
_WILDCARD = re.compile(r"\*[/_.-]?([A-Z0-9]{2,10})|([A-Z0-9]{2,10})[/_.-]?\*")


def canonical(name: object) -> str:
    """Returns the server's form of a symbol or wildcard: EUR/USD for EURUSD, eur-usd and so on.

    Any other name may be an alias, such as EURUSD.raw, which is returned unchanged. Names are sent
    as written, and the server's answer has their symbols; until then this is what they count as.
    """
    if not isinstance(name, str):
        raise TypeError(f"a symbol is a str, not {type(name).__name__}")
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError(f"not a symbol: {name[:64]!r}")
    upper = name.upper()
    if upper in ("*", "*/*"):
        return "*"
    if match := _PAIR.fullmatch(upper):
        return f"{match[1] or match[3]}/{match[2] or match[4]}"
    if match := _WILDCARD.fullmatch(upper):
        return f"*/{match[1]}" if match[1] else f"{match[2]}/*"
    return name


def candidates(symbol: str) -> tuple[str, str, str]:
    """Returns the wildcards that match a symbol."""
    base, _, quote = symbol.partition("/")
    return f"{base}/*", f"*/{quote}", "*"
