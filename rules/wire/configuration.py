"""A site file on its way to a gateway, and what the gateway says of the one that it goes by: pure."""

import base64
import binascii
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rules.wire.sparkplug import DataType, MalformedPayloadError, Metric

CONFIGURATION = "Plantroom/Configuration"  # NCMD from the hub: number, SHA-256 and the file (zlib, base64), with spaces
CONFIGURATION_STATE = "Plantroom/Configuration State"  # NBIRTH and NDATA: what the gateway goes by, as JSON
TEXT_BYTES_MAX = 4 * 1024 * 1024  # of a site file
WIRE_CHARACTERS_MAX = 200_000  # compressed and in base64: fits a message of the broker with room to spare
REASON_CHARACTERS_MAX = 500
REPORT_CHARACTERS_MAX = 2_000
NUMBER_MAX = 2**53
_LEVEL = 9
_SHA256 = re.compile(r"[0-9a-f]{64}")


class State(StrEnum):
    """How a gateway came to the file that it goes by."""

    LOCAL = "local"  # the gateway's own file
    TRIAL = "trial"  # the pushed one, not yet proven
    IN_FORCE = "in force"  # the pushed one, proven by health
    REFUSED = "refused"  # the pushed one could not be used; it goes by the one before
    ROLLED_BACK = "rolled back"  # the pushed one did not prove itself; it goes by the one before


@dataclass(frozen=True, slots=True)
class Pushed:
    """A site file for one gateway; ``number`` grows with each one that is wanted, so an old message does nothing."""

    number: int
    sha256: str
    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a gateway says: the file that it goes by, and what became of the last pushed one (``number``, 0: none)."""

    number: int
    sha256: str
    state: State
    reason: str = ""


def digest(text: str) -> str:
    """Give what tells one file from another."""
    return hashlib.sha256(text.encode()).hexdigest()


def wrap(number: int, text: str) -> str:
    """Write a file for the wire; raises ValueError with a sentence for one that is too large."""
    packed = base64.b64encode(zlib.compress(text.encode(), _LEVEL)).decode()
    if len(text.encode()) > TEXT_BYTES_MAX or len(packed) > WIRE_CHARACTERS_MAX:
        raise ValueError(
            f"The file is too large to be sent: {len(packed)} characters when compressed, {WIRE_CHARACTERS_MAX} at "
            "most; give the gateway a file with its own devices only."
        )
    return f"{number} {digest(text)} {packed}"


def push_metric(wrapped: str) -> Metric:
    """Make the command that brings a gateway its file."""
    return Metric(name=CONFIGURATION, value=wrapped, datatype=DataType.STRING)


def unwrap(value: object) -> Pushed:
    """Read a pushed file; raises MalformedPayloadError."""
    parts = value.split(" ") if isinstance(value, str) and len(value) <= WIRE_CHARACTERS_MAX + 100 else []
    if len(parts) != 3 or not parts[0].isdecimal() or len(parts[0]) > 16 or not _SHA256.fullmatch(parts[1]):  # noqa: PLR2004  # as wrap writes it
        raise MalformedPayloadError("a pushed configuration is not of the form that was agreed")
    opened = zlib.decompressobj()
    try:
        raw = opened.decompress(base64.b64decode(parts[2], validate=True), TEXT_BYTES_MAX + 1)
        text = raw.decode()
    except (zlib.error, binascii.Error, ValueError):
        raise MalformedPayloadError("a pushed configuration cannot be unpacked") from None
    if len(raw) > TEXT_BYTES_MAX or not opened.eof or digest(text) != parts[1]:
        raise MalformedPayloadError("a pushed configuration is too large, or has been changed on its way")
    return Pushed(int(parts[0]), parts[1], text)


def told_metric(told: Told) -> Metric:
    """Write what the gateway says."""
    said = {"number": told.number, "sha256": told.sha256, "state": told.state.value}
    text = json.dumps({**said, "reason": told.reason[:REASON_CHARACTERS_MAX]}, ensure_ascii=False)
    return Metric(name=CONFIGURATION_STATE, value=text, datatype=DataType.STRING)


def told_of(value: object) -> Told:
    """Read what a gateway says; raises MalformedPayloadError."""
    if not isinstance(value, str) or len(value) > REPORT_CHARACTERS_MAX:
        raise MalformedPayloadError("what the gateway says of its configuration is no text of a sensible length")
    try:
        said: Any = json.loads(value)
        number, sha256, reason = int(said["number"]), str(said["sha256"]), str(said["reason"])
        state = State(said["state"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise MalformedPayloadError(
            "what the gateway says of its configuration is not of the form that was agreed"
        ) from None
    if not 0 <= number <= NUMBER_MAX or not _SHA256.fullmatch(sha256):
        raise MalformedPayloadError("what the gateway says of its configuration has no number or no SHA-256")
    return Told(number, sha256, state, reason[:REASON_CHARACTERS_MAX].replace("\x00", ""))
