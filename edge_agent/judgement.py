"""The gateway's own judgement: derived points, local rules and interlocks, with or without the hub.

Pollers tell it every reading (``heed``); it works out what depends on them, spools what is worth sending as readings of
the devices that the points belong to, and has local rules carried out.  A rule shows itself as the point
``<device>.<rule>``: 0 quiet, 1 acting and read back, 2 acting and not yet read back; uncertain while it cannot be
judged.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from edge_agent.actuator import Actuator
from edge_agent.change import News
from edge_agent.config import EdgeConfig
from edge_agent.derivation import QUIET, derive, sign
from edge_agent.enforcement import Enforcement, Goal
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.inputs import Inputs
from edge_agent.latches import Latches
from edge_agent.local import Interlock, Rule
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool, SpoolFullError
from rules.control.local_rule import Standing, due_in_s, judge
from rules.model.evaluation import Missing, evaluate
from rules.model.expression import Expression
from rules.model.point import Point
from rules.model.reading import Reading

TICK_S = 1.0  # how often delays, silence and heartbeats are looked at
_MILLISECOND = timedelta(milliseconds=1)

log = logging.getLogger(__name__)


class Judgement:
    """Everything that one gateway judges by itself."""

    def __init__(
        self,
        config: EdgeConfig,
        actuator: Actuator,
        *,
        spool: Spool,
        publisher: Publisher,
        roster: Roster,
        health: Health,
        now: Callable[[], datetime],
        latches: Path | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``latches`` is the file in which rules that latch outlive a restart."""
        self._spool = spool
        self._publisher = publisher
        self._roster = roster
        self._health = health
        self._now = now
        self._monotonic_s = monotonic_s
        self._actuator = actuator
        self._local = config.local
        self._inputs = Inputs(config, monotonic_s())
        self._latches = Latches(latches)
        self._standings: dict[str, Standing] = {}  # by the rule's sign
        self._reported: dict[str, Reading] = {}
        self._touched: set[str] = set()
        self._resets: set[str] = set()
        self._releases: dict[str, Goal] = {}  # what rules that have ended leave to be done once, by point
        self._wake = asyncio.Event()
        self._enforcement = Enforcement(
            actuator, now=now, interlocked=self._interlocked, moved=self._wake.set, monotonic_s=monotonic_s
        )
        self._stand_up()

    def apply(self, config: EdgeConfig) -> None:
        """Go by another configuration; rules that stay keep their standing."""
        self._local = config.local
        self._inputs.apply(config, self._monotonic_s())
        self._stand_up()
        known = {point.code for point in self._local.points}
        self._reported = {code: reading for code, reading in self._reported.items() if code in known}
        self._touched |= self._inputs.wanted
        self._wake.set()

    def _stand_up(self) -> None:
        """Give every rule a standing; one that was latched before a restart acts."""
        self._actuator.lend(
            {rule.sign.code: partial(self._reset, rule) for rule in self._local.rules if rule.manner.latch}
        )
        self._standings = {
            rule.sign.code: self._standings.get(rule.sign.code)
            or Standing(acting=rule.manner.latch and rule.sign.code in self._latches.held)
            for rule in self._local.rules
        }

    def heed(self, readings: Iterable[Reading]) -> None:
        """Take in what was read; the work is done by ``run``."""
        if not self._inputs.wanted:
            return
        touched = self._inputs.take(readings, self._monotonic_s())
        if touched:
            self._touched |= touched
            for code in touched:
                if (reading := self._inputs.last(code)) is not None:
                    self._enforcement.heed(reading)
            self._wake.set()

    def blocked(self, point: str, value: float | None = None) -> str:
        """Give why nobody else may set a point (to ``value``) now, '' if he may."""
        for rule in self._local.rules:
            if rule.point == point and self._standings[rule.sign.code].acting and value != rule.to:
                return f"local rule '{rule.code}' holds '{point}' at {rule.to:g}; it has to end first"
        return self._interlocked(point, value)

    def _reset(self, rule: Rule, value: float | None) -> str:
        """Free a rule that has latched; gives why not, '' when it will be with the next look."""
        if value != QUIET:
            return f"'{rule.sign.code}' shows a local rule; it can only be set to {QUIET:g}, which resets it"
        if self._say(rule.when, self._monotonic_s()) is not False:
            return f"local rule '{rule.code}' cannot be reset while {rule.when.text} holds or cannot be judged"
        self._resets.add(rule.sign.code)
        self._wake.set()
        return ""

    def _interlocked(self, point: str, value: float | None) -> str:
        now_s = self._monotonic_s()
        for one in self._local.interlocks:
            if one.point == point and (one.only is None or value != one.only):
                said = self._say(one.when, now_s)
                if said is True or (isinstance(said, Missing) and one.block_when_unknown):
                    return _forbidden(one, said)
        return ""

    async def run(self) -> None:
        """Judge and act until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._enforcement.run())
            while True:
                if self._local.derived or self._local.rules:
                    await self._keep(self._judge())
                    await asyncio.to_thread(self._latches.keep, self._latched())
                await self._rest()

    async def _rest(self) -> None:
        """Wait until something is read or due."""
        now_s = self._monotonic_s()
        due_s = [due_in_s(self._standings[rule.sign.code], rule.manner, now_s) for rule in self._local.rules]
        with suppress(TimeoutError):
            async with asyncio.timeout(min([TICK_S, *(one for one in due_s if one is not None)])):
                await self._wake.wait()
        self._wake.clear()

    def _judge(self) -> list[Reading]:
        """Work out and decide; gives what is worth sending."""
        now, now_s = self._now(), self._monotonic_s()
        touched, self._touched = self._touched | self._inputs.fallen_silent(now_s), set()
        fresh: list[Reading] = []
        for one in self._local.derived:
            names = one.expression.points
            if not touched.isdisjoint(names) and not self._inputs.awaited(names, now_s):
                reading = self._dated(derive(one, self._inputs, now, now_s))
                touched |= self._inputs.take([reading], now_s)
                fresh += self._worth(one.point, reading)
        for rule in self._local.rules:
            self._stand(rule, now_s)
        self._enforcement.want(self._goals())
        for rule in self._local.rules:
            held = self._enforcement.held(rule.point)
            reading = self._dated(sign(rule, self._standings[rule.sign.code], held=held, now=now))
            self._inputs.take([reading], now_s)
            fresh += self._worth(rule.sign, reading)
        return fresh

    def _stand(self, rule: Rule, now_s: float) -> None:
        """Judge one rule."""
        code = rule.sign.code
        before, said = self._standings[code], self._say(rule.when, now_s)
        if isinstance(said, Missing) and self._inputs.awaited(rule.when.points, now_s):
            return  # nothing has been asked yet
        reset: bool | Missing = code in self._resets
        if rule.reset is not None and reset is False:
            reset = self._say(rule.reset, now_s)
        after = judge(before, said, reset, rule.manner, now_s)
        self._resets.discard(code)
        self._standings[code] = after
        if after.acting != before.acting:
            log.warning("local rule %s %s (%s)", code, "acts" if after.acting else "has ended", rule.when.text)
            if not after.acting and rule.after is not None:
                self._releases[rule.point] = Goal(rule.after, rule.code, rule.step, lasting=False)
        if after.doubt != before.doubt:
            acts = "it is taken to hold" if rule.manner.act_when_unknown else "it stays as it is"
            log.warning(
                "local rule %s %s",
                code,
                f"cannot be judged, {acts}: {after.doubt}" if after.doubt else "can be judged again",
            )

    def _goals(self) -> dict[str, Goal]:
        """Give what has to be: of several rules for a point the first in rank that acts, else what one leaves."""
        goals: dict[str, Goal] = {}
        for rule in self._local.rules:
            if self._standings[rule.sign.code].acting:
                goal = Goal(rule.to, rule.code, rule.step, over_interlocks=rule.life_safety)
                goals.setdefault(rule.point, goal)
                self._releases.pop(rule.point, None)
        left, self._releases = self._releases, {}
        return {**left, **goals}

    def _latched(self) -> set[str]:
        return {
            rule.sign.code for rule in self._local.rules if rule.manner.latch and self._standings[rule.sign.code].acting
        }

    def _dated(self, reading: Reading) -> Reading:
        """Give a reading a time of its own: of two of one point at one moment the hub would keep one."""
        last = self._reported.get(reading.point)
        if last is None or reading.at > last.at or (reading.value, reading.quality) == (last.value, last.quality):
            return reading
        return reading._replace(at=last.at + _MILLISECOND)

    def _worth(self, point: Point, reading: Reading) -> list[Reading]:
        last, news = self._reported.get(point.code), News([point])
        news.note([] if last is None else [last])
        if (last is not None and reading.at == last.at) or not news.of([reading]):
            return []
        if reading.error and (last is None or last.quality is not reading.quality):
            log.warning("point %s: %s", point.code, reading.error)
        return [reading]

    async def _keep(self, readings: Sequence[Reading]) -> None:
        """Spool readings; a full spool leaves them out, and they are offered again."""
        by_device: dict[str, list[Reading]] = {}
        for reading in readings:
            by_device.setdefault(reading.point.rpartition(".")[0], []).append(reading)
        if not by_device:
            return
        frames = [Frame(device, tuple(some)) for device, some in by_device.items()]
        try:
            last = await asyncio.to_thread(self._spool.append, frames)
        except SpoolFullError:
            self._publisher.fresh(frames)  # so that they are seen at least
            return
        self._reported.update((reading.point, reading) for reading in readings)
        for device, some in by_device.items():
            self._roster.note(device, some)
        self._health.readings += len(readings)
        first = last - len(frames) + 1
        self._publisher.fresh([replace(frame, number=number) for number, frame in enumerate(frames, first)])

    def _say(self, expression: Expression, now_s: float) -> bool | Missing:
        said = evaluate(expression, self._inputs.values(expression.points, now_s))
        return said if isinstance(said, Missing) else bool(said)


def _forbidden(one: Interlock, said: object) -> str:
    may = "may not be set" if one.only is None else f"may be set to {one.only:g} only"
    why = f"that cannot be judged, as {said.reason}" if isinstance(said, Missing) else one.when.text
    return f"interlock '{one.code}': '{one.point}' {may} now ({why})"
