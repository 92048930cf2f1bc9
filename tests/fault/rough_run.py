"""A park under rough treatment: its processes are killed, its link is cut, and then every reading is counted."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy import demo, park, story
from deploy.child import alive
from deploy.demo import Running
from deploy.embedded import Servers
from deploy.processes import Supervisor
from deploy.settings import Settings, read
from hub.errors import UnavailableError
from hub.jobs import rollups
from hub.store.database import Role
from simulators import control
from simulators.link import Link
from simulators.tally import Tally

HISTORY_DAYS = 2
CALM_S = 4.0  # between two acts: long enough to come back and carry load again
CUT_S = 60.0
QUIET_S = 15.0  # longer than an edge waits before it reports, reconnects or sends again
RECOVERY_S = 240.0
WORKERS = 2
KILLABLE = ("edge", "hub", "hub-2", "broker", "postgres")
EDGE_MOMENT = timedelta(seconds=2)  # an answer told this long before a kill of the edge may never have become a reading

LATEST_BEHIND = b"""
SELECT count(*) FROM latest l JOIN (SELECT point_id, max(at) AS at FROM samples GROUP BY point_id) s USING (point_id)
WHERE l.at <> s.at
"""

HOURLY_DIFFERENT = b"""
SELECT count(*) FROM hourly h FULL JOIN (
    SELECT point_id, date_trunc('hour', at, 'UTC') AS bucket, count(*) AS n,
           count(value) FILTER (WHERE quality = 192) AS good_n,
           min(value) FILTER (WHERE quality = 192) AS min, max(value) FILTER (WHERE quality = 192) AS max,
           sum(value) FILTER (WHERE quality = 192) AS sum,
           max(at) FILTER (WHERE quality = 192 AND value IS NOT NULL) AS last_at
    FROM samples GROUP BY 1, 2) s USING (point_id, bucket)
WHERE (h.n, h.good_n, h.min, h.max, h.last_at) IS DISTINCT FROM (s.n, s.good_n, s.min, s.max, s.last_at)
   OR abs(h.sum - s.sum) > 1e-9 * greatest(1, abs(s.sum))
"""


@dataclass(frozen=True)
class Act:
    """One rough act: kill -9 of a process, or a cut of the link for some seconds."""

    what: str
    seconds: float = 0.0


@dataclass
class Diary:
    """What was done, and when."""

    kills: dict[str, int] = field(default_factory=dict)
    edge_killed_at: list[datetime] = field(default_factory=list)
    cuts: int = 0


@dataclass(frozen=True)
class Outcome:
    """The count afterwards; ``in_flight`` are answers that a killed edge had not yet made into readings."""

    tally: Tally
    in_flight: int
    invariants: dict[str, bool]
    diary: Diary

    @property
    def lost(self) -> int:
        return self.tally.lost - self.in_flight

    @property
    def holds(self) -> bool:
        return not (self.lost or self.tally.duplicated or self.tally.falsified) and all(self.invariants.values())

    def row(self, seed: int) -> dict[str, Any]:
        return {
            "seed": seed,
            "sent": self.tally.told,
            "stored": self.tally.stored,
            "lost": self.lost,
            "duplicated": self.tally.duplicated,
            "in_flight_at_edge_kills": self.in_flight,
            "kills": self.diary.kills,
            "cuts": self.diary.cuts,
            "invariants": self.invariants,
        }


def acts(seed: int, minutes: float) -> list[Act]:
    """As many acts as fit, from the seed alone."""
    chance = random.Random(seed)
    planned: list[Act] = []
    left_s = minutes * 60
    while left_s > 0:
        what = chance.choice([*KILLABLE, "cut"])
        act = Act(what, chance.uniform(2, 20) if what == "cut" else 0.0)
        planned.append(act)
        left_s -= act.seconds + CALM_S
    return planned


@asynccontextmanager
async def rough_park(folder: Path, seed: int) -> AsyncIterator[tuple[Running, Supervisor, Link]]:
    """A park with two days of history whose gateway reaches the broker through a link that can be cut."""
    settings: Settings = read(data=folder, web_port=park.free_ports(1)[0])
    console = Console(stderr=True, quiet=True)
    with Servers(settings) as servers:
        async with (
            Supervisor(console.print) as supervisor,
            Link(servers.broker.port) as link,
        ):
            running = await demo.up(
                settings,
                servers,
                supervisor,
                console,
                seed=seed,
                days=HISTORY_DAYS,
                edge_broker=f"127.0.0.1:{link.port}",
                hubs=WORKERS,
            )
            try:
                yield running, supervisor, link
            finally:
                await running.database.close()


async def treat(running: Running, supervisor: Supervisor, link: Link, planned: Sequence[Act]) -> Outcome:
    """Do the acts one after the other, let everything come back, and count."""
    diary = Diary()
    for act in planned:
        await asyncio.sleep(CALM_S)
        if act.what == "cut":
            link.cut()
            await asyncio.sleep(act.seconds)
            link.restore()
            diary.cuts += 1
        else:
            _kill(supervisor, act.what, diary)
    await asyncio.sleep(CALM_S)
    await _recover(running, supervisor)
    return await _count(running, diary)


def _kill(supervisor: Supervisor, name: str, diary: Diary) -> None:
    if name == "edge":
        diary.edge_killed_at.append(datetime.now(UTC))
    with suppress(ProcessLookupError):  # it may still be down from the last time
        os.kill(supervisor.pids[name], signal.SIGKILL)
    diary.kills[name] = diary.kills.get(name, 0) + 1


async def _recover(running: Running, supervisor: Supervisor) -> None:
    """Silence the park, then wait until every process is back and nothing has arrived for QUIET_S."""
    for device in running.file.device:
        await control.ask_async(running.control_port, {"do": "inject", "kind": "silent", "device": device.code})
    stored: int | None = -1
    quiet_s = 0.0
    async with asyncio.timeout(RECOVERY_S):
        while quiet_s < QUIET_S:
            await asyncio.sleep(1)
            quiet_s += 1
            before, stored = stored, await _stored(running)
            if stored is None or stored != before or not all(alive(pid) for pid in supervisor.pids.values()):
                quiet_s = 0.0


async def _stored(running: Running) -> int | None:
    """How much is stored; None while the gateway or the hub is not there."""
    try:
        async with running.database.transaction(None, role=Role.INGEST) as tx:
            away = await tx.value(b"SELECT count(*) FROM gateways WHERE NOT online OR depth > 0")
            return None if away else int(await tx.value(b"SELECT count(*) FROM samples"))
    except UnavailableError:
        return None


async def _count(running: Running, diary: Diary) -> Outcome:
    tally = await story.count(running)
    in_flight = sum(
        any(killed - EDGE_MOMENT <= told <= killed for told in moments for killed in diary.edge_killed_at)
        for moments in tally.lost_told_at
    )
    in_flight = min(in_flight, len(running.file.line) * len(diary.edge_killed_at))  # one answer per line and kill
    while await rollups.rebuild(running.database):
        pass
    async with running.database.transaction(None, role=Role.INGEST) as tx:
        different = await tx.value(HOURLY_DIFFERENT)
        behind = await tx.value(LATEST_BEHIND)
        depth = await tx.value(b"SELECT max(depth) FROM gateways")
    invariants = {
        "latest_is_newest": behind == 0,
        "spool_is_empty": depth == 0,
        "hourly_is_what_raw_readings_give": different == 0,
    }
    return Outcome(tally, in_flight, invariants, diary)


async def run(folder: Path, seed: int, planned: Sequence[Act]) -> Outcome:
    """The whole of it."""
    async with rough_park(folder, seed) as (running, supervisor, link):
        return await treat(running, supervisor, link, planned)
