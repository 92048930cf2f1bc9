"""What a BACnet device answers, in plain words and numbers: bacpypes3's types end here."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bacpypes3.apdu import AbortPDU, AbortReason, ErrorPDU, ErrorRejectAbortNack, RejectPDU, RejectReason
from bacpypes3.basetypes import ErrorType, PropertyIdentifier, PropertyReference, PropertyValue
from bacpypes3.errors import AbortException, RejectException
from bacpypes3.primitivedata import (
    BitString,
    Boolean,
    CharacterString,
    Enumerated,
    Integer,
    ObjectIdentifier,
    Real,
    Unsigned,
)
from bacpypes3.vendor import get_vendor_info

from drivers.errors import MalformedError, UnreachableError

ASHRAE = 0
TEXT_CHARACTERS_MAX = 200  # of a name or a description that is kept
# What the library raises, in any layer, for octets that are no BACnet.
GARBAGE = (
    ValueError, RuntimeError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error, AbortException,
    RejectException,
)  # fmt: skip
_TOO_LONG = (
    AbortReason.bufferOverflow, AbortReason.segmentationNotSupported, AbortReason.outOfResources,
    AbortReason.apduTooLong,
)  # fmt: skip
_SILENCE = (AbortReason.noResponse, AbortReason.tsmTimeout, AbortReason.serverTimeout)
_NO_ROOM = ("no-space-to-add-list-element", "no-space-for-object", "out-of-resources", "no-space-to-write-property")
_FLAGS = len(("alarm", "fault", "overridden", "out of service"))


class NoError(Exception):
    """The device's own no to a whole question; never leaves drivers/bacnet."""

    def __init__(
        self,
        reason: str,
        *,
        too_long: bool = False,
        unknown_service: bool = False,
        no_room: bool = False,
        unknown_object: bool = False,
    ) -> None:
        super().__init__(reason)
        self.too_long = too_long
        self.unknown_service = unknown_service
        self.no_room = no_room
        self.unknown_object = unknown_object


@dataclass(frozen=True, slots=True)
class Wanted:
    """One property of one object."""

    type: str
    instance: int
    property: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a device said of one property: a number, flags, a text, objects, or none of them and the reason."""

    number: float | int | None
    error: str = ""
    flags: tuple[bool, bool, bool, bool] | None = None  # in alarm, fault, overridden, out of service
    text: str | None = None
    objects: tuple[tuple[str, int], ...] = ()


def identifier(wanted: Wanted) -> ObjectIdentifier:
    """Give the object as the library names it."""
    return ObjectIdentifier((wanted.type, wanted.instance))


def reference(wanted: Wanted) -> PropertyReference:
    """Give the property as a list names it."""
    named = PropertyIdentifier(wanted.property)
    if wanted.index is None:
        return PropertyReference(propertyIdentifier=named)
    return PropertyReference(propertyIdentifier=named, propertyArrayIndex=wanted.index)


def matched(to: object, wanted: Wanted, row: tuple[Any, Any, Any, Any]) -> Said:
    """Give one row of a list's answer; raises MalformedError where it is another's."""
    found, named, index, value = row
    if (found, named, index) != (identifier(wanted), PropertyIdentifier(wanted.property), wanted.index):
        raise MalformedError(f"{to} answered other properties than were asked")
    return said(value)


def said(value: Any) -> Said:  # whatever type the device chose
    """Give a value as what it can stand for here."""
    if isinstance(value, ErrorType):
        return Said(None, f"the device says {value.errorCode}")
    if isinstance(value, Boolean | Enumerated | Unsigned | Integer | int):
        return Said(int(value))
    if isinstance(value, float):
        return Said(_shortest(float(value)) if isinstance(value, Real) else float(value))
    if isinstance(value, CharacterString | str):
        return Said(None, "a text is no number", text=str(value)[:TEXT_CHARACTERS_MAX])
    if isinstance(value, BitString) and len(value) == _FLAGS:
        alarm, fault, overridden, out = (bool(flag) for flag in value)
        return Said(None, "status flags are no number", (alarm, fault, overridden, out))
    several = [value] if isinstance(value, ObjectIdentifier) else value if isinstance(value, list) else []
    objects = tuple((str(one[0]), int(one[1])) for one in several if isinstance(one, ObjectIdentifier))
    return Said(None, "the device sent something that is no number", objects=objects)


def told(type_: str, values: Iterable[PropertyValue]) -> dict[str, Said]:
    """Give what a notification of changes says, by property; raises one of GARBAGE for what cannot be read."""
    shape = get_vendor_info(ASHRAE).get_object_class(ObjectIdentifier((type_, 0))[0])
    found: dict[str, Said] = {}
    for value in values:
        of = shape.get_property_type(value.propertyIdentifier) if shape is not None else None
        if of is not None and value.propertyArrayIndex is None:
            found[str(value.propertyIdentifier)] = said(value.value.cast_out(of))
    return found


def no(to: object, reply: ErrorRejectAbortNack) -> UnreachableError | MalformedError | NoError:
    """Give what a device's Error, Reject or Abort means for who asked."""
    if isinstance(reply, AbortPDU):
        if reply.apduAbortRejectReason in _SILENCE:
            return UnreachableError(f"no answer from {to}")
        return NoError(f"{to} aborts: {reply}", too_long=reply.apduAbortRejectReason in _TOO_LONG)
    if isinstance(reply, RejectPDU):
        reason = reply.apduAbortRejectReason
        return NoError(
            f"{to} rejects: {reply}", too_long=reason == RejectReason.bufferOverflow,
            unknown_service=reason == RejectReason.unrecognizedService,
        )  # fmt: skip
    code = str(getattr(reply, "errorCode", ""))
    if isinstance(reply, ErrorPDU) and code == "invalid-tag":
        return MalformedError(f"{to} sent an answer that cannot be read")
    return NoError(f"{to} says {reply}", no_room=code in _NO_ROOM, unknown_object=code == "unknown-object")


def _shortest(single: float) -> float:
    """Give the decimal of the fewest digits that is this single: 12.3, not 12.300000190734863."""
    for digits in range(6, 9):
        short = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == single:
            return short
    return single
