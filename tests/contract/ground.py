"""What a protocol brings along to be put through the conformance suite: a real server that can be told to misbehave."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from drivers.driver import Device
from rules.model.line import AnyLine

COUNTER, GAUGE, SETPOINT = "energy", "power", "setpoint"  # measures of every ground's device; only the last is writable


class Trouble(StrEnum):
    """How a device misbehaves until it is told to behave again."""

    SILENT = "silent"  # reads what comes and answers nothing
    REFUSING = "refusing"  # answers every question with the protocol's own "no"
    MALFORMED = "malformed"  # answers with bytes that are no answer (wrong checksum, nonsense)
    HALF = "half"  # sends the first half of an answer and stops
    SLOW = "slow"  # answers right, but later than the line waits
    HUGE = "huge"  # answers without an end, or with lengths beyond all measure


class Ground(Protocol):
    """One device behind one line, on loopback.  ``troubles`` are the troubles that the protocol can have at all."""

    line: AnyLine
    device: Device  # its points: COUNTER, GAUGE, SETPOINT, in this order
    troubles: frozenset[Trouble]

    async def start(self) -> None:
        """Serve, at the same address every time."""

    async def stop(self) -> None:
        """Stop serving as a power cut would: connections are gone, what was learnt is forgotten."""

    def show(self, values: Mapping[str, float]) -> None:
        """Set what the device holds, by measure, in the unit of the profile."""

    def held(self, measure: str) -> float:
        """Give what the device holds, written values included."""

    def trouble(self, how: Trouble | None) -> None:
        """Misbehave from the next question on; None: behave."""
