"""What goes out of the spool on one connection: in order and at most a window ahead, what has waited at its pace.

What has just been read goes ahead of it as previews (``edge_agent.preview``).
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from edge_agent import births
from edge_agent.clock import Clock
from edge_agent.config import EdgeConfig
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.link import Confirmed
from edge_agent.pace import Pace
from edge_agent.preview import Previews
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from edge_agent.window import WINDOW_FRAMES, Window
from rules.wire.sparkplug import Metric

PACED_AFTER = timedelta(seconds=60)  # what was read longer ago goes out at the pace of backfill
HISTORICAL_AFTER = timedelta(minutes=10)  # what was read longer ago is history: nobody is called because of it
BACKFILL_JITTER_S = 2.0  # gateways that come back together do not begin together
FETCHED_FRAMES = 8  # at once

Say = Callable[[str, tuple[Metric, ...]], int]  # a device's data; gives the id of the message
Before = Callable[[int], None]  # told the number that a frame comes after


class Outflow:
    """The sender's side of one gateway; ``begin`` on every connection, ``bear`` after every birth."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        spool: Spool,
        roster: Roster,
        clock: Clock,
        health: Health,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._acknowledged = config.acknowledge == "hub"
        self._spool = spool
        self._roster = roster
        self._clock = clock
        self._health = health
        self._monotonic_s = monotonic_s
        self._pace = Pace(config.backfill_per_s)
        self._paced = False  # what comes next waits for its pace
        self._previews = Previews()
        self.window = Window(spool.committed, 0.0)
        self._confirming: dict[int, int] = {}  # message id -> frame number, without a hub that acknowledges
        self._delivered: set[int] = set()  # frames above the committed number that the broker has taken

    def begin(self) -> None:
        """Start anew on a connection."""
        now_s = self._monotonic_s()
        self._confirming.clear()
        self._delivered.clear()
        self.window = Window(self._spool.committed, now_s)
        jitter_s = BACKFILL_JITTER_S if self._spool.depth() > WINDOW_FRAMES else 0.0
        self._pace.begin(now_s, random.uniform(0.0, jitter_s))  # noqa: S311  # spreads gateways, guards nothing

    def bear(self) -> None:
        """Send again what is in flight, for births have gone out; ahead of it the last reading of every point."""
        self.window.rewind(probe=False)
        self._pace.landed(None)
        if self._spool.depth() > WINDOW_FRAMES:
            self._previews.begin(self._roster.members, self._spool.last_number)

    def note(self, frames: Sequence[Frame], *, connected: bool) -> None:
        """Take note of what has just been read."""
        self._pace.note_live(sum(len(frame.readings) for frame in frames), self._monotonic_s())
        if connected:
            self._previews.add(frames)

    def due_in_s(self, now_s: float, *, unconfirmed: bool) -> float:
        """Seconds until something is due; what is in flight is only due again once the broker has taken it."""
        again_s = float("inf") if unconfirmed else self.window.due_in_s(now_s)
        return min(again_s, self._pace.due_in_s(now_s)) if self._paced else again_s

    async def send(self, say: Say, before: Before, *, unconfirmed: bool) -> None:
        """Send what is due."""
        if self.window.due_in_s(self._monotonic_s()) <= 0.0 and not unconfirmed:
            self.window.rewind(probe=True)
            self._pace.landed(None)
        self._send_previews(say, self.window.sent + self.window.room())
        await self._send_frames(say, before)
        self._send_previews(say)

    async def _send_frames(self, say: Say, before: Before) -> None:
        self._paced = self._paced and self._pace.due_in_s(self._monotonic_s()) > 0.0
        while not self._paced and self._spool.last_number > self.window.sent and (room := self.window.room()):
            frames = await asyncio.to_thread(self._spool.pending, self.window.sent, min(room, FETCHED_FRAMES))
            if not frames:
                break
            for frame in frames:
                waited = self._waited(frame)
                if waited > PACED_AFTER and not self._pace.take(frame, self._monotonic_s()):
                    self._paced = True
                    break
                before(frame.number - 1)
                self._send(say, replace(frame, historical=True) if waited > HISTORICAL_AFTER else frame)
        before(self.window.sent)

    def _waited(self, frame: Frame) -> timedelta:
        """How long ago the newest of a frame was read; what is imported or empty has waited for ever."""
        if frame.historical or not (frame.readings or frame.event):
            return timedelta.max
        return self._clock.now() - (frame.event.at if frame.event else frame.readings[-1].at)

    def _send(self, say: Say, frame: Frame) -> None:
        message_id = self._say(say, frame)
        self._health.sent += 1
        self._health.resends += self.window.note_sent(frame.number, self._monotonic_s())
        if not self._acknowledged:
            self._confirming[message_id] = frame.number

    def _send_previews(self, say: Say, reach: int = 0) -> None:
        unkept_only = not self._acknowledged or self.window.probing
        for frame in self._previews.take(self.window.sent, reach, unkept_only=unkept_only):
            self._say(say, frame)

    def _say(self, say: Say, frame: Frame) -> int:
        """Say a frame in the name of its device, or of any where it is empty or its device has left."""
        self._roster.learn(frame)
        members = self._roster.members
        device = frame.device if frame.device in members else next(iter(members))
        return say(device, births.device_data(members[device], frame, self._spool.identity))

    def confirm(self, event: Confirmed) -> int:
        """Without a hub that acknowledges the broker's word counts; gives the highest number without a hole."""
        number = self._confirming.pop(event.message_id, 0)
        if event.taken and number:
            self._delivered.add(number)
        committed = self.window.committed
        while committed + 1 in self._delivered:
            committed += 1
        return committed

    async def commit(self, number: int) -> None:
        """Forget frames up to a number that the hub has committed."""
        if self.window.note_committed(number, self._monotonic_s()):
            self._pace.landed(number)
            self._delivered = {one for one in self._delivered if one > number}
            await asyncio.to_thread(self._spool.commit, number)
