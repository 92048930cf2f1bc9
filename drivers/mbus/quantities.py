"""What a value information field means, EN 13757-3: quantity, unit and power of ten.  Pure."""

from dataclasses import dataclass

_TIMES = ("s", "min", "h", "d")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A quantity, the unit that its numbers are in, and the power of ten that they are multiplied by."""

    quantity: str
    unit: str
    power: int = 0


# First code, number of codes, quantity, unit, power of ten of the first code.
_MAIN = (
    (0x00, 8, "energy", "Wh", -3),
    (0x08, 8, "energy", "J", 0),
    (0x10, 8, "volume", "m³", -6),
    (0x18, 8, "mass", "kg", -3),
    (0x28, 8, "power", "W", -3),
    (0x30, 8, "power", "J/h", 0),
    (0x38, 8, "flow", "m³/h", -6),
    (0x40, 8, "flow", "m³/min", -7),
    (0x48, 8, "flow", "m³/s", -9),
    (0x50, 8, "mass_flow", "kg/h", -3),
    (0x58, 4, "supply_temperature", "°C", -3),
    (0x5C, 4, "return_temperature", "°C", -3),
    (0x60, 4, "temperature_difference", "K", -3),
    (0x64, 4, "external_temperature", "°C", -3),
    (0x68, 4, "pressure", "bar", -3),
    (0x6E, 1, "heat_cost_units", "", 0),
)
_FB = (
    (0x00, 2, "energy", "MWh", -1),
    (0x08, 2, "energy", "GJ", -1),
    (0x10, 2, "volume", "m³", 2),
    (0x18, 2, "mass", "t", 2),
    (0x28, 2, "power", "MW", -1),
    (0x30, 2, "power", "GJ/h", -1),
)
_FD = (
    (0x17, 1, "error_flags", "", 0),
    (0x1A, 1, "digital_output", "", 0),
    (0x1B, 1, "digital_input", "", 0),
    (0x3A, 1, "dimensionless", "", 0),
    (0x40, 16, "voltage", "V", -9),
    (0x50, 16, "current", "A", -12),
)
_ON_TIME, _OPERATING_TIME = 0x20, 0x24
STATUS = "status"  # the status byte of the header


def _table(ranges: tuple[tuple[int, int, str, str, int], ...]) -> dict[int, Meaning]:
    return {
        first + step: Meaning(quantity, unit, power + step)
        for first, count, quantity, unit, power in ranges
        for step in range(count)
    }


_TIME_CODES = {
    first + step: Meaning(quantity, unit)
    for first, quantity in ((_ON_TIME, "on_time"), (_OPERATING_TIME, "operating_time"))
    for step, unit in enumerate(_TIMES)
}
MAIN = _table(_MAIN) | _TIME_CODES
EXTENDED = {0xFB: _table(_FB), 0xFD: _table(_FD)}
QUANTITIES = frozenset(m.quantity for codes in (MAIN, *EXTENDED.values()) for m in codes.values()) | {STATUS}
