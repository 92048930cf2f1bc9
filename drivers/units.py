"""Units that a meter may choose by itself, and the exact powers of ten between them."""

from decimal import Decimal

_UNITS = {
    "Wh": ("Wh", 0), "kWh": ("Wh", 3), "MWh": ("Wh", 6), "100 MWh": ("Wh", 8),
    "J": ("J", 0), "kJ": ("J", 3), "MJ": ("J", 6), "GJ": ("J", 9), "100 GJ": ("J", 11),
    "W": ("W", 0), "kW": ("W", 3), "MW": ("W", 6), "J/h": ("J/h", 0), "GJ/h": ("J/h", 9),
    "m³": ("m³", 0), "L": ("m³", -3), "l": ("m³", -3),
    "m³/h": ("m³/h", 0), "L/h": ("m³/h", -3), "l/h": ("m³/h", -3), "m³/min": ("m³/min", 0), "m³/s": ("m³/s", 0),
    "kg": ("kg", 0), "t": ("kg", 3), "kg/h": ("kg/h", 0),
    "V": ("V", 0), "kV": ("V", 3), "A": ("A", 0), "mA": ("A", -3),
    "bar": ("bar", 0), "mbar": ("bar", -3), "°C": ("°C", 0), "K": ("K", 0),
    "s": ("s", 0), "min": ("min", 0), "h": ("h", 0), "d": ("d", 0), "": ("", 0),
}  # fmt: skip


def known(unit: str) -> bool:
    """Whether a profile may ask for this unit."""
    return unit in _UNITS


def factor(unit: str, wanted: str) -> Decimal | None:
    """Give the power of ten that turns ``unit`` into ``wanted``; None where there is none (GJ is no decimal of kWh)."""
    base, power = _UNITS[unit]
    wanted_base, wanted_power = _UNITS[wanted]
    return Decimal(1).scaleb(power - wanted_power) if base == wanted_base else None
