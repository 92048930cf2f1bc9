"""The training site as a whole, for tests: simulator and gateway by their commands, a broker, the hub here."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from deploy.broker import Broker
from deploy.credentials import make
from deploy.register import register
from edge_agent.config import EdgeConfig, load, read
from hub import main
from hub.access import service as access
from hub.commands import service as commands
from hub.commands.rows import Wish
from hub.store.database import Actor, Database
from rules.model.site import SiteFile
from simulators.control import ask_async
from tests.builders import Dsns, acting
from tests.contract.ground_bacnet import free_udp_port
from tests.field import free_port, write_site

FIELD = Path(__file__).parents[1] / "deploy" / "sites" / "field.toml"
PORT = re.compile(r"\b151\d\d\b")
DATAGRAMS = ("15106", "15112", "15113")
GOOD = 192
OVER = ("done", "refused", "failed", "uncertain", "expired")
ROOT = Path(__file__).parents[1]


def on_free_ports(text: str) -> str:
    """The site file with every port exchanged for a free one, the same for the same."""
    ports: dict[str, str] = {}
    for found in PORT.findall(text):
        while ports.setdefault(found, "") in ("", *(port for name, port in ports.items() if name != found)):
            ports[found] = str(free_udp_port() if found in DATAGRAMS else free_port())
    return PORT.sub(lambda found: ports[found[0]], text)


@dataclass
class Training:
    """Everything that runs, and what can be done to it."""

    folder: Path
    path: Path
    config: EdgeConfig
    site: SiteFile
    dsns: Dsns
    database: Database
    organisation: UUID
    engineer: Actor
    broker: Broker
    control: int
    edge: subprocess.Popen[bytes] | None = None

    async def do(self, **request: Any) -> None:
        """Let something happen at the simulated site."""
        said = await ask_async(self.control, request)
        assert said["ok"], said

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a command as its user would, in a process of its own; ``SITE`` stands for the site file."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
        where = {
            "PLANTROOM_BROKER_ADDRESS": f"{self.broker.host}:{self.broker.port}",
            "PLANTROOM_BROKER_USERNAME": self.broker.username,
            "PLANTROOM_BROKER_PASSWORD": self.broker.password,
            "PLANTROOM_CREDENTIALS": str(self.folder / "credentials"),
            "PYTHONPATH": str(ROOT),
        }
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            said = [str(self.path) if word == "SITE" else word for word in words]
            return subprocess.Popen([sys.executable, "-m", "deploy", *said], env=clean | where, stdout=log, stderr=log)

    def start_edge(self) -> None:
        """Run the gateway."""
        self.edge = self.run("edge", "run", "SITE", "--data", str(self.folder))

    async def end_edge(self, number: int = signal.SIGTERM) -> None:
        """End the gateway with a signal, and wait until it has gone."""
        if self.edge is not None:
            await _ended(self.edge, number)
            self.edge = None

    def log(self) -> str:
        return (self.folder / "edge.log").read_text("utf-8")

    def spooled(self, *words: str) -> bool:
        """Whether the spool has taken all of these words to disk; nobody else may open it while it is in use."""
        kept = b"".join(file.read_bytes() for file in (self.folder / "edge").glob("edge-GW-FIELD.sqlite*"))
        return all(word.encode() in kept for word in words)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsns.owner) as owner:
            return owner.execute(statement.encode(), values).fetchall()

    async def until(self, statement: str, wanted: list[tuple[Any, ...]], within_s: float = 30) -> None:
        """Wait until the database says what is wanted; the failure shows what it said instead."""
        end = asyncio.get_running_loop().time() + within_s
        while (found := await asyncio.to_thread(self.rows, statement)) != wanted:
            if asyncio.get_running_loop().time() > end:
                raise AssertionError((statement, found, self.log()[-3000:]))
            await asyncio.sleep(0.1)

    async def give(self, point: str, value: float) -> UUID:
        wish = Wish(value=value, id=uuid4(), point=point, reason="")
        async with self.database.transaction(self.organisation, self.engineer) as tx:
            return (await commands.give(tx, wish, datetime.now(UTC))).id

    async def answered(self, command: UUID, within_s: float = 30) -> tuple[str, float | None]:
        """Wait until a command is closed; gives how, and what the device showed."""
        async with asyncio.timeout(within_s):
            while True:
                async with self.database.transaction(self.organisation, self.engineer) as tx:
                    found = await commands.command(tx, command)
                if found.state in OVER:
                    return found.state, found.shown
                await asyncio.sleep(0.05)

    @property
    def points(self) -> set[str]:
        """Every point that arrives: read, worked out, and what local rules show."""
        worked_out = {one.point for one in self.site.derived} | {rule.sign for rule in self.site.local_rule}
        return worked_out | {asked.point.code for device in self.config.devices for asked in device.points}

    def truth(self) -> Mapping[str, set[int]]:
        """What every counter of the simulator has told so far, by device and measure."""
        told: dict[str, set[int]] = {}
        for line in (self.folder / "truth.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            told.setdefault(f"{row['device']}.{row['measure']}", set()).add(row["count"])
        return told


@asynccontextmanager
async def working(work: Any) -> AsyncIterator[None]:
    """Run something beside; it must not end by itself."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


@asynccontextmanager
async def training(dsns: Dsns, database: Database, folder: Path) -> AsyncIterator[Training]:
    """The simulated site in its process, a broker, the hub, all up; the edge is not started yet."""
    path = write_site(folder, on_free_ports(FIELD.read_text("utf-8")))
    site, _ = read(path)
    make(site, folder / "credentials")
    organisation = await register(dsns.owner, dsns.hub, site)
    async with database.transaction(organisation, acting("test", "administrator")) as tx:
        user = await access.add_user(tx, "fay", "Fay", "engineer", language="en")
    broker, control = Broker(folder / "broker"), free_port()
    await asyncio.to_thread(broker.start)
    hub = main.HubSettings(dsns.hub, broker.host, broker.port, broker.username, broker.password)
    engineer = acting("fay", "engineer", user)
    there = Training(folder, path, load(path), site, dsns, database, organisation, engineer, broker, control)
    simulator = there.run("sim", "run", "SITE", "--control-port", str(control), "--truth", str(folder / "truth.jsonl"))
    try:
        async with working(main.run(hub)):
            async with asyncio.timeout(40):
                while "faults are taken" not in (folder / "sim.log").read_text("utf-8"):
                    assert simulator.poll() is None, (folder / "sim.log").read_text("utf-8")
                    await asyncio.sleep(0.1)
            yield there
            await there.end_edge()
    finally:
        await there.end_edge(signal.SIGKILL)
        await _ended(simulator, signal.SIGTERM)
        await asyncio.to_thread(broker.stop)


async def _ended(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    try:
        await asyncio.to_thread(process.wait, 10)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
