"""Frames of wired M-Bus, EN 13757-2: pure bytes, no line in sight."""

from dataclasses import dataclass

from drivers.octets import Found, Miss, Taken, checksum, seek

ACK, SHORT, LONG, END = 0xE5, 0x10, 0x68, 0x16
SND_NKE, SND_UD, REQ_UD2 = 0x40, 0x53, 0x5B
FCB = 0x20  # frame count bit: toggled with every new question, the same for a repeated one
SELECTED = 253  # address of who was selected by the secondary address
RSP_UD_MASK, RSP_UD = 0x4F, 0x08
SELECT, VARIABLE, PLAIN, ERROR = 0x52, 0x72, 0x78, 0x70  # control information
_LONG_HEAD, _SHORT_SIZE, _FIXED = 4, 5, 3
_ERRORS = (
    "unspecified error",
    "unimplemented CI field",
    "buffer too long",
    "too many records",
    "premature end of record",
    "more than 10 DIFEs",
    "more than 10 VIFEs",
    None,
    "application too busy",
    "too many readouts",
)


@dataclass(frozen=True, slots=True)
class Telegram:
    """A long frame."""

    control: int
    address: int
    information: int
    data: bytes


def short(control: int, address: int) -> bytes:
    """Write a short frame."""
    return bytes([SHORT, control, address, checksum(bytes([control, address])), END])


def select(secondary: str) -> bytes:
    """Write the frame that selects a meter by its secondary address (16 digits, F matches any)."""
    body = bytes([SND_UD, SELECTED, SELECT]) + secondary_bytes(secondary)
    return bytes([LONG, len(body), len(body), LONG, *body, checksum(body), END])


def secondary_bytes(secondary: str) -> bytes:
    """Give the first eight bytes of a header: number (low byte first), then maker, version, medium as they travel."""
    octets = bytes.fromhex(secondary)
    return octets[3::-1] + octets[4:]


def matches(secondary: str, header: bytes) -> bool:
    """Whether the header of a telegram belongs to a secondary address; F and FF match any."""
    wanted = secondary_bytes(secondary).hex().upper()
    told = header[:8].hex().upper()
    return len(told) == len(wanted) and all(want in ("F", have) for want, have in zip(wanted, told, strict=True))


def take_ack(buffer: bytes) -> Taken[int]:
    """Find an acknowledgement."""
    return seek(buffer, ACK, lambda _data: Found(ACK, 1))


def take_long(buffer: bytes) -> Taken[Telegram]:
    """Find the first whole long frame."""
    return seek(buffer, LONG, _parse)


def application_error(telegram: Telegram) -> str:
    """Give the words of a report of application errors (EN 13757-3); '' for any other telegram."""
    if telegram.information != ERROR:
        return ""
    code = telegram.data[0] if telegram.data else 0
    return (_ERRORS[code] if code < len(_ERRORS) else None) or f"error {code}"


def _parse(data: bytes) -> Found[Telegram] | Miss:
    if len(data) < _LONG_HEAD:
        return Miss.PART
    length = data[1]
    if data[2] != length or data[3] != LONG or length < _FIXED:
        return Miss.NONE
    size = _LONG_HEAD + length + 2
    if len(data) < size:
        return Miss.PART
    body = data[_LONG_HEAD : _LONG_HEAD + length]
    if data[size - 1] != END or data[size - 2] != checksum(body):
        return Miss.SPOILT
    return Found(Telegram(body[0], body[1], body[2], body[3:]), size)
