"""What a protocol of doors and cameras brings along for the suite of event drivers: a real device that misbehaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from drivers.catalogue import load, parse
from drivers.driver import Asked, Device
from drivers.profile import Profile
from rules.model.line import AnyLine
from rules.model.point import Point
from tests.contract.ground import Trouble


class EventGround(Protocol):
    """One device behind one line, on loopback.  ``open`` is the door contact, ``lock`` what releases the door."""

    line: AnyLine
    device: Device
    troubles: frozenset[Trouble]
    shown: Mapping[str, float]  # what can be read at first
    opened: Mapping[str, float]  # what changes when the door is opened
    lock: str  # the measure that lets people through when it is set to 1
    card: str  # the badge that ``badge`` shows, as events have it

    def prepare(self, credentials: Path) -> None:
        """Write the passwords and keys that the line needs."""

    async def start(self) -> None:
        """Serve, at the same address every time."""

    async def stop(self) -> None:
        """Stop serving as a power cut would."""

    def open(self, *, on: bool) -> None:
        """Open the door, or close it."""

    def badge(self) -> None:
        """Hold a card that lets nobody in."""

    def is_released(self) -> bool:
        """Whether the device lets people through."""

    def trouble(self, how: Trouble | None) -> None:
        """Misbehave from the next question on; None: behave."""


def device_of(profile: Profile, code: str, address: str) -> Device:
    points = tuple(
        Asked(Point(f"{code}.{m.name}", code, m.name, m.kind, m.unit, m.step), m.name) for m in profile.measures
    )
    return Device(code, address, profile, points)


def shipped(name: str, code: str, address: str) -> Device:
    return device_of(load(name), code, address)


def written(text: str, name: str, code: str, address: str) -> Device:
    return device_of(parse(text, name), code, address)
