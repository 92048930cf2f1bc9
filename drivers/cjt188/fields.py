"""What a meter's answer holds, by kind of meter, as CJ/T 188-2004 orders it: pure."""

from dataclasses import dataclass
from decimal import Decimal

from drivers.number import Decoded, scaled
from drivers.octets import missing, number, spelt
from drivers.units import factor

UNITS = {  # by the code that follows a number
    0x01: "J", 0x02: "Wh", 0x05: "kWh", 0x08: "MWh", 0x0A: "100 MWh", 0x0B: "kJ", 0x0E: "MJ", 0x11: "GJ",
    0x13: "100 GJ", 0x14: "W", 0x17: "kW", 0x1A: "MW", 0x29: "L", 0x2C: "m³", 0x32: "L/h", 0x35: "m³/h",
}  # fmt: skip
_VALVE_BITS, _BATTERY_BIT = 0b11, 0b100


@dataclass(frozen=True, slots=True)
class Field:
    """Where a quantity stands behind the serial number of the answer.

    A number of packed digits; ``coded`` is followed by the code of its unit, otherwise the unit is ``unit``.
    ``bits`` are flags of the first status byte instead.
    """

    start: int
    octets: int
    decimals: int = 0
    coded: bool = False
    unit: str = ""
    bits: int = 0

    @property
    def end(self) -> int:
        """First byte after the field."""
        return self.start + self.octets + self.coded


def _status(start: int) -> dict[str, Field]:
    return {
        "valve": Field(start, 1, bits=_VALVE_BITS),  # 0 open, 1 closed, 3 faulty
        "battery": Field(start, 1, bits=_BATTERY_BIT),  # 0 good, 1 low
        "status": Field(start, 2, bits=0xFFFF),  # both bytes, the second one as the maker likes
    }


VOLUMES = {"volume": Field(0, 4, 2, coded=True), "settlement_volume": Field(5, 4, 2, coded=True), **_status(17)}
HEAT = {
    "settlement_energy": Field(0, 4, 2, coded=True),
    "energy": Field(5, 4, 2, coded=True),
    "power": Field(10, 4, 2, coded=True),
    "flow": Field(15, 4, 4, coded=True),
    "volume": Field(20, 4, 2, coded=True),
    "supply_temperature": Field(25, 3, 2, unit="°C"),
    "return_temperature": Field(28, 3, 2, unit="°C"),
    "hours": Field(31, 3, 0, unit="h"),
    **_status(41),
}


def fields(kind: int) -> dict[str, Field]:
    """Give the fields of a kind of meter: 10H to 19H water, 20H to 29H heat, 30H to 39H gas; none for others."""
    return {1: VOLUMES, 2: HEAT, 3: VOLUMES}.get(kind >> 4, {})


def decode(field: Field, data: bytes, unit: str, *factors: Decimal, unit_first: bool = False) -> Decoded:
    """Read one field in ``unit``; the meter may have chosen another unit of the same kind.

    ``unit_first``: the unit's code stands before its number, as some makers have it against the standard.
    """
    piece = data[field.start : field.end]
    if len(piece) != field.octets + field.coded:
        return Decoded(None, f"the answer of {len(data)} bytes is too short")
    if field.bits:
        return _flags(field, piece)
    if unit_first and field.coded:
        piece = piece[1:] + piece[:1]
    digits = piece[: field.octets]
    whole = number(digits)
    if whole is None:
        return Decoded(None, f"the meter says 'not available' ({spelt(digits)})")
    told = UNITS.get(piece[-1]) if field.coded else field.unit
    if told is None:
        return Decoded(None, f"the meter uses the unit {piece[-1]:02X}H, which the standard does not have")
    turned = factor(told, unit)
    if turned is None:
        return Decoded(
            None, f"the meter counts in {told}, of which '{unit}' is no exact step; write {told} in a profile"
        )
    return scaled(Decimal(whole).scaleb(-field.decimals), turned, *factors)


def _flags(field: Field, piece: bytes) -> Decoded:
    if missing(piece):
        return Decoded(None, "the meter gives no status")
    bits = int.from_bytes(piece, "little") & field.bits
    return Decoded(float(bits // (field.bits & -field.bits)))
