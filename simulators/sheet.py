"""The data sheets (datasheets.md) as registers: what each model has at which address, and how it is encoded."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
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
class Register:
    """One quantity of a data sheet; ``modulus`` counts of ``step`` is where a counter's face starts again."""

    measure: str
    address: int
    form: Form
    step: Decimal
    modulus: int = 0
    low_word_first: bool = False
    writable: tuple[int, int] | None = None  # lowest and highest word that may be written

    @property
    def size(self) -> int:
        """How many registers it takes."""
        return struct.calcsize(self.form) // 2

    @property
    def counter(self) -> bool:
        """Whether it counts and rolls over."""
        return self.modulus > 0

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
    """One model: which function code reads it, and its registers in the order of their addresses."""

    model: str
    function: int
    registers: tuple[Register, ...]

    @property
    def counter(self) -> Register | None:
        """The register that counts, if the model is a meter."""
        return next((r for r in self.registers if r.counter), None)


_ONE = Decimal(1)
_TENTH = Decimal("0.1")
_HUNDREDTH = Decimal("0.01")
_THOUSANDTH = Decimal("0.001")

_EM3 = Sheet(
    "rs-em3",
    HOLDING,
    (
        Register("energy", 0, Form.UINT32, _HUNDREDTH, modulus=10**8),
        Register("power", 2, Form.INT32, _THOUSANDTH),
        Register("voltage_l1", 4, Form.UINT16, _TENTH),
        Register("voltage_l2", 5, Form.UINT16, _TENTH),
        Register("voltage_l3", 6, Form.UINT16, _TENTH),
        Register("current_l1", 7, Form.UINT16, _HUNDREDTH),
        Register("current_l2", 8, Form.UINT16, _HUNDREDTH),
        Register("current_l3", 9, Form.UINT16, _HUNDREDTH),
        Register("power_factor", 10, Form.INT16, _THOUSANDTH),
        Register("frequency", 11, Form.UINT16, _HUNDREDTH),
        Register("serial", 20, Form.UINT32, _ONE),
    ),
)
_EM1 = Sheet(
    "rs-em1",
    HOLDING,
    (
        Register("energy", 0, Form.UINT32, _TENTH, modulus=10**5),
        Register("power", 2, Form.INT32, _THOUSANDTH),
    ),
)
_WM1 = Sheet(
    "rs-wm1",
    INPUT,
    (
        Register("volume", 0, Form.UINT32, _THOUSANDTH, modulus=10**8, low_word_first=True),
        Register("flow", 2, Form.FLOAT32, _ONE, low_word_first=True),
        Register("status", 4, Form.UINT16, _ONE),
    ),
)
_AHU1 = Sheet(
    "rs-ahu1",
    HOLDING,
    (
        Register("supply_temp", 0, Form.INT16, _TENTH),
        Register("supply_setpoint", 1, Form.INT16, _TENTH, writable=(120, 300)),
        Register("return_temp", 2, Form.INT16, _TENTH),
        Register("outdoor_temp", 3, Form.INT16, _TENTH),
        Register("fan_running", 4, Form.UINT16, _ONE),
        Register("fan_command", 5, Form.UINT16, _ONE),
        Register("cooling_valve", 6, Form.UINT16, _TENTH),
        Register("freeze_trip", 7, Form.UINT16, _ONE),
        Register("filter_pressure", 8, Form.UINT16, _ONE),
    ),
)
SHEETS: Mapping[str, Sheet] = {sheet.model: sheet for sheet in (_EM3, _EM1, _WM1, _AHU1)}
