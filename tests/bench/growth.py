"""How the program grows: what one server takes, what a replica gives, what a broker carries.

Everything runs on this machine at once, so the figures are lower bounds; the ratios are what counts.  A replica on a
machine of its own leaves the primary to its writers altogether.
"""

import asyncio
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.conninfo import make_conninfo

from deploy.broker import Broker
from deploy.postgres import Postgres
from hub.ingest import storage
from hub.ingest.samples import Columns, micros
from hub.jobs import rollups
from hub.readings import service as readings
from hub.store.database import SYSTEM, Database, Role
from hub.store.migrate import migrate
from hub.store.replica import LAG_MOST_S, REPLAYED, WRITTEN
from rules.model.period import Period
from tests.bench.row import Row, at_least, at_most, percentile
from tests.builders import ENGINEER, Dsns, Park, register_park, site_file
from tests.field import HOST, free_port
from tests.standby import Standby

PASSWORD = "only for benches"
POINTS, BATCH, BATCHES = 1_000, 5_000, 60  # a batch: five samples, a minute apart, of every point
CHARTS = 100
START = datetime(2026, 3, 2, tzinfo=UTC)
CHART = Period(START, START + timedelta(hours=5))
STORED_LEAST, CHART_RATIO, BYTES_MOST = 1_000.0, 2.0, 400.0
MESSAGES, PAYLOAD_BYTES, FRAME = 10_000, 600, 20  # a frame of twenty readings
NEEDED_READINGS = 10_000  # a second; both ends are clients in Python, which carry less than the broker between them
FILL = f"""
INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution)
SELECT organisation_id, site_id, device_id, 'X-' || n, 'x', 'gauge', 'kW', 0.1
FROM generate_series(1, {POINTS}) n, (SELECT * FROM points LIMIT 1) p RETURNING id
"""


@dataclass(frozen=True)
class Bed:
    """A primary with a park of POINTS points, its standby, and a pool of both."""

    owner: str
    standby: Standby
    database: Database
    park: Park
    points: np.ndarray


@asynccontextmanager
async def bed(folder: Path) -> AsyncIterator[Bed]:
    server = Postgres(folder / "primary")
    server.start()
    try:
        owner = make_conninfo(server.dsn, options="-c search_path=public")
        migrate(owner, PASSWORD)
        hub = make_conninfo(owner, user="plantroom_hub", password=PASSWORD, options="")
        database = Database(hub)
        await database.open()
        park = await register_park(database, Dsns(owner, hub), site_file())
        await database.close()
        with psycopg.connect(owner) as connection:
            points = np.array(sorted(key for (key,) in connection.execute(FILL.encode())), np.int64)
        standby = Standby(folder / "standby", server.dsn)
        try:
            standby.start()
            both = Database(hub, replica_dsn=make_conninfo(standby.dsn, user="plantroom_hub", password=PASSWORD))
            await both.open()
            try:
                yield Bed(owner, standby, both, park, points)
            finally:
                await both.close()
        finally:
            standby.stop()
    finally:
        server.stop()


async def measure(folder: Path) -> list[Row]:
    async with bed(folder) as found:
        stored, idle_lags = await _ingest(found)
        await rollups.rebuild(found.database)
        rows = [
            at_least(
                "one server: readings stored, latest moved, hours marked, by one writer", stored, STORED_LEAST, "/s"
            ),
            at_most("one server: bytes of the primary per reading", _bytes(found), BYTES_MOST, "B"),
            at_most("replica: lag behind a commit, p95", percentile(idle_lags, 0.95) * 1000, LAG_MOST_S * 1000, "ms"),
            *await _charts(found),
        ]
    return [*rows, *await asyncio.to_thread(_brokers, folder)]


async def _ingest(found: Bed) -> tuple[float, list[float]]:
    """Give readings a second, and how long each batch took to appear on the replica (s)."""
    took, lags, weeks = 0.0, [], set[datetime]()
    with psycopg.connect(found.owner, autocommit=True) as primary, psycopg.connect(
        found.standby.dsn, autocommit=True
    ) as standby:  # fmt: skip
        for n in range(BATCHES):
            begun = time.perf_counter()
            await _store(found, n, weeks)
            took += time.perf_counter() - begun
            lags.append(_until_replayed(primary, standby))
    return BATCH * BATCHES / took, lags


async def _store(found: Bed, n: int, weeks: set[datetime]) -> None:
    at = np.array([micros(START + timedelta(minutes=5 * n + k)) for k in range(5)], np.int64)
    shape = len(found.points) * len(at)
    samples = Columns(
        np.repeat(found.points, len(at)),
        np.tile(at, len(found.points)),
        np.arange(shape, dtype=np.float64),
        np.full(shape, 192, np.int16),
        np.ones(shape, bool),
    )
    weeks |= await storage.make_weeks(found.database, samples, weeks)
    async with found.database.transaction(None, SYSTEM, Role.INGEST) as tx:
        await storage.store(tx, samples)
        await storage.move_latest(tx, samples)
        await storage.mark_dirty(tx, samples)


def _until_replayed(primary: psycopg.Connection, standby: psycopg.Connection) -> float:
    begun = time.perf_counter()
    written = (primary.execute(WRITTEN).fetchone() or (0,))[0]
    while (standby.execute(REPLAYED).fetchone() or (True, 0))[1] < written:
        time.sleep(0.001)
    return time.perf_counter() - begun


def _bytes(found: Bed) -> float:
    with psycopg.connect(found.owner) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(relid)) FROM (SELECT relid FROM pg_partition_tree('samples') "
            "UNION ALL SELECT 'hourly'::regclass UNION ALL SELECT 'latest'::regclass) t"
        ).fetchone()
    assert row is not None
    return float(row[0]) / (BATCH * BATCHES)


async def _charts(found: Bed) -> list[Row]:
    """A chart of some hours on either server, at rest and while a writer is at work."""
    assert found.database.replica is not None
    while not found.database.replica.usable:  # noqa: ASYNC110  it is looked at once a second
        await asyncio.sleep(0.1)
    idle = await _both(found)
    weeks: set[datetime] = set()
    batches = iter(range(BATCHES, 20 * BATCHES))

    async def write() -> None:
        for n in batches:
            await _store(found, n, weeks)

    writer = asyncio.create_task(write())
    busy = await _both(found)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    rows = []
    for when, (primary, replica) in (("at rest", idle), ("under a writer", busy)):
        name = (
            f"chart of a point {when}: replica {replica:.1f} ms, primary {primary:.1f} ms, medians; replica / primary"
        )
        rows.append(at_most(name, replica / primary, CHART_RATIO, "x"))
    return rows


async def _both(found: Bed) -> tuple[float, float]:
    """Give the median times of a chart (ms) on the primary and on the replica, asked in turns."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for n in range(CHARTS):
        for near in (True, False):
            opened = found.database.reading if near else found.database.transaction
            begun = time.perf_counter()
            async with opened(found.park.organisation, ENGINEER) as tx:
                point = await readings.point(tx, f"X-{n % POINTS + 1}")
                assert await readings.chart(tx, point, CHART)
            took[near].append((time.perf_counter() - begun) * 1000)
    return statistics.median(took[False]), statistics.median(took[True])


def _brokers(folder: Path) -> list[Row]:
    """Messages a second through a broker, from one client to another, each acknowledged (QoS 1)."""
    needed = NEEDED_READINGS / FRAME
    own = Broker(folder / "broker")
    own.start()
    try:
        carried = _through(own.host, own.port, own.username, own.password)
    finally:
        own.stop()
    rows = [at_least("embedded broker: messages of twenty readings", carried, needed, "/s")]
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is not None:
        port = free_port()
        settings = folder / "mosquitto.conf"
        settings.write_text(f"listener {port} {HOST}\nallow_anonymous true\nmax_queued_messages 0\n")
        process = subprocess.Popen([program, "-c", settings], stderr=subprocess.DEVNULL)
        try:
            carried = _through(HOST, port)
        finally:
            process.terminate()
            process.wait(10)
        rows.append(at_least("Mosquitto: messages of twenty readings", carried, needed, "/s"))
    return rows


def _through(host: str, port: int, username: str = "", password: str = "") -> float:
    """Give the messages a second from another process to this one."""
    arrived, ready, heard = threading.Event(), threading.Event(), [0.0, 0.0]

    def count(_client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        heard[0] += 1
        heard[1] = heard[1] or time.perf_counter()  # the first
        if heard[0] == MESSAGES:
            arrived.set()

    hearer = _client(username, password)
    hearer.on_message = count
    hearer.on_connect = lambda client, *_: client.subscribe("spBv1.0/#", 1)
    hearer.on_subscribe = lambda *_: ready.set()
    _connect(hearer, host, port)
    hearer.loop_start()
    assert ready.wait(30)
    sender = get_context("spawn").Process(target=_send, args=(host, port, username, password))
    sender.start()
    assert arrived.wait(120), heard
    took = time.perf_counter() - heard[1]
    sender.join(30)
    hearer.disconnect()
    hearer.loop_stop()
    return (MESSAGES - 1) / took


def _send(host: str, port: int, username: str, password: str) -> None:
    sender = _client(username, password)
    _connect(sender, host, port)
    sender.loop_start()
    for _ in range(MESSAGES):
        sent = sender.publish("spBv1.0/BENCH/DDATA/GW/D", bytes(PAYLOAD_BYTES), 1)
    sent.wait_for_publish(120)
    sender.disconnect()
    sender.loop_stop()


def _client(username: str, password: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(500)
    client.username_pw_set(username or None, password or None)
    return client


def _connect(client: mqtt.Client, host: str, port: int) -> None:
    for _ in range(100):
        try:
            client.connect(host, port)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no broker at {port}")
