"""What one OSDP device has told: inputs, outputs, tamper, power, cards; and what that means at its door."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from osdp.constants import CardFormat, Event, StatusReportType

from drivers.osdp.profile import Door, OsdpMeasure
from rules.control.door import Manners, Watched, judge
from rules.model.event import BADGE_CHARACTERS_MAX, BadgeEvent
from rules.model.event import Event as Happening

EVENTS_MAX = 500
CARDS_MAX = 20  # read and not yet decided


@dataclass(slots=True)
class _Card:
    badge: str
    at: datetime


@dataclass(slots=True)
class States:
    """The states of one device, as far as it has told them; ``take`` is called while libosdp runs and never fails."""

    device: str
    door: Door | None
    measures: Mapping[str, OsdpMeasure]
    inputs: list[bool] = field(default_factory=list)
    outputs: list[bool] = field(default_factory=list)
    tamper: bool | None = None
    power_lost: bool | None = None
    until: dict[int, datetime | None] = field(default_factory=dict)  # outputs that were set to 1, and how long
    told: dict[str, int] = field(default_factory=dict)  # what lights were set to; a beep is over at once
    events: deque[Happening] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    watched: Watched = field(default_factory=Watched)
    cards: deque[_Card] = field(default_factory=lambda: deque(maxlen=CARDS_MAX))

    def forget(self) -> None:
        """Forget what the device said: it was away."""
        self.inputs, self.outputs, self.tamper, self.power_lost = [], [], None, None
        self.until.clear()
        self.told.clear()

    def take(self, event: Mapping[str, Any], now: datetime) -> None:
        """Take in an event of the device."""
        if event["event"] == Event.CardRead and self.door is None:
            self.events.append(BadgeEvent(uuid4(), self.device, now, "denied", badge_of(event)))
        elif event["event"] == Event.CardRead:
            self.cards.append(_Card(badge_of(event), now))
        elif event["event"] == Event.Status:
            report = bytes(event.get("report", b""))
            if event["type"] == StatusReportType.Input:
                self.inputs = [bool(octet) for octet in report]
            elif event["type"] == StatusReportType.Output:
                self.outputs = [bool(octet) for octet in report]
                self.until = {n: ends for n, ends in self.until.items() if ends is not None and ends > now}
            elif event["type"] == StatusReportType.Local and len(report) > 1:
                self.tamper, self.power_lost = bool(report[0]), bool(report[1])
        self.look(now)

    def set_output(self, number: int, momentary_s: float, now: datetime, *, on: bool) -> None:
        """Note what an output was told, and the device has confirmed."""
        self.until[number] = (now + timedelta(seconds=momentary_s) if momentary_s else None) if on else now
        if number < len(self.outputs):
            self.outputs[number] = on
        self.look(now)

    def look(self, now: datetime) -> None:
        """Judge the door, and what cards did."""
        if self.door is None:
            return
        released = self.value(self.door.lock, now) == 1 or (
            self.door.exit is not None and self.value(self.door.exit, now) == 1
        )
        contact = self.value(self.door.contact, now)
        self.watched, begun = judge(
            self.watched,
            Manners(self.door.held_s, self.door.grace_s),
            is_open=None if contact is None else contact == 1,
            released=released,
            now=now,
        )
        self.events.extend(BadgeEvent(uuid4(), self.device, now, str(mishap)) for mishap in begun)
        self._decide(now, unlocked=self.value(self.door.lock, now) == 1)

    def value(self, name: str, now: datetime) -> int | None:
        """Give what a measure is; None where the device has not said it."""
        measure = self.measures[name]
        known = {
            "tamper": self.tamper,
            "power": self.power_lost,
            "forced": self.watched.forced if self.watched.open is not None else None,
            "held": self.watched.held if self.watched.open is not None else None,
            "led": self.told.get(name, 0),
            "buzzer": 0,
        }
        if measure.origin == "input":
            inside = measure.number < len(self.inputs)
            return int(self.inputs[measure.number] != measure.inverted) if inside else None
        if measure.origin == "output":
            return self._output(measure.number, now)
        found = known[measure.origin]
        return None if found is None else int(found)

    def _output(self, number: int, now: datetime) -> int | None:
        """Give an output: what it was told and has confirmed, else what it reports."""
        if number in self.until:
            ends = self.until[number]
            if ends is None or now < ends:
                return 1
            return 0
        return int(self.outputs[number]) if number < len(self.outputs) else None

    def _decide(self, now: datetime, *, unlocked: bool) -> None:
        """Say what became of each card: it let somebody in if the lock was released soon after, else it did not."""
        assert self.door is not None
        patience = timedelta(seconds=self.door.granted_s)
        while self.cards and (unlocked or now - self.cards[0].at >= patience):
            card = self.cards.popleft()
            result = "granted" if unlocked and now - card.at <= patience else "denied"
            self.events.append(BadgeEvent(uuid4(), self.device, card.at, result, card.badge))


def badge_of(event: Mapping[str, Any]) -> str:
    """Give a card's number as the reader sends it: text, or the count of its bits and the bits in hexadecimal."""
    data = bytes(event.get("data", b""))
    if event.get("format") == CardFormat.ASCII:
        text = "".join(chr(octet) for octet in data if chr(octet).isprintable() and octet < 128)  # noqa: PLR2004
        return text.strip()[:BADGE_CHARACTERS_MAX]
    return f"{int(event.get('length', 0))}:{data.hex().upper()}"[:BADGE_CHARACTERS_MAX]
