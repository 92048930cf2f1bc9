"""BACnet engineering units (ASHRAE 135, clause 21) and the units that profiles are written in."""

from collections.abc import Mapping
from decimal import Decimal

from drivers.bacnet.answer import Said

NO_UNITS = 95  # what a device says that was never told: the profile is believed

# The number, what it is called here, and what it is a power of ten of.
_CODES: Mapping[int, tuple[str, str, int]] = {
    62: ("°C", "°C", 0), 63: ("K", "K", 0), 121: ("K", "K", 0), 64: ("°F", "°F", 0),
    98: ("%", "%", 0), 29: ("%", "%", 0),
    18: ("Wh", "Wh", 0), 19: ("kWh", "Wh", 3), 146: ("MWh", "Wh", 6),
    16: ("J", "J", 0), 17: ("kJ", "J", 3), 126: ("MJ", "J", 6),
    47: ("W", "W", 0), 48: ("kW", "W", 3), 49: ("MW", "W", 6), 132: ("mW", "W", -3),
    8: ("VA", "VA", 0), 9: ("kVA", "VA", 3), 10: ("MVA", "VA", 6),
    11: ("var", "var", 0), 12: ("kvar", "var", 3), 13: ("Mvar", "var", 6), 15: ("", "power factor", 0),
    5: ("V", "V", 0), 6: ("kV", "V", 3), 7: ("MV", "V", 6), 124: ("mV", "V", -3),
    3: ("A", "A", 0), 2: ("mA", "A", -3), 4: ("Ω", "Ω", 0), 122: ("kΩ", "Ω", 3),
    27: ("Hz", "Hz", 0), 129: ("kHz", "Hz", 3), 104: ("rpm", "rpm", 0),
    53: ("Pa", "Pa", 0), 133: ("hPa", "Pa", 2), 54: ("kPa", "Pa", 3), 55: ("bar", "Pa", 5), 134: ("mbar", "Pa", 2),
    58: ("inH2O", "inH2O", 0), 56: ("psi", "psi", 0),
    80: ("m³", "m³", 0), 82: ("L", "m³", -3),
    85: ("m³/s", "m³/s", 0), 87: ("L/s", "m³/s", -3), 135: ("m³/h", "m³/h", 0), 136: ("L/h", "m³/h", -3),
    88: ("L/min", "m³/min", -3), 84: ("ft³/min", "ft³/min", 0), 89: ("gal/min", "gal/min", 0),
    39: ("kg", "kg", 0), 41: ("t", "kg", 3), 42: ("kg/s", "kg/s", 0), 44: ("kg/h", "kg/h", 0),
    96: ("ppm", "ppm", 0), 97: ("ppb", "ppm", -3), 28: ("g/kg", "g/kg", 0), 37: ("lx", "lx", 0),
    74: ("m/s", "m/s", 0), 31: ("m", "m", 0), 30: ("mm", "m", -3), 118: ("cm", "m", -2), 0: ("m²", "m²", 0),
    70: ("d", "d", 0), 71: ("h", "h", 0), 72: ("min", "min", 0), 73: ("s", "s", 0), 90: ("°", "°", 0),
    NO_UNITS: ("", "", 0),
}  # fmt: skip
_SPELLINGS: Mapping[str, str] = {
    "l": "L", "l/s": "L/s", "l/h": "L/h", "l/min": "L/min", "degC": "°C", "℃": "°C", "degF": "°F", "m3": "m³",
    "m3/h": "m³/h", "%RH": "%", "cfm": "ft³/min", "lux": "lx", "VAr": "var", "kVAr": "kvar", "ohm": "Ω",
}  # fmt: skip
_BY_NAME: Mapping[str, tuple[str, int]] = {name: (base, power) for name, base, power in _CODES.values()}


def text(code: int) -> str | None:
    """Give how a unit is written here; None for one that is not known."""
    found = _CODES.get(code)
    return found[0] if found is not None else None


def code_of(unit: str) -> int | None:
    """Give the first BACnet unit that is written so; None where there is none."""
    wanted = _SPELLINGS.get(unit, unit)
    return next((code for code, (name, _, _) in _CODES.items() if name == wanted), None)


def judged(said: Said, unit: str, scale: Decimal) -> tuple[Decimal, str]:
    """Give what turns the device's number into ``unit`` beside the profile's ``scale``, and what there is to say.

    A unit that cannot be compared (none, a maker's own, one unknown here) is believed to be the profile's.  A power
    of ten is put right where the profile does not scale itself; factor 0 says that the point cannot be read so.
    """
    code = said.number
    found = _CODES.get(int(code)) if code is not None else None
    wanted = _BY_NAME.get(_SPELLINGS.get(unit, unit))
    if found is None or code == NO_UNITS or wanted is None or unit == "":
        return Decimal(1), ""
    name, base, power = found
    step = Decimal(1).scaleb(power - wanted[1])
    if base != wanted[0]:
        return Decimal(0), f"the device gives {name or base}, the profile says {unit}; set one of them right"
    if step in (1, scale):  # the same unit, or the profile knows of the step
        return Decimal(1), ""
    if scale != 1:
        return Decimal(0), f"the device gives {name}, and scale {scale} does not make {unit} of it; correct the profile"
    return step, f"the device gives {name}, which is turned into {unit} ({step.normalize():f} each)"
