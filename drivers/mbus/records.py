"""From the data of a telegram to its records, EN 13757-3, variable data structure: pure."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from drivers.errors import MalformedError
from drivers.mbus.quantities import EXTENDED, MAIN, Meaning
from drivers.number import Decoded, scaled
from drivers.octets import number, spelt

EXTENSIONS_MAX = 10
RECORDS_MAX = 250  # a telegram has no room for more
_MORE, _FILLER, _SPECIAL = 0x1F, 0x2F, 0x0F
_FURTHER = 0x80
_TEXT, _REAL, _VARIABLE = 0x7C, 5, 13
_LENGTHS = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 8: 0, 9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
_PACKED = frozenset({9, 10, 11, 12, 14})
_ERRORS = {
    0x01: "too many DIFEs", 0x02: "storage number not implemented", 0x03: "unit number not implemented",
    0x04: "tariff not implemented", 0x05: "function not implemented", 0x06: "data class not implemented",
    0x07: "data size not implemented", 0x0B: "too many VIFEs", 0x0C: "illegal VIF group",
    0x0D: "illegal VIF exponent", 0x0E: "VIF and DIF do not match", 0x0F: "action not implemented",
    0x15: "no data available", 0x16: "overflow", 0x17: "underflow", 0x18: "data error",
    0x1C: "premature end of record",
}  # fmt: skip
_CORRECTIONS = {0x70 + step: step - 6 for step in range(8)} | {0x7D: 3}  # powers of ten


class Function(StrEnum):
    """What kind of value it is."""

    INSTANT = "instant"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ERROR = "error"  # the value during an error state


@dataclass(frozen=True, slots=True)
class Record:
    """One value; ``meaning`` is None where we do not know the quantity.  ``extensions`` are VIFEs that qualify it."""

    function: Function
    storage: int
    tariff: int
    subunit: int
    meaning: Meaning | None
    extensions: bytes
    coding: int
    data: bytes
    error: str = ""

    def value(self, *factors: Decimal) -> Decoded:
        """Give the number in the meaning's unit times all factors, or the reason why there is none."""
        if self.error:
            return Decoded(None, f"the meter says '{self.error}'")
        if self.meaning is None:
            return Decoded(None, "the quantity is not known")
        digits = _digits(self.coding, self.data)
        if isinstance(digits, str):
            return Decoded(None, digits)
        return scaled(digits, Decimal(1).scaleb(self.meaning.power), *factors)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one telegram, and whether the meter has more in the next one."""

    records: tuple[Record, ...]
    more: bool


def decode(data: bytes) -> Records:
    """Read what follows the header; raises MalformedError when the records do not fill it exactly."""
    walk = _Walk(data)
    records: list[Record] = []
    while walk.left and len(records) < RECORDS_MAX:
        first = walk.byte()
        if first == _FILLER:
            continue
        if first & _SPECIAL == _SPECIAL:  # manufacturer's data to the end, or what we do not know
            return Records(tuple(records), first == _MORE)
        record = _record(first, walk)
        if record is None:
            break
        records.append(record)
    return Records(tuple(records), more=False)


class _Walk:
    """A place in the data that only moves forward."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._place

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise MalformedError("the telegram ends within a record")
        self._place += count
        return self._data[self._place - count : self._place]

    def byte(self) -> int:
        return self.bytes(1)[0]

    def chain(self, byte: int) -> Iterator[int]:
        """Give the bytes that follow one whose top bit says so."""
        for _ in range(EXTENSIONS_MAX):
            if not byte & _FURTHER:
                return
            byte = self.byte()
            yield byte
        if byte & _FURTHER:
            raise MalformedError(f"a record has more than {EXTENSIONS_MAX} extensions")


def _record(dif: int, walk: _Walk) -> Record | None:
    """Read one record; None when its length cannot be told and so the rest is lost."""
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    for step, extension in enumerate(walk.chain(dif)):
        storage |= (extension & 0x0F) << 1 + 4 * step
        tariff |= (extension >> 4 & 0x03) << 2 * step
        subunit |= (extension >> 6 & 0x01) << step
    vif = walk.byte()
    if vif & ~_FURTHER == _TEXT:
        walk.bytes(walk.byte())
    extensions = bytes(walk.chain(vif))
    coding = dif & 0x0F
    length = _LENGTHS.get(coding)
    if length is None:
        coding, length = _variable(walk.byte())
    if length is None:
        return None
    function = tuple(Function)[dif >> 4 & 0x03]
    meaning, rest = _meaning(vif, extensions)
    meaning, rest, error = _qualified(meaning, rest)
    return Record(function, storage, tariff, subunit, meaning, rest, coding, walk.bytes(length), error)


def _variable(octet: int) -> tuple[int, int | None]:
    """Give the coding and the length that a length byte announces: text, packed digits, binary; None: not known."""
    if octet < 0xC0:  # noqa: PLR2004  # EN 13757-3, table of LVAR
        return _VARIABLE, octet
    if octet >> 4 in (0xC, 0xE):
        return (12 if octet >> 4 == 0xC else 4), octet & 0x0F  # noqa: PLR2004
    if octet >> 4 == 0xD:  # noqa: PLR2004
        return _VARIABLE, octet & 0x0F  # negative packed digits: passed over
    return _VARIABLE, None


def _meaning(vif: int, extensions: bytes) -> tuple[Meaning | None, bytes]:
    if vif in EXTENDED:
        return EXTENDED[vif].get(extensions[0] & ~_FURTHER), extensions[1:]
    return MAIN.get(vif & ~_FURTHER), extensions


def _qualified(meaning: Meaning | None, extensions: bytes) -> tuple[Meaning | None, bytes, str]:
    """Take errors and corrections out of the extensions; what is left makes it another quantity."""
    rest, error, power = bytearray(), "", 0
    for extension in extensions:
        code = extension & ~_FURTHER
        if code == 0:  # 'no error'
            continue
        if code in _ERRORS:
            error = error or _ERRORS[code]
        elif code in _CORRECTIONS and 0x7F not in rest:  # noqa: PLR2004  # behind 7F all is the maker's own
            power += _CORRECTIONS[code]
        else:
            rest.append(code)
    if meaning is not None and power:
        meaning = Meaning(meaning.quantity, meaning.unit, meaning.power + power)
    return meaning, bytes(rest), error


def _digits(coding: int, data: bytes) -> Decimal | float | str:
    """Give the number that bytes hold, or a sentence."""
    if coding == _REAL:
        return float(struct.unpack("<f", data)[0])
    if coding in _PACKED:
        whole = number(data, negatives=True)
        return f"{spelt(data)} are no decimal digits" if whole is None else Decimal(whole)
    if coding == _VARIABLE or not data:
        return "the record holds no number"
    whole = int.from_bytes(data, "little", signed=True)
    if whole == -1 << 8 * len(data) - 1:
        return f"the meter says 'not available' ({spelt(data)})"
    return Decimal(whole)
