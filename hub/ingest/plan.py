"""Decide what a batch of messages does to the lines of its gateways, before anything is written.  Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from hub.ingest.acts import (
    Act,
    Address,
    Birth,
    DeviceBorn,
    DeviceDied,
    Fault,
    Frame,
    GatewayBorn,
    GatewayDied,
    Rejected,
    Report,
    Speaker,
)
from hub.ingest.line import UNNUMBERED, Line, Seat, Turn, seat, take

FULL_PERCENT = 80  # of a spool: somebody should look
BURST_ENDS = timedelta(hours=1)  # without a further loss; each burst is recorded once


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a gateway that belongs into the audit record."""

    line: Line
    action: str
    details: dict[str, object]


@dataclass(slots=True)
class Plan:
    """What to write, and what to say after the commit."""

    now: datetime
    lines: dict[Address, Line]
    frames: list[tuple[Line, Frame]] = field(default_factory=list)
    births: list[tuple[Line, Birth]] = field(default_factory=list)
    silent: set[UUID] = field(default_factory=set)  # gateways whose devices are all off
    devices: dict[tuple[UUID, str], bool] = field(default_factory=dict)  # (gateway, device) -> on
    rejected: list[tuple[UUID | None, Rejected]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    repeated: int = 0
    ahead: set[Address] = field(default_factory=set)
    acknowledge: set[Address] = field(default_factory=set)
    heard: dict[Address, Speaker] = field(default_factory=dict)  # who held a line when he last spoke in this batch

    def enter(self, act: Act) -> None:
        """Take in one act, in the order of arrival."""
        if isinstance(act, Frame) and self.heard.get(act.speaker.address) is act.speaker:
            self._frame(act, self.lines[act.speaker.address])  # nothing else of the line can have changed
        elif isinstance(act, Rejected):
            line = self.lines.get(act.address) if act.address else None
            self.rejected.append((line.organisation_id if line else None, act))
        elif hasattr(act, "speaker"):
            line = self._seated(act.speaker, getattr(act, "topic", ""))
            if line is not None:
                self._enter(act, line)

    def _enter(self, act: Act, line: Line) -> None:
        if isinstance(act, Frame):
            self._frame(act, line)
        elif isinstance(act, GatewayBorn):
            self._set(replace(line, born_at=self.now, version=act.version))
        elif isinstance(act, GatewayDied):
            self._gateway_died(line)
        elif isinstance(act, DeviceBorn):
            self.births.append((line, act.birth))
            self.devices[line.id, act.birth.device] = True
        elif isinstance(act, DeviceDied):
            self.devices[line.id, act.device] = False
        elif isinstance(act, Report):
            self._report(act, line)

    def _report(self, report: Report, line: Line) -> None:
        depth = line.depth if report.depth is None else max(report.depth, 0)
        percent = line.spool_percent if report.percent is None else min(max(report.percent, 0), 100)
        dropped = line.dropped if report.dropped is None else max(report.dropped, 0)
        skew_ms = line.skew_ms if report.skew_ms is None else report.skew_ms
        after = replace(line, depth=depth, clock_step_ms=report.clock_step_ms or line.clock_step_ms)
        after = replace(after, spool_percent=percent, dropped=dropped, skew_ms=skew_ms)
        if line.spool_percent < FULL_PERCENT <= percent:
            self.notes.append(Note(after, "spool nearly full", {"percent": percent, "frames": depth}))
        if dropped > line.dropped:
            if line.dropped_at is None or self.now - line.dropped_at > BURST_ENDS:
                self.notes.append(Note(after, "readings dropped", {"so_far": dropped, "before": line.dropped}))
            after = replace(after, dropped_at=self.now)
        self._set(after)

    def _seated(self, speaker: Speaker, topic: str) -> Line | None:
        """Give the speaker's line when it holds it."""
        line = self.lines.get(speaker.address)
        if line is None:
            self._refuse(speaker.address, None, Fault.UNKNOWN_GATEWAY, topic, _unknown(speaker.address))
            return None
        seated = seat(line, speaker, self.now)
        self._set(seated.line)
        self.heard.pop(speaker.address, None)
        if seated.seat is not Seat.REFUSED:
            self.heard[speaker.address] = speaker
        if seated.seat is Seat.REFUSED:
            self._refuse(speaker.address, line.organisation_id, Fault.RIVAL, topic, _rival(line, speaker))
            return None
        if seated.seat is Seat.TAKEN:
            details: dict[str, object] = {"spool": speaker.spool, "before": line.spool, "from": speaker.forgotten + 1}
            self.notes.append(Note(line, "spool taken over" if line.spool else "spool bound", details))
        elif seated.lost:
            self._lost(line, seated.line, topic)
        if speaker.spool:
            self.acknowledge.add(speaker.address)
        return seated.line

    def _lost(self, before: Line, after: Line, topic: str) -> None:
        details: dict[str, object] = {"first": before.committed + 1, "last": after.committed}
        self.notes.append(Note(after, "frames lost", details))
        sentence = (
            f"{after.gateway}: its spool no longer has the frames {before.committed + 1} to {after.committed}, which "
            "are not stored here; restore a newer backup or enter the readings by hand."
        )
        self._refuse(after.address, after.organisation_id, Fault.LOST, topic, sentence)

    def _frame(self, frame: Frame, line: Line) -> None:
        if frame.number is not None:
            line, turn = take(line, frame.number)
            if turn is Turn.AHEAD:
                self.ahead.add(line.address)
                return
            if turn is Turn.REPEATED:
                self.repeated += len(frame.samples)
                return
            self._set(line)
        self.frames.append((line, frame))
        if frame.faults:
            fault = frame.faults[0][0]
            sentence = " ".join(said for _, said in frame.faults)
            rejected = Rejected(line.address, frame.topic, fault, sentence, frame.head)
            self.rejected.append((line.organisation_id, rejected))

    def _gateway_died(self, line: Line) -> None:
        self.heard.pop(line.address, None)
        self._set(replace(line, online=False))
        self.silent.add(line.id)
        for key in [key for key in self.devices if key[0] == line.id]:
            del self.devices[key]

    def _set(self, line: Line) -> None:
        self.lines[line.address] = line

    def _refuse(self, address: Address, organisation: UUID | None, fault: Fault, topic: str, sentence: str) -> None:
        self.rejected.append((organisation, Rejected(address, topic or "/".join(address), fault, sentence, b"")))


def plan(acts: Iterable[Act], lines: Mapping[Address, Line], now: datetime) -> Plan:
    """Give what the acts do to gateways that stand at ``lines``."""
    made = Plan(now, dict(lines))
    for act in acts:
        made.enter(act)
    return made


def _unknown(address: Address) -> str:
    return (
        f"Gateway '{address.gateway}' of site '{address.site}' is not registered; add it to the site file and "
        "register the site, or correct its name."
    )


def _rival(line: Line, speaker: Speaker) -> str:
    return (
        f"Two edges use the name {line.gateway}: spool {line.spool[:8] or UNNUMBERED} holds it, "
        f"{speaker.spool[:8] or UNNUMBERED} is refused until the other has been silent for 10 min; "
        "give each its own name."
    )
