"""A water board for tests: a leak sensor, a valve that can be set, a flow and two temperatures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pymodbus.constants import ExcCodes

from drivers import catalogue
from drivers.profile import Profile
from tests.field import Meter

WET, VALVE, FLOW, SUPPLY, RETURN = range(5)
PROFILE = """
code = "water-board"
title = "Water board"
table = "holding"
order = "ABCD"
[[measure]]
name = "wet"
kind = "state"
unit = ""
address = 0
encoding = "uint16"
missing = [0xFFFF]
[[measure]]
name = "valve"
kind = "gauge"
unit = "%"
address = 1
encoding = "uint16"
writable = [0, 100]
[[measure]]
name = "flow"
kind = "gauge"
unit = "m³/h"
address = 2
encoding = "uint16"
scale = 0.1
[[measure]]
name = "supply"
kind = "gauge"
unit = "°C"
address = 3
encoding = "uint16"
scale = 0.1
[[measure]]
name = "return"
kind = "gauge"
unit = "°C"
address = 4
encoding = "uint16"
scale = 0.1
"""


@dataclass
class Board(Meter):
    """Takes what is written, unless it is stuck; remembers every write with its value."""

    stuck: bool = False
    written: list[tuple[int, int]] = field(default_factory=list)

    async def act(
        self, function: int, start: int, address: int, count: int, registers: list[int], new: object
    ) -> ExcCodes | None:
        if isinstance(new, list) and not self.silent:
            self.written += [(address + place, int(value)) for place, value in enumerate(new)]
            if self.stuck:
                new[:] = [self.registers.get(address + place, 0) for place in range(len(new))]
            else:
                self.registers.update((address + place, int(value)) for place, value in enumerate(new))
        return await super().act(function, start, address, count, registers, new)


def board(address: int = 1) -> Board:
    return Board(address, {WET: 0, VALVE: 100, FLOW: 50, SUPPLY: 70, RETURN: 120})


@contextmanager
def known_profile(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the catalogue know the board's profile."""
    shipped, own = catalogue.load, catalogue.parse(PROFILE, "water-board")

    def load(name: str, beside: Path | None = None) -> Profile:
        return own if name == own.code else shipped(name, beside)

    patch.setattr(catalogue, "load", load)
    yield
