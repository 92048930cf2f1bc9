"""Full disks, clocks set back, rivals, servers that are away, and kill -9 in a row: nothing is lost, nothing twice."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from psycopg.conninfo import make_conninfo

from deploy.broker import Broker as EmbeddedBroker
from deploy.postgres import Postgres
from edge_agent import agent, births
from edge_agent.clock import Clock
from edge_agent.config import load
from edge_agent.frame import Frame
from edge_agent.link import Broker
from edge_agent.spool import Spool, SpoolFullError
from hub import main
from hub.assets import service as assets
from hub.main import HubSettings, run
from hub.store.database import Database
from hub.store.migrate import migrate
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.wire.topics import Verb
from simulators.link import Link
from tests.builders import ENGINEER, RIVERSIDE, Dsns, Park, register_park, site_file
from tests.builders_wire import PretendEdge
from tests.conftest import HUB_PASSWORD, PostgresForTests
from tests.field import Meter, free_port, serving, site_text, write_site

pytestmark = pytest.mark.fault
HOUSE = Path(__file__).parents[2]
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def holds(true: Callable[[], bool], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110  what is waited for lives in other processes
            await asyncio.sleep(0.05)


def asked(dsns: Dsns, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsns.owner) as connection:
        return connection.execute(query.encode()).fetchall()


@asynccontextmanager
async def hub_of(dsns: Dsns, broker: EmbeddedBroker) -> AsyncIterator[None]:
    task = asyncio.create_task(run(HubSettings(dsns.hub, broker.host, broker.port, broker.username, broker.password)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# ---------------------------------------------------------------- full disks


@pytest.fixture
def small_disk(open_directory: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A tmpfs of the wanted size (MB); only root may mount one."""
    folder = open_directory / f"disk-{time.monotonic_ns()}"
    folder.mkdir(mode=0o711)
    size = f"size={request.param}m,mode=711"
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    filler = folder / "filler"
    left = os.statvfs(folder)
    size = left.f_bavail * left.f_frsize - leave_bytes
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return filler


def frame(number: int) -> Frame:
    return Frame(
        "D", tuple(Reading(f"D.m{n}", START + timedelta(seconds=number), 1.5, Quality.GOOD) for n in range(99))
    )


@pytest.mark.parametrize("small_disk", [3], indirect=True)
def test_a_spool_on_a_full_disk_refuses_keeps_what_it_has_and_goes_on_when_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk / "spool.sqlite"
    spool = Spool(path, max_mb=64)
    taken = [spool.append([frame(1)])]
    filler = fill(small_disk, 400_000)
    with suppress(SpoolFullError):
        while len(taken) < 5_000:
            taken.append(spool.append([frame(len(taken) + 1)]))
    for _ in range(20):
        with pytest.raises(SpoolFullError, match=r"takes no new readings: .* frames wait for the hub"):
            spool.append([frame(9_999)])
    assert 1 < len(taken) < 5_000
    assert spool.refused == 21
    assert sum("takes no new readings" in record.message for record in caplog.records) == 1
    spool.commit(1)  # on a full disk too
    filler.unlink()
    taken.append(spool.append([frame(6_000)]))
    assert "has room again" in caplog.text
    assert taken == list(range(1, len(taken) + 1))
    spool.close()
    again = Spool(path, max_mb=64)
    assert [one.number for one in again.pending(1, 1_000)] == taken[1:]
    assert again.last_number == taken[-1]
    again.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def ensure_up(server: Postgres) -> None:
    """What the supervisor of the demo does with a server that has ended."""
    if server.child is not None and not server.child.alive():
        server.spawn()


@pytest.mark.parametrize("small_disk", [160], indirect=True)
async def test_a_database_on_a_full_disk_delays_but_loses_and_doubles_nothing(
    small_disk: Path, broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    server = Postgres(small_disk / "postgres")
    server.start()
    try:
        migrate(server.dsn, HUB_PASSWORD)
        dsns = Dsns(server.dsn, make_conninfo(server.dsn, user="plantroom_hub", password=HUB_PASSWORD))
        database = Database(dsns.hub)
        await database.open()
        await register_park(database, dsns, site_file())
        await database.close()
        edge, began = PretendEdge(), datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
        births = edge.births()
        sent = [
            edge.data("EM-A-MAIN", [("energy", began + timedelta(seconds=200 * n + s), n + s) for s in range(200)])
            for n in range(400)
        ]
        async with hub_of(dsns, broker), wire(broker) as client:
            publish(client, *births)
            filler = fill(small_disk, 1_000_000)
            publish(client, *sent)
            await holds(lambda: "disk is full" in caplog.text)
            await asyncio.sleep(1)
            filler.unlink()
            ensure_up(server)
            async with asyncio.timeout(30):
                while True:
                    ensure_up(server)
                    try:
                        if asked(dsns, "SELECT committed FROM gateways") == [(len(sent),)]:
                            break
                    except psycopg.OperationalError:
                        pass
                    await asyncio.sleep(0.2)
        assert asked(dsns, "SELECT count(*), count(DISTINCT at) FROM samples") == [(80_000, 80_000)]
        said = [record.message for record in caplog.records if "nothing is stored or acknowledged" in record.message]
        assert len(said) == len(set(said))  # each cause once: a full disk may take the server down before it is told
        assert any("The database's disk is full; free space there." in one for one in said)
    finally:
        server.stop()


@asynccontextmanager
async def wire(broker: EmbeddedBroker) -> AsyncIterator[Client]:
    """A client that is connected when a hub listens."""
    client = Client(CallbackAPIVersion.VERSION2, "test-hard-times", protocol=MQTTProtocolVersion.MQTTv5)
    client.username, client.password = broker.username, broker.password
    online, loop = asyncio.Event(), asyncio.get_running_loop()

    def hear(_client: Client, _data: Any, message: Any) -> None:
        if b'"online": true' in message.payload:
            loop.call_soon_threadsafe(online.set)

    client.on_message = hear
    client.connect(broker.host, broker.port)
    client.subscribe("spBv1.0/STATE/#", qos=1)
    client.loop_start()
    try:
        await asyncio.wait_for(online.wait(), 20)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def publish(client: Client, *messages: Any) -> None:
    for one in messages:
        client.publish(one.topic, one.payload, qos=1)


# ---------------------------------------------------------------- servers that are away


async def test_a_hub_waits_for_its_database_and_its_broker_says_so_once_and_then_works(
    park: Park, postgres: PostgresForTests, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    database_port, broker_port = free_port(), free_port()
    settings = {
        "PLANTROOM_DATABASE_DSN": make_conninfo(park.dsns.hub, port=database_port),
        "PLANTROOM_BROKER_ADDRESS": f"127.0.0.1:{broker_port}",
        "PLANTROOM_BROKER_USERNAME": broker.username,
        "PLANTROOM_BROKER_PASSWORD": broker.password,
    }
    log = tmp_path / "hub.log"

    def waits(word: str) -> bool:
        return word in log.read_text()

    with program(log, "hub", "run", "--data", str(tmp_path), settings=settings) as hub:
        await holds(lambda: waits("waiting until it answers"))
        await asyncio.sleep(1.5)
        async with Link(postgres.server.port, listen_port=database_port):
            await holds(lambda: waits("cannot be reached (Connection refused)"))
            async with Link(broker.port, listen_port=broker_port), wire(broker) as client:
                edge, began = PretendEdge(), datetime.now(UTC).replace(microsecond=0)
                publish(client, *edge.births(), edge.data("EM-A-MAIN", [("energy", began, 1.0)]))
                await holds(lambda: asked(park.dsns, "SELECT count(*) FROM samples") == [(1,)])
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(5) == 0
    said = log.read_text()
    assert said.count("the database cannot be reached") == 1
    assert said.count("cannot be reached (Connection refused)") == 1
    assert "Traceback" not in said
    assert HUB_PASSWORD not in said


@contextmanager
def program(log: Path, *words: str, settings: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """``plantroom`` as a process of its own; killed at the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=HOUSE,
            env=environment | settings,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------- kill -9 in a row


@dataclass(frozen=True)
class History:
    """A logger file of some devices, and what it holds."""

    path: Path
    rows: int
    total: float


def write_history(folder: Path, file: Any) -> History:
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=15 * QUARTERS)
    lines, total, path = ["device,measure,at,value"], 0.0, folder / "history.csv"
    meters = [device for device in file.device if device.profile.startswith("rs-em")]
    for index, device in enumerate(meters):
        for quarter in range(QUARTERS):
            at = began + timedelta(minutes=15 * quarter)
            lines.append(f"{device.code},energy,{at.isoformat()},{index * 1_000 + quarter / 10:.1f}")
            total += index * 1_000 + quarter / 10
    path.write_text("\n".join([*lines, ""]), "utf-8")
    return History(path, len(lines) - 1, total)


@pytest.mark.parametrize("seed", [1])
async def test_kill_9_of_edge_and_hub_again_and_again_while_history_travels(
    park: Park, broker: EmbeddedBroker, tmp_path: Path, seed: int
) -> None:
    dice, history, log = random.Random(seed), write_history(tmp_path, park.file), tmp_path / "log"
    settings = {
        "PLANTROOM_DATABASE_DSN": park.dsns.hub,
        "PLANTROOM_BROKER_ADDRESS": f"{broker.host}:{broker.port}",
        "PLANTROOM_BROKER_USERNAME": broker.username,
        "PLANTROOM_BROKER_PASSWORD": broker.password,
    }
    lines = {
        "edge": ["edge", "run", str(RIVERSIDE), "--backfill", str(history.path), "--data", str(tmp_path)],
        "hub": ["hub", "run", "--data", str(tmp_path)],
    }
    seen = []
    with program(log, *lines["edge"], settings=settings):  # its end is a kill -9
        await asyncio.sleep(dice.uniform(0.6, 2.0))  # while it spools the history, more or less
    with program(log, *lines["hub"], settings=settings):
        for _ in range(EDGE_KILLS):
            with program(log, *lines["edge"], settings=settings):
                await more(park.dsns, dice, history.rows)
            seen.append(asked(park.dsns, ARRIVED)[0][0])
    with program(log, *lines["edge"], settings=settings):
        for _ in range(HUB_KILLS):
            with program(log, *lines["hub"], settings=settings):
                await more(park.dsns, dice, history.rows)
            seen.append(asked(park.dsns, ARRIVED)[0][0])
    assert 0 < seen[0] < history.rows  # killed on the way, not before and not after
    with program(log, *lines["hub"], settings=settings), program(log, *lines["edge"], settings=settings):
        await holds(lambda: asked(park.dsns, ARRIVED)[0][0] >= history.rows, 60)
    counted, total = asked(park.dsns, ARRIVED)[0]
    assert (counted, round(total, 1)) == (history.rows, round(history.total, 1))
    with closing(sqlite3.connect(tmp_path / "edge" / "edge-GW-1.sqlite")) as spool:
        assert spool.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert spool.execute("SELECT count(*) FROM imports").fetchall() == [(1,)]
    assert "Traceback" not in log.read_text()


async def more(dsns: Dsns, dice: random.Random, rows: int) -> None:
    """Wait until more of the history has arrived (or all), and a moment longer."""
    before = asked(dsns, ARRIVED)[0][0]
    await holds(lambda: asked(dsns, ARRIVED)[0][0] > min(before, rows - 1))
    await asyncio.sleep(dice.uniform(0.0, 0.1))


EDGE_KILLS, HUB_KILLS, QUARTERS = 2, 2, 2_000
ARRIVED = """SELECT count(*), sum(value) FROM samples s JOIN points p ON p.id = s.point_id
WHERE measure = 'energy' AND value IS NOT NULL"""


# ---------------------------------------------------------------- two edges with one name


async def test_two_edges_with_one_name_are_told_apart_and_the_first_loses_nothing(
    database: Database, dsns: Dsns, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    ports = [free_port(), free_port()]
    meters = [Meter(1, {0: 0}, ticking=True), Meter(1, {0: 100}, ticking=True)]  # the second counts from 65,536.00 on
    configs = [load(write_site(f, site_text(p))) for f, p in zip(folders, ports, strict=True)]
    file = site_file(folders[0] / "site.toml")
    organisation = assets.open_organisation(dsns.owner, file.organisation)
    async with database.transaction(organisation, ENGINEER) as tx:
        await assets.register(tx, file)
    place = Broker(broker.host, broker.port, broker.username, broker.password)

    def energies() -> list[float]:
        return [
            round(100 * value)
            for (value,) in asked(dsns, f"{VALUES} AND measure = 'energy' AND value IS NOT NULL ORDER BY at")
        ]

    async with hub_of(dsns, broker), serving(ports[0], meters[0]), serving(ports[1], meters[1]):
        first = asyncio.create_task(agent.run(configs[0], place, folders[0]))
        await holds(lambda: len(energies()) >= 3)
        second = asyncio.create_task(agent.run(configs[1], place, folders[1]))
        await holds(lambda: asked(dsns, "SELECT rival_spool <> '' FROM gateways") == [(True,)])
        await asyncio.sleep(2)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        stood = meters[0].registers[1]
        await holds(lambda: bool(energies()) and energies()[-1] > stood, 60)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    counts = energies()
    assert counts == list(range(counts[0], counts[0] + len(counts)))  # every answer of the first, none of the second
    [(spool, rival)] = asked(dsns, "SELECT spool, rival_spool FROM gateways")
    identities = []
    for folder in folders:
        with closing(sqlite3.connect(folder / "edge-GW-1.sqlite")) as kept:
            identities += [value for (value,) in kept.execute("SELECT value FROM meta WHERE name = 'identity'")]
    assert [spool, rival] == identities
    said = asked(dsns, "SELECT reason FROM quarantine")
    assert any("Two edges use the name GW-1" in reason for (reason,) in said)


VALUES = "SELECT value FROM samples s JOIN points p ON p.id = s.point_id WHERE true"


# ---------------------------------------------------------------- a clock set back


async def test_a_clock_set_back_by_an_hour_costs_no_reading_and_is_shown(
    park: Park, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge keeps its order, the hub is an hour behind it; both on one computer."""
    step = timedelta(0)
    wall = main.clock
    monkeypatch.setattr(main, "clock", lambda: wall() + step)
    clock = Clock(wall=lambda: wall() + step)
    edge, moments = PretendEdge(), []

    def reading() -> Any:
        moments.append(clock.now())
        return edge.data("EM-A-MAIN", [("energy", moments[-1], float(len(moments)))])

    async with hub_of(park.dsns, broker), wire(broker) as client:
        publish(client, *edge.births())
        for _ in range(5):
            publish(client, reading())
            await asyncio.sleep(0.02)
        await holds(lambda: asked(park.dsns, "SELECT committed FROM gateways") == [(5,)])
        step = -timedelta(hours=1)
        for _ in range(5):
            publish(client, reading())
            await asyncio.sleep(0.02)
        publish(client, edge.message(Verb.NDATA, births.node_data(clock.now(), depth=0, clock_step_ms=stepped(clock))))
        await holds(lambda: asked(park.dsns, "SELECT committed, clock_step_ms <> 0 FROM gateways") == [(10, True)])
    assert moments == sorted(set(moments))
    assert asked(park.dsns, "SELECT at, value FROM samples ORDER BY at") == [(at, n) for n, at in enumerate(moments, 1)]
    assert asked(park.dsns, "SELECT value FROM latest") == [(10.0,)]
    assert asked(park.dsns, "SELECT round(clock_step_ms / 1000.0) FROM gateways") == [(-3600,)]
    said = [reason for (reason,) in asked(park.dsns, "SELECT reason FROM quarantine")]
    assert all("min ahead of the hub's; its readings are stored as it dates them" in reason for reason in said)


def stepped(clock: Clock) -> int:
    return round(clock.take_step().total_seconds() * 1000)


# ---------------------------------------------------------------- the demo, stopped at awkward moments


@pytest.mark.parametrize("moment", ["history.csv", "edge/edge-GW-1.sqlite"])
def test_a_demo_that_is_told_to_stop_while_it_starts_leaves_no_process(
    tmp_path: Path, open_directory: Path, moment: str
) -> None:
    data = open_directory / f"demo-{moment.replace('/', '-')}"
    data.mkdir(mode=0o711)
    with program(tmp_path / "log", "demo", "--headless", "--data", str(data), settings={}) as demo:
        until_s = time.monotonic() + 60
        while not (data / moment).exists():
            assert time.monotonic() < until_s
            assert demo.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        if "sqlite" in moment:
            second = tmp_path / "second"
            with program(second, "demo", "--headless", "--data", str(data), settings={}) as other:
                assert other.wait(20) == 1
            assert f"Another Plantroom runs with the data directory {data}: stop it" in second.read_text()
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(20) == 0
    assert children
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert "Traceback" not in (tmp_path / "log").read_text()
    server = Postgres(data / "postgres")
    server.start()
    try:
        with closing(psycopg.connect(server.dsn)) as connection:
            assert connection.execute("SELECT count(*) FROM sites").fetchall() == [(1,)]
    finally:
        server.stop()
