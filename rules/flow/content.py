"""What an approver saw, as text that is the same for the same meaning, and its hash.

Keys are sorted, numbers of money and measure are Decimals written without an exponent and without zeros at the end
(so 100, 100.0 and 1E+2 are one amount), moments are UTC.  A float is refused: it would not say which number was meant.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

Plain: TypeAlias = "str | int | bool | list[Plain] | dict[str, Plain] | None"


class UnclearContentError(TypeError):
    """The content holds something that cannot be written down without doubt."""


def plain(value: object) -> Plain:
    """Give ``value`` as JSON takes it; what is plain already stays as it is.  Raises UnclearContentError."""
    match value:
        case str() if "\x00" in value:
            raise UnclearContentError("content cannot hold the character NUL; take it out")
        case None | bool() | int() | str():
            return value
        case Decimal():
            return _number(value)
        case datetime():
            return _moment(value)
        case date() | UUID():
            return str(value)
        case Mapping():
            return {_key(key): plain(held) for key, held in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [plain(held) for held in value]
    raise UnclearContentError(f"content cannot hold a {type(value).__name__}; write it as text or Decimal")


def canonical(value: object) -> str:
    """Give the one text that stands for ``value``."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(value: object) -> str:
    """Give the SHA-256 of the canonical text, in hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise UnclearContentError(f"content cannot hold the number {value}")
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise UnclearContentError("content cannot hold a time without its zone")
    return value.astimezone(UTC).isoformat()


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise UnclearContentError(f"content has the key {key!r}; keys are text")
    return key
