"""Bytes of meter protocols: finding a frame among noise, sums, packed decimal digits.  Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Generic, TypeVar

F = TypeVar("F")
TEN = Decimal(10)
_NINE = 9
_NEGATIVE = 0xF  # EN 13757-3, type A: the sign stands in the top digit


class Miss(Enum):
    """Why no frame begins at a place."""

    NONE = "nothing begins here"
    PART = "the beginning of a frame that may still be coming"
    SPOILT = "a whole frame whose sum or end is wrong"


@dataclass(frozen=True, slots=True)
class Found(Generic[F]):
    """A frame and the number of bytes that it takes."""

    frame: F
    size: int


@dataclass(frozen=True, slots=True)
class Taken(Generic[F]):
    """The first whole frame of a buffer (or None), how many bytes are done with, and whether a spoilt one was seen."""

    frame: F | None
    used: int
    spoilt: bool


def seek(buffer: bytes, start: int, parse: Callable[[bytes], Found[F] | Miss]) -> Taken[F]:
    """Find the first whole frame that begins with ``start``; what cannot become one is done with.

    A noise byte that looks like a beginning does not hide the frame behind it.
    """
    spoilt, keep = False, len(buffer)
    for place, byte in enumerate(buffer):
        if byte != start:
            continue
        match parse(buffer[place:]):
            case Found(frame, size):
                return Taken(frame, place + size, spoilt)
            case Miss.PART:
                keep = min(keep, place)
            case Miss.SPOILT:
                spoilt = True
    return Taken(None, keep, spoilt)


def checksum(data: bytes) -> int:
    """Arithmetic sum of all bytes, modulo 256."""
    return sum(data) & 0xFF


def number(digits: bytes, *, negatives: bool = False) -> int | None:
    """Read packed decimal digits, low byte first; None if they are no digits.

    With ``negatives`` a top digit F is a minus sign.
    """
    nibbles = [nibble for byte in reversed(digits) for nibble in (byte >> 4, byte & 0xF)]
    sign = -1 if negatives and nibbles and nibbles[0] == _NEGATIVE else 1
    if sign < 0:
        nibbles[0] = 0
    if not nibbles or max(nibbles) > _NINE:
        return None
    return sign * int("".join(map(str, nibbles)))


def missing(data: bytes) -> bool:
    """Whether a meter says 'not available': nothing but 0xFF, or nothing but 0xEE."""
    return bool(data) and set(data) in ({0xFF}, {0xEE})


def spelt(data: bytes) -> str:
    """Write bytes as an engineer reads them ('68 01 16')."""
    return data.hex(" ").upper()
