"""Frames of CJ/T 188-2004, whose form that of 2018 keeps: pure bytes, no line in sight."""

from dataclasses import dataclass

from drivers.octets import Found, Miss, Taken, checksum, seek

START, END, WAKE = 0x68, 0x16, b"\xfe\xfe\xfe"
READ = 0x01
ANSWER, ERROR = 0x80, 0x40  # bits of the control code: from a meter, a refusal
DATA_BYTES_MAX = 100  # the standard's limit for reading
_HEAD, _TAIL = 11, 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: the kind of meter, its number of 14 digits (the first four are the maker's), control code, data."""

    kind: int
    address: str
    control: int
    data: bytes


def encode(frame: Frame) -> bytes:
    """Write a frame, with the bytes that wake a meter before it."""
    body = bytes([START, frame.kind, *reversed(bytes.fromhex(frame.address)), frame.control, len(frame.data)])
    body += frame.data
    return WAKE + body + bytes([checksum(body), END])


def take(buffer: bytes) -> Taken[Frame]:
    """Find the first whole frame."""
    return seek(buffer, START, _parse)


def _parse(data: bytes) -> Found[Frame] | Miss:
    if len(data) < _HEAD:
        return Miss.PART
    length = data[10]
    if length > DATA_BYTES_MAX:
        return Miss.NONE
    size = _HEAD + length + _TAIL
    if len(data) < size:
        return Miss.PART
    if data[size - 1] != END or data[size - 2] != checksum(data[: size - _TAIL]):
        return Miss.SPOILT
    address = bytes(reversed(data[2:9])).hex().upper()
    return Found(Frame(data[1], address, data[9], data[_HEAD : _HEAD + length]), size)
