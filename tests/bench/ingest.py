"""From the MQTT message to the commit, against a bare binary COPY of the same rows into the same table.

Real database, broker and hub, 40 gateways of 63 devices with a dozen points each; one limit rule per point.
"""

import asyncio
import io
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
from psycopg.conninfo import make_conninfo

from deploy.broker import Broker as EmbeddedBroker
from deploy.postgres import Postgres
from hub.assets import service as assets
from hub.store.database import Database
from hub.store.migrate import migrate
from rules.model.site import SiteFile, parse
from tests.bench.edges import Load, device_code, site_code
from tests.bench.field_hub import HUB_PASSWORD, FieldHub
from tests.bench.row import Row, at_least
from tests.builders import ENGINEER

SITES, GATEWAYS, DEVICES, POINTS, ROUNDS = 4, 10, 63, 12, 20
WORKERS = 2
SHARE, AIM, RATE = 0.20, 0.35, 30_000.0
COPY_ROWS = 10_000  # per commit of the bare COPY
PATIENCE_S = 300.0
RULE = """  - code: bench-{n}
    version: 1
    valid_from: 2020-01-01
    name_zh: x
    name_en: Limit {n}
    priority: low
    condition: {{kind: limit, measure: m{n}, above: 1000000000}}
    cause_zh: x
    cause_en: x
    advice_zh: x
    advice_en: x
"""


@dataclass
class Ground:
    """A registered park of many gateways; its hubs run when asked to."""

    there: FieldHub
    sites: int
    gateways: int
    devices: int

    @property
    def rules(self) -> Path:
        path = self.there.folder / "bench.rules.yaml"
        path.write_text("rules:\n" + "".join(RULE.format(n=n) for n in range(POINTS)), "utf-8")
        return path

    @asynccontextmanager
    async def hub(self, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A hub process."""
        words = ["-m", "deploy", "hub", "run", "--data", str(self.there.folder), "--rules", str(self.rules), *more]
        with (self.there.folder / "hub.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, env=self.there.environment(), stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    def load(self, rounds: int, **more: object) -> Load:
        broker = self.there.broker
        begin_ms = int(datetime.now(UTC).timestamp() - rounds) * 1000
        shape = {"begin_ms": begin_ms, "step_ms": 1000} | more
        return Load(
            broker.host, broker.port, broker.username, broker.password,
            self.sites, self.gateways, self.devices, POINTS, rounds, **shape,  # type: ignore[arg-type]
        )  # fmt: skip

    @asynccontextmanager
    async def edges(self, load: Load) -> AsyncIterator["Edges"]:
        """The gateways of a load, connected and born; they send when told to."""
        path = self.there.folder / f"load-{load.begin_ms}.json"
        await asyncio.to_thread(load.write, path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.edges", str(path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Edges(process, load)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def points_known(self, points: int) -> None:
        """Wait until the births are in the database."""
        async with await psycopg.AsyncConnection.connect(self.there.owner, autocommit=True) as database:
            async with asyncio.timeout(PATIENCE_S):
                while (await _first(database, "SELECT count(*) FROM points")) < points:  # noqa: ASYNC110  another process
                    await asyncio.sleep(0.2)

    async def workers(self, many: int) -> None:
        """Wait until so many share the sites."""
        async with await psycopg.AsyncConnection.connect(self.there.owner, autocommit=True) as database:
            async with asyncio.timeout(PATIENCE_S):
                while await _first(database, WORKERS_LIVE) < many:  # noqa: ASYNC110  other processes
                    await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLE_S)


WORKERS_LIVE = """
SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND objid < 257
    AND classid = (hashtext('plantroom.shards')::bigint & 4294967295)::oid
"""
SETTLE_S = 2.0


async def _first(database: psycopg.AsyncConnection, query: str) -> int:
    found = await (await database.execute(query.encode())).fetchone()
    return int(found[0]) if found else 0


@dataclass(frozen=True)
class Edges:
    """A process that is all gateways."""

    process: asyncio.subprocess.Process
    load: Load

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    async def done(self) -> dict[str, float]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            said: dict[str, float] = json.loads(await self.process.stdout.readline())
        return said

    async def all_of_it(self) -> dict[str, float]:
        self.go()
        return await self.done()


@asynccontextmanager
async def ground(
    folder: Path, sites: int = SITES, gateways: int = GATEWAYS, devices: int = DEVICES
) -> AsyncIterator[Ground]:
    """Database and broker, and the sites registered."""
    server, broker = Postgres(folder / "postgres"), EmbeddedBroker(folder / "broker")
    server.start()
    broker.start()
    try:
        migrate(server.dsn, HUB_PASSWORD)
        hub = make_conninfo(server.dsn, user="plantroom_hub", password=HUB_PASSWORD)
        made = Ground(FieldHub(server.dsn, hub, broker, folder), sites, gateways, devices)
        await _register(made)
        yield made
    finally:
        broker.stop()
        server.stop()


async def _register(made: Ground) -> None:
    database = Database(made.there.hub)
    await database.open()
    for site in range(made.sites):
        file = site_of(site, made.gateways, made.devices)
        organisation = assets.open_organisation(made.there.owner, file.organisation)
        async with database.transaction(organisation, ENGINEER) as tx:
            await assets.register(tx, file)
    await database.close()


def site_of(site: int, gateways: int, devices: int) -> SiteFile:
    names = {"name_zh": "x", "name_en": "X"}
    line = {"driver": "modbus", "host": "127.0.0.1", "poll_s": 60}
    return parse(
        {
            "organisation": {"code": "BENCH", **names},
            "site": {"code": site_code(site), **names, "timezone": "Asia/Shanghai", "currency": "CNY"},
            "building": [{"code": f"A{site}", **names, "floors": []}],
            "gateway": [{"code": f"GW-{n}"} for n in range(gateways)],
            "line": [{**line, "code": f"L{n}", "gateway": f"GW-{n}", "port": 502 + n} for n in range(gateways)],
            "device": [
                {
                    "code": device_code(site, gateway, device), **names, "line": f"L{gateway}", "address": device + 1,
                    "profile": "bench", "role": "plant", "space": f"A{site}",
                }
                for gateway in range(gateways)
                for device in range(devices)
            ],
        }
    )  # fmt: skip


def bare_copy(owner: str) -> float:
    """Give the rows/s of a binary COPY of the rows that are stored, in the order of time, into the same table."""
    with psycopg.connect(owner) as connection:
        buffers = _buffers(connection)
        connection.execute("TRUNCATE samples")
        connection.commit()
        rows, begun_s = 0, time.monotonic()
        for count, data in buffers:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.write(data)
            connection.commit()
            rows += count
        return rows / (time.monotonic() - begun_s)


COPY = "COPY samples (point_id, at, value, quality) FROM STDIN (FORMAT binary)"
HEAD_BYTES, TRAIL_BYTES = 19, 2


def _buffers(connection: psycopg.Connection) -> list[tuple[int, bytes]]:
    """The rows as they lie in the table, cut into what one commit takes."""
    whole = io.BytesIO()
    query = "COPY (SELECT point_id, at, value, quality FROM samples ORDER BY at, point_id) TO STDOUT (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for piece in copy:
            whole.write(piece)
    row = np.dtype((np.void, 2 + 4 * 4 + 8 + 8 + 8 + 2))  # every value is there
    data = whole.getvalue()
    head, body = data[:HEAD_BYTES], np.frombuffer(data[HEAD_BYTES:-TRAIL_BYTES], row)
    parts = [body[start : start + COPY_ROWS] for start in range(0, len(body), COPY_ROWS)]
    return [(len(part), head + part.tobytes() + data[-TRAIL_BYTES:]) for part in parts]


async def measure(folder: Path) -> list[Row]:
    async with ground(folder) as made:
        load = made.load(ROUNDS)
        async with made.hub("--workers", str(WORKERS)), made.edges(load) as edges:
            await made.points_known(SITES * GATEWAYS * DEVICES * POINTS)
            await made.workers(WORKERS)
            said = await edges.all_of_it()
        rate = said["readings"] / said["took_s"]
        _check(made.there.owner, load.readings)
        bare = await asyncio.to_thread(bare_copy, made.there.owner)
    name = f"ingest: {load.readings:,} readings of {POINTS} a message, MQTT to commit"
    return [
        at_least(f"{name} ({said['births']:.0f} births, {said['resent']:.0f} sent again)", rate, RATE, "readings/s"),
        Row(
            f"{name}, against a bare binary COPY", round(rate), round(bare), "readings/s",
            f">= {SHARE} of {bare:,.0f} rows/s (aim {AIM})", rate >= SHARE * bare,
        ),
    ]  # fmt: skip


def _check(owner: str, readings: int) -> None:
    with psycopg.connect(owner) as connection:
        for query, expected in (
            ("SELECT count(*) FROM samples", readings),
            ("SELECT count(*) FROM latest l JOIN samples s USING (point_id, at) WHERE s.value = l.value", None),
            ("SELECT count(*) FROM alarm_states WHERE rule LIKE 'bench-%'", None),
        ):
            ((found,),) = connection.execute(query).fetchall()  # type: ignore[arg-type]
            assert found == (expected or SITES * GATEWAYS * DEVICES * POINTS), f"{query}: {found}"
