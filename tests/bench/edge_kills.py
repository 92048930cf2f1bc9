"""An edge that spools and publishes a known row of readings and is killed (-9) fifty times, at moments from a seed.

The edge is a process of its own.  It says on a pipe what the spool has promised to keep; at each start it goes on after
the newest reading that it finds there, so that a reading which the spool forgot is made again with another value.
"""

import asyncio
import json
import os
import random
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg

from edge_agent.clock import Clock
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.link import Broker
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.bench.field_hub import FieldHub, config_of, field_hub, points_of
from tests.bench.row import Row, at_least, at_most

KILLS, SEED = 50, 1
EACH = timedelta(milliseconds=10)  # between two readings of a point, by their own time
POINTS = ("c0", "c1", "g0", "g1")
FRAMES_MAX = 4  # at once
BETWEEN_S = 0.004
RUN = 1e6  # of a value: which life of the edge has made it
UP_S, ALIVE_S = 1.5, 0.8
WITHIN_S = 60.0


@dataclass(frozen=True)
class Life:
    """What one life of the edge said: the first number it made, and up to which the spool had promised; -1: none."""

    first: int
    promised: int


async def measure(folder: Path) -> list[Row]:
    dice, start = random.Random(SEED), datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    lives: list[Life] = []
    async with field_hub(folder, 1) as there, there.running():
        for number in range(KILLS):
            early = dice.random() < 1 / 4  # perhaps before it has begun
            wait_s = dice.uniform(0.0, UP_S) if early else dice.uniform(0.0, ALIVE_S)
            lives.append(await _live(there, start, number, wait_s, wait_for_word=not early))
        lives.append(await _live(there, start, KILLS, WITHIN_S, wait_for_word=True, drain=True))
        lost, twice = await asyncio.to_thread(_count, there.owner, start, lives)
    made, midway = lives[-1].first, sum(life.promised >= 0 for life in lives[:-1])
    said = f"edge_kills: {made * len(POINTS):,} readings, kill -9 x {KILLS} (seed {SEED})"
    return [
        at_most(f"{said}, lost", lost, 0.5, "readings"),
        at_most(f"{said}, twice or other than read", twice, 0.5, "readings"),
        at_least("edge_kills: lives that had spooled something when they were killed", midway, KILLS / 2, "lives"),
    ]


async def _live(
    there: FieldHub, start: datetime, number: int, wait_s: float, *, wait_for_word: bool, drain: bool = False
) -> Life:
    """One life, ended by a kill after a while; ``drain``: it makes nothing and ends when all is committed."""
    broker = there.edge_broker
    asked = {
        "folder": str(there.folder), "host": broker.host, "port": broker.port, "user": broker.username,
        "word": broker.password, "start": start.isoformat(), "number": number, "drain": drain,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.edge_kills", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked).encode())
    process.stdin.close()
    heard = b""
    if wait_for_word:
        heard = await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), wait_s)
    with suppress(ProcessLookupError):
        process.kill()
    heard += await process.stdout.read()
    await process.wait()
    said = [int(word) for word in heard.split(b"\n")[:-1]]
    return Life(said[0] if said else -1, said[-1] if len(said) > 1 else -1)


def _count(owner: str, start: datetime, lives: list[Life]) -> tuple[int, int]:
    """Give how many readings are missing, and how many are there twice or not as the spool had promised."""
    makers: list[int] = []  # by number of the reading: which life has made it
    known = [(number, life) for number, life in enumerate(lives) if life.first >= 0]
    wrong = 0
    for (number, life), (_, after) in pairwise(known):
        wrong += life.promised >= after.first  # promised, and yet made again
        makers += [number] * (after.first - life.first)
    lost = 0
    points = points_of(owner)
    with psycopg.connect(owner) as connection:
        for name in POINTS:
            query = "SELECT at, value FROM samples WHERE point_id = %s ORDER BY at"
            found = {(at - start) // EACH: value for at, value in connection.execute(query, [points[f"D0.{name}"]])}
            lost += len(set(range(len(makers))) - set(found))
            wrong += sum(n >= len(makers) or value != makers[n] * RUN + n for n, value in found.items())
        ((rows,),) = connection.execute("SELECT count(*) FROM samples").fetchall()
    return lost, wrong + rows - (len(POINTS) * len(makers) - lost)


async def live(asked: dict[str, object]) -> None:
    """Be the edge."""
    start, number = datetime.fromisoformat(str(asked["start"])), int(str(asked["number"]))
    spool = Spool(Path(str(asked["folder"])) / "spool.sqlite", max_mb=64)
    config = config_of(1, 2, 2, 10_000)
    spool.follow(config.retention)
    broker = Broker(str(asked["host"]), int(str(asked["port"])), str(asked["user"]), str(asked["word"]))
    publisher = Publisher(
        config, broker, spool=spool, roster=Roster(config, spool.points()), clock=Clock(spool.newest), health=Health()
    )
    n = 0 if spool.newest is None else (spool.newest - start) // EACH + 1
    os.write(1, f"{n}\n".encode())
    edge = asyncio.create_task(publisher.run())
    dice = random.Random(number)
    while not asked["drain"]:
        frames = [_frame(start, number, n + k) for k in range(dice.randint(1, FRAMES_MAX))]
        last = await asyncio.to_thread(spool.append, frames)
        n += len(frames)
        os.write(1, f"{n - 1}\n".encode())
        publisher.fresh([Frame(f.device, f.readings, number=last - len(frames) + 1 + k) for k, f in enumerate(frames)])
        await asyncio.sleep(BETWEEN_S)
    while spool.depth():  # noqa: ASYNC110  the spool has no event for this
        await asyncio.sleep(0.05)
    edge.cancel()
    await asyncio.gather(edge, return_exceptions=True)
    spool.close()


def _frame(start: datetime, life: int, n: int) -> Frame:
    at = start + n * EACH
    return Frame("D0", tuple(Reading(f"D0.{name}", at, life * RUN + n, Quality.GOOD) for name in POINTS))


if __name__ == "__main__":
    asyncio.run(live(json.loads(sys.stdin.read())))
