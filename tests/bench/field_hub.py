"""A hub in a process of its own, with its database and broker, and a gateway of many points that needs no devices."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.broker import Broker as EmbeddedBroker
from deploy.postgres import Postgres
from drivers.driver import Asked, Device
from drivers.modbus.profile import ModbusProfile
from edge_agent.config import EdgeConfig, PolledLine
from edge_agent.link import Broker
from hub.assets import service as assets
from hub.store.database import Database
from hub.store.migrate import migrate
from rules.model.line import ModbusLine
from rules.model.point import Kind, Point
from rules.model.site import SiteFile, parse
from tests.builders import ENGINEER

HUB_PASSWORD = "only for benches"
SITE, GATEWAY = "BENCH", "GW-1"


@dataclass(frozen=True)
class FieldHub:
    """Where everything is."""

    owner: str
    hub: str
    broker: EmbeddedBroker
    folder: Path

    @property
    def edge_broker(self) -> Broker:
        return Broker(self.broker.host, self.broker.port, self.broker.username, self.broker.password)

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
        return clean | {
            "PLANTROOM_DATABASE_DSN": self.hub,
            "PLANTROOM_BROKER_ADDRESS": f"{self.broker.host}:{self.broker.port}",
            "PLANTROOM_BROKER_USERNAME": self.broker.username,
            "PLANTROOM_BROKER_PASSWORD": self.broker.password,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The hub itself."""
        words = ["-m", "deploy", "hub", "run", "--data", str(self.folder)]
        with (self.folder / "hub.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, env=self.environment(), stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def field_hub(folder: Path, devices: int) -> AsyncIterator[FieldHub]:
    """Start database and broker, and register a site with one gateway."""
    server, broker = Postgres(folder / "postgres"), EmbeddedBroker(folder / "broker")
    server.start()
    broker.start()
    try:
        migrate(server.dsn, HUB_PASSWORD)
        there = FieldHub(
            server.dsn, make_conninfo(server.dsn, user="plantroom_hub", password=HUB_PASSWORD), broker, folder
        )
        await _register(there, devices)
        yield there
    finally:
        broker.stop()
        server.stop()


async def _register(there: FieldHub, devices: int) -> UUID:
    file = site_of(devices)
    organisation = assets.open_organisation(there.owner, file.organisation)
    database = Database(there.hub)
    await database.open()
    async with database.transaction(organisation, ENGINEER) as tx:
        await assets.register(tx, file)
    await database.close()
    return organisation


def site_of(devices: int) -> SiteFile:
    names = {"name_zh": "x", "name_en": "X"}
    line = {"driver": "modbus", "code": "L", "gateway": GATEWAY, "host": "127.0.0.1", "port": 502, "poll_s": 60}
    return parse(
        {
            "organisation": {"code": "BENCH", **names},
            "site": {"code": SITE, **names, "timezone": "Asia/Shanghai", "currency": "CNY"},
            "building": [{"code": "A", **names, "floors": []}],
            "gateway": [{"code": GATEWAY}],
            "line": [line],
            "device": [
                {
                    "code": f"D{n}",
                    **names,
                    "line": "L",
                    "address": n + 1,
                    "profile": "bench",
                    "role": "plant",
                    "space": "A",
                }
                for n in range(devices)
            ],
        }
    )


def config_of(devices: int, counters: int, gauges: int, backfill_per_s: int) -> EdgeConfig:
    """A gateway whose devices have so many points each."""
    kinds = [(f"c{n}", Kind.COUNTER) for n in range(counters)] + [(f"g{n}", Kind.GAUGE) for n in range(gauges)]
    measure = {"name": "g0", "kind": "gauge", "unit": "kWh", "address": 0, "encoding": "uint32", "resolution": 0.1}
    profile = ModbusProfile.model_validate(
        {"code": "bench", "title": "Bench", "table": "holding", "measure": [measure]}
    )
    polled = tuple(
        Device(
            f"D{n}", str(n + 1), profile,
            tuple(
                Asked(Point(f"D{n}.{name}", f"D{n}", name, kind, "kWh", Decimal("0.125")), name) for name, kind in kinds
            ),
        )
        for n in range(devices)
    )  # fmt: skip
    line = ModbusLine(driver="modbus", code="L", gateway=GATEWAY, host="127.0.0.1", port=502, poll_s=60, timeout_s=2)
    lines = (PolledLine(line, polled),)
    return EdgeConfig(SITE, "Asia/Shanghai", GATEWAY, "hub", 512, lines, {}, backfill_per_s=backfill_per_s)


def points_of(owner: str) -> dict[str, int]:
    """The ids of the points that the gateway has declared."""
    with psycopg.connect(owner) as connection:
        return dict(connection.execute("SELECT code, id FROM points").fetchall())
