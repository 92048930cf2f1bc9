"""Frames of DL/T 645-2007: pure bytes, no line in sight."""

from dataclasses import dataclass

from drivers.octets import Found, Miss, Taken, checksum, seek

START, END, WAKE = 0x68, 0x16, b"\xfe\xfe\xfe\xfe"
READ, READ_FOLLOWING, READ_ADDRESS = 0x11, 0x12, 0x13
ANSWER, ERROR, FOLLOWED = 0x80, 0x40, 0x20  # bits of the control code: from a meter, a refusal, more will follow
ANYBODY = "AAAAAAAAAAAA"  # wildcard address, for finding the only meter of a line
DATA_BYTES_MAX = 200  # the standard's limit for reading
_HEAD, _TAIL = 10, 2
_OFFSET = 0x33
_ERRORS = (
    "another error",
    "it has no such data",
    "the password is wrong or the right is missing",
    "the baud rate cannot be changed",
    "too many annual zones",
    "too many periods of the day",
    "too many tariffs",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: the meter's number of 12 digits, the control code, and the data without its offset."""

    address: str
    control: int
    data: bytes = b""


def encode(frame: Frame) -> bytes:
    """Write a frame, with the bytes that wake a meter before it."""
    body = bytes([START, *reversed(bytes.fromhex(frame.address)), START, frame.control, len(frame.data)])
    body += bytes(byte + _OFFSET & 0xFF for byte in frame.data)
    return WAKE + body + bytes([checksum(body), END])


def take(buffer: bytes) -> Taken[Frame]:
    """Find the first whole frame."""
    return seek(buffer, START, _parse)


def identifier_bytes(identifier: str) -> bytes:
    """DI0 to DI3 of a data identifier written DI3 to DI0 ('00010000'), as they travel."""
    return bytes(reversed(bytes.fromhex(identifier)))


def refusal(frame: Frame) -> str:
    """Give the reasons of an error answer in words; '' for any other frame."""
    if not frame.control & ERROR:
        return ""
    bits = frame.data[0] if frame.data else 0
    said = [words for bit, words in enumerate(_ERRORS) if bits >> bit & 1]
    return ", ".join(said) or f"error {bits:02X}"


def _parse(data: bytes) -> Found[Frame] | Miss:
    if len(data) > 7 and data[7] != START:  # noqa: PLR2004  # the second start stands after six bytes of address
        return Miss.NONE
    if len(data) < _HEAD:
        return Miss.PART
    length = data[9]
    if length > DATA_BYTES_MAX:
        return Miss.NONE
    size = _HEAD + length + _TAIL
    if len(data) < size:
        return Miss.PART
    if data[size - 1] != END or data[size - 2] != checksum(data[: size - _TAIL]):
        return Miss.SPOILT
    address = bytes(reversed(data[1:7])).hex().upper()
    plain = bytes(byte - _OFFSET & 0xFF for byte in data[_HEAD : _HEAD + length])
    return Found(Frame(address, data[8], plain), size)
