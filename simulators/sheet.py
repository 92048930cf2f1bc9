"""The data sheets (datasheets.md) as registers: what each model has at which address, and how it is encoded."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

HOLDING = 3  # function code that reads the model's registers
INPUT = 4


class Form(StrEnum):
    """How a number stands in registers."""

    UINT16 = ">H"
    INT16 = ">h"
    UINT32 = ">I"
    INT32 = ">i"
    FLOAT32 = ">f"


_LIMITS = {
    Form.UINT16: (0, 0xFFFF),
    Form.INT16: (-0x8000, 0x7FFF),
    Form.UINT32: (0, 0xFFFFFFFF),
    Form.INT32: (-0x80000000, 0x7FFFFFFF),
}
_NOT_AVAILABLE: dict[Form, float] = {
    Form.UINT16: 0xFFFF,
    Form.INT16: -0x8000,
    Form.UINT32: 0xFFFFFFFF,
    Form.INT32: -0x80000000,
    Form.FLOAT32: math.nan,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One quantity that a model shows; ``modulus`` counts of ``step`` is where a counter's face starts again.

    ``writable``: lowest and highest number of steps that may be written.
    """

    measure: str
    step: Decimal
    modulus: int = field(default=0, kw_only=True)
    writable: tuple[int, int] | None = field(default=None, kw_only=True)

    @property
    def counter(self) -> bool:
        """Whether it counts and rolls over."""
        return self.modulus > 0


@dataclass(frozen=True, slots=True)
class Register(Shown):
    """A quantity as a Modbus data sheet has it."""

    address: int
    form: Form
    low_word_first: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> int:
        """How many registers it takes."""
        return struct.calcsize(self.form) // 2

    def words(self, value: float | None) -> tuple[int, ...]:
        """Encode a value, in counts for a counter and in its unit otherwise; None is "not available"."""
        raw = struct.pack(self.form, self._number(value))
        words = struct.unpack(f">{self.size}H", raw)
        return words[::-1] if self.low_word_first else words

    def _number(self, value: float | None) -> float:
        if value is None:
            return _NOT_AVAILABLE[self.form]
        if self.form is Form.FLOAT32:
            return value
        low, high = _LIMITS[self.form]
        steps = int(value) if self.counter else round(value / float(self.step))
        return min(max(steps, low), high)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One model: what it shows; the first counter is what the world counts through it."""

    model: str
    shown: tuple[Shown, ...]

    @property
    def counter(self) -> Shown | None:
        """What the model counts, if it is a meter."""
        return next((shown for shown in self.shown if shown.counter), None)

    def named(self, measure: str) -> Shown | None:
        """Give what the model shows under a name."""
        return next((shown for shown in self.shown if shown.measure == measure), None)


@dataclass(frozen=True, slots=True)
class ModbusSheet(Sheet):
    """A model with registers, in the order of their addresses, and the function code that reads them."""

    function: int

    @property
    def registers(self) -> tuple[Register, ...]:
        """What it shows, with addresses."""
        return tuple(shown for shown in self.shown if isinstance(shown, Register))


_ONE = Decimal(1)
_TENTH = Decimal("0.1")
_HUNDREDTH = Decimal("0.01")
_THOUSANDTH = Decimal("0.001")
_TEN_THOUSANDTH = Decimal("0.0001")

_EM3 = ModbusSheet(
    "rs-em3",
    (
        Register("energy", _HUNDREDTH, 0, Form.UINT32, modulus=10**8),
        Register("power", _THOUSANDTH, 2, Form.INT32),
        Register("voltage_l1", _TENTH, 4, Form.UINT16),
        Register("voltage_l2", _TENTH, 5, Form.UINT16),
        Register("voltage_l3", _TENTH, 6, Form.UINT16),
        Register("current_l1", _HUNDREDTH, 7, Form.UINT16),
        Register("current_l2", _HUNDREDTH, 8, Form.UINT16),
        Register("current_l3", _HUNDREDTH, 9, Form.UINT16),
        Register("power_factor", _THOUSANDTH, 10, Form.INT16),
        Register("frequency", _HUNDREDTH, 11, Form.UINT16),
        Register("serial", _ONE, 20, Form.UINT32),
    ),
    HOLDING,
)
_EM1 = ModbusSheet(
    "rs-em1",
    (
        Register("energy", _TENTH, 0, Form.UINT32, modulus=10**5),
        Register("power", _THOUSANDTH, 2, Form.INT32),
    ),
    HOLDING,
)
_WM1 = ModbusSheet(
    "rs-wm1",
    (
        Register("volume", _THOUSANDTH, 0, Form.UINT32, modulus=10**8, low_word_first=True),
        Register("flow", _ONE, 2, Form.FLOAT32, low_word_first=True),
        Register("status", _ONE, 4, Form.UINT16),
    ),
    INPUT,
)
_AHU1 = ModbusSheet(
    "rs-ahu1",
    (
        Register("supply_temp", _TENTH, 0, Form.INT16),
        Register("supply_setpoint", _TENTH, 1, Form.INT16, writable=(120, 300)),
        Register("return_temp", _TENTH, 2, Form.INT16),
        Register("outdoor_temp", _TENTH, 3, Form.INT16),
        Register("fan_running", _ONE, 4, Form.UINT16),
        Register("fan_command", _ONE, 5, Form.UINT16),
        Register("cooling_valve", _TENTH, 6, Form.UINT16),
        Register("freeze_trip", _ONE, 7, Form.UINT16),
        Register("filter_pressure", _ONE, 8, Form.UINT16),
    ),
    HOLDING,
)
_UA1 = replace(_AHU1, model="rs-ua1")  # the same behind OPC UA, where nodes bear the names of the measures
_UE1 = replace(_EM3, model="rs-ue1")

_LV1 = ModbusSheet(
    "rs-lv1",
    (Register("leak", _ONE, 0, Form.UINT16), Register("valve", _ONE, 1, Form.UINT16, writable=(0, 100))),
    HOLDING,
)


def _meter(model: str, *shown: Shown) -> Sheet:
    return Sheet(model, shown)


_THREE_PHASES = (
    Shown("voltage_l1", _TENTH), Shown("voltage_l2", _TENTH), Shown("voltage_l3", _TENTH),
    Shown("current_l1", _THOUSANDTH), Shown("current_l2", _THOUSANDTH), Shown("current_l3", _THOUSANDTH),
    Shown("power", _TEN_THOUSANDTH), Shown("power_l1", _TEN_THOUSANDTH), Shown("power_l2", _TEN_THOUSANDTH),
    Shown("power_l3", _TEN_THOUSANDTH), Shown("power_factor", _THOUSANDTH), Shown("frequency", _HUNDREDTH),
)  # fmt: skip
_HEAT = (Shown("supply_temp", _HUNDREDTH), Shown("return_temp", _HUNDREDTH), Shown("hours", _ONE))
_WIRED = (
    _meter(
        "dlt645-2007-three-phase", Shown("energy", _HUNDREDTH, modulus=10**8), Shown("energy_export", _HUNDREDTH),
        *_THREE_PHASES,
    ),
    _meter(
        "cjt188-water", Shown("volume", _HUNDREDTH, modulus=10**8), Shown("settlement_volume", _HUNDREDTH),
        Shown("valve", _ONE), Shown("battery_low", _ONE),
    ),
    _meter(
        "cjt188-heat", Shown("energy", _HUNDREDTH, modulus=10**8), Shown("power", _HUNDREDTH),
        Shown("flow", _TEN_THOUSANDTH), Shown("volume", _HUNDREDTH), *_HEAT, Shown("valve", _ONE),
        Shown("battery_low", _ONE),
    ),
    _meter(
        "itron-cyble-water", Shown("volume", _HUNDREDTH, modulus=10**8), Shown("settlement_volume", _HUNDREDTH),
        Shown("status", _ONE),
    ),
    _meter(
        "kamstrup-multical-601", Shown("energy", _ONE, modulus=10**7), Shown("volume", _HUNDREDTH),
        Shown("power", _TENTH), Shown("flow", _THOUSANDTH), *_HEAT, Shown("status", _ONE),
    ),
    _meter(
        "landis-gyr-ultraheat-t230", Shown("energy", _ONE, modulus=10**8), Shown("volume", _HUNDREDTH),
        Shown("power", _TENTH), Shown("flow", _THOUSANDTH), *_HEAT, Shown("status", _ONE),
    ),
)  # fmt: skip
_CAMERA = Sheet("rtsp-camera", ())  # its pictures are in hall.py
# The same meter and the same unit, with BACnet objects instead of registers (bacnet_device.py).
_EM4 = Sheet("rs-em4", tuple(Shown(s.measure, s.step, modulus=s.modulus) for s in _EM3.shown))
_AHU2 = Sheet("rs-ahu2", tuple(Shown(s.measure, s.step, writable=s.writable) for s in _AHU1.shown))
SHEETS: Mapping[str, Sheet] = {
    sheet.model: sheet for sheet in (_EM3, _EM1, _WM1, _AHU1, _LV1, _UA1, _UE1, *_WIRED, _CAMERA, _EM4, _AHU2)
}
