"""Units of measure: which ones exist, and which can stand for which."""

from functools import cache

import pint


@cache
def _registry() -> pint.UnitRegistry[float]:
    units: pint.UnitRegistry[float] = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    units.define("percent_relative_humidity = percent = %RH")
    return units


# Units as they are written on screens, where pint has another name.
_SPELLING = {
    "m³": "m**3",
    "m3": "m**3",
    "m³/h": "m**3/hour",
    "°C": "degC",
    "℃": "degC",
    "%": "percent",
    "": "dimensionless",
}


@cache
def _parsed(unit: str) -> pint.Unit:
    try:
        return _registry().Unit(_SPELLING.get(unit, unit))
    except (pint.UndefinedUnitError, ValueError, TypeError, AttributeError) as error:
        raise UnknownUnitError(f"'{unit}' is not a unit; write it like kWh, m³, °C, kW or %") from error


class UnknownUnitError(ValueError):
    """The text is not a unit."""


def compatible(unit: str, other: str) -> bool:
    """Whether both measure the same dimension (kWh and MJ do, kWh and kW do not)."""
    return bool(_parsed(unit).dimensionality == _parsed(other).dimensionality)


def convert(value: float, unit: str, to: str) -> float:
    """Convert ``value``; raises UnknownUnitError, or pint.DimensionalityError for units that do not match."""
    return float(_registry().Quantity(value, _parsed(unit)).to(_parsed(to)).magnitude)


def multiplied(unit: str, other: str) -> str:
    """Give the unit of a product, as pint spells it; raises UnknownUnitError."""
    return str(_parsed(unit) * _parsed(other))


def divided(unit: str, other: str) -> str:
    """Give the unit of a quotient, as pint spells it; raises UnknownUnitError."""
    return str(_parsed(unit) / _parsed(other))


def has_own_zero(unit: str) -> bool:
    """Whether the unit's zero is a matter of agreement (°C): twice 20 °C is nothing; raises UnknownUnitError."""
    zero = _registry().Quantity(0.0, _parsed(unit)).to_base_units()
    return bool(zero.magnitude != 0.0)
