"""From the meter to the register over TLS, and a certificate that is renewed on the way, against a real Mosquitto."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from deploy.enrolment import certify, write_lists
from deploy.settings import read as read_settings
from edge_agent import publisher
from edge_agent.agent import run as run_edge
from edge_agent.config import load
from edge_agent.identity import key_pem, make_request, new_key
from edge_agent.link import Broker
from hub.assets.authority import establish, read
from hub.main import HubSettings
from hub.main import run as run_hub
from tests.builders import Dsns
from tests.field import HOST, Meter, free_port, serving, site_text, until, write_site
from tests.mosquitto import Installation, Mosquitto, installed, needs_mosquitto

pytestmark = needs_mosquitto


@pytest.fixture
def place(open_directory: Path, dsns: Dsns, tmp_path: Path) -> Iterator[tuple[Mosquitto, Path, int]]:
    """A broker for the gateway GW-1 of the site S1, the site's file and the port of its meter."""
    with installed(open_directory / f"walk-{tmp_path.name}", dsns) as installation:
        modbus = free_port()
        site = write_site(tmp_path, site_text(modbus))
        installation.does("hub", "register", str(site))
        broker = Mosquitto(installation)
        broker.configure()
        yield broker, site, modbus
        broker.stop()


def rows(installation: Installation, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(installation.dsns.owner) as connection:
        return connection.execute(query.encode()).fetchall()


def stored(installation: Installation) -> list[float]:
    query = "SELECT value FROM samples s JOIN points p ON p.id = s.point_id WHERE p.measure = 'energy' ORDER BY s.at"
    return [value for (value,) in rows(installation, query)]


@contextlib.contextmanager
def program(folder: Path, words: list[str], environment: dict[str, str]) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
    with (folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "deploy", *words], env=clean | environment, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


def by_certificate(port: int, papers: Path) -> dict[str, str]:
    files = {"CA": "ca.pem", "CERTIFICATE": "certificate.pem", "KEY": "key.pem"}
    named = {f"PLANTROOM_BROKER_{name}": str(papers / file) for name, file in files.items()}
    return {"PLANTROOM_BROKER_ADDRESS": f"localhost:{port}", **named}


async def test_a_reading_travels_over_tls_from_the_edge_s_process_to_the_hub_s(
    place: tuple[Mosquitto, Path, int], tmp_path: Path
) -> None:
    broker, site, modbus = place
    installation = broker.installation
    papers = await asyncio.to_thread(installation.enrol, "S1", "GW-1")
    await asyncio.to_thread(broker.start)
    at_the_hub = {
        "PLANTROOM_DATA": str(installation.data), "PLANTROOM_DATABASE_DSN": installation.dsns.hub,
        **by_certificate(broker.port, installation.data / "hub"),
    }  # fmt: skip
    on_site = {"PLANTROOM_DATA": str(tmp_path / "edge"), **by_certificate(broker.port, papers)}
    async with serving(modbus, Meter(1, ticking=True)):
        with (
            program(tmp_path, ["hub", "run"], at_the_hub),
            program(tmp_path, ["edge", "run", str(site)], on_site),
        ):
            await until(lambda: len(stored(installation)) >= 3, timeout_s=40)
    logs = (tmp_path / "hub.log").read_text() + (tmp_path / "edge.log").read_text()
    assert "WARNING" not in logs
    assert "as S1/GW-1" in broker.log
    assert "as plantroom/hub" in broker.log


async def enrolled(broker: Mosquitto, at: datetime, folder: Path) -> Broker:
    """Enrol GW-1 as if ``at`` were now; gives how its edge agent finds the broker."""
    installation, key = broker.installation, new_key()
    authority = read(installation.data / "authority")
    request = make_request(key, "S1/GW-1")
    pem = await certify(installation.dsns.hub, authority, "S1", "GW-1", request, at, again=False)
    settings = read_settings(data=installation.data)
    await write_lists(settings, installation.dsns.hub, authority, at)
    (folder / "key.pem").write_bytes(key_pem(key))
    (folder / "certificate.pem").write_text(pem)
    (folder / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return Broker(
        "localhost", broker.port, None, None, *(folder / f"{name}.pem" for name in ("ca", "certificate", "key"))
    )


@contextlib.asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)


def hub_of(broker: Mosquitto, *, authority: bool = True) -> HubSettings:
    own, data = broker.installation.data / "hub", broker.installation.data
    return HubSettings(
        broker.installation.dsns.hub, "localhost", broker.port,
        broker_ca=own / "ca.pem", broker_certificate=own / "certificate.pem", broker_key=own / "key.pem",
        authority=data / "authority" if authority else None,
    )  # fmt: skip


async def test_a_gateway_renews_its_certificate_in_time_and_no_reading_is_lost(
    place: tuple[Mosquitto, Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "REPORT_EVERY_S", 0.5)
    broker, site, modbus = place
    installation = broker.installation
    own = await enrolled(broker, datetime.now(UTC) - timedelta(days=61), tmp_path)
    await asyncio.to_thread(broker.start)
    assert own.certificate is not None
    assert own.key is not None
    before = own.certificate.read_text()
    async with (
        serving(modbus, Meter(1, ticking=True)),
        running(run_hub(hub_of(broker)), run_edge(load(site), own, tmp_path)),
    ):
        await until(lambda: own.certificate.read_text() != before, timeout_s=20)  # type: ignore[union-attr]
        await until(lambda: broker.log.count("as S1/GW-1") == 2)  # it connects again with the new one
        count = len(stored(installation))
        await until(lambda: len(stored(installation)) > count + 3)
    held = x509.load_pem_x509_certificate(own.certificate.read_bytes())
    assert held.not_valid_after_utc > datetime.now(UTC) + timedelta(days=89)
    assert held.public_key() == load_pem_private_key(own.key.read_bytes(), None).public_key()
    kept = rows(installation, "SELECT fingerprint, revoked_at FROM gateway_certificates ORDER BY issued_at")
    assert [fingerprint for fingerprint, _ in kept][1:] == [held.fingerprint(hashes.SHA256()).hex()]
    acts = rows(installation, "SELECT action, actor FROM audit_entries WHERE details ? 'fingerprint' ORDER BY id")
    assert acts == [("enrolled", "plantroom/command"), ("renewed", "plantroom/ingest")]
    ticks = [round(value * 100) for value in stored(installation)]
    assert ticks == list(range(1, len(ticks) + 1))


async def test_a_hub_without_the_authority_says_so_and_takes_readings_all_the_same(
    place: tuple[Mosquitto, Path, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(publisher, "REPORT_EVERY_S", 0.5)
    broker, site, modbus = place
    own = await enrolled(broker, datetime.now(UTC) - timedelta(days=61), tmp_path)
    await asyncio.to_thread(broker.start)
    async with (
        serving(modbus, Meter(1, ticking=True)),
        running(run_hub(hub_of(broker, authority=False)), run_edge(load(site), own, tmp_path)),
    ):
        await until(lambda: "was not given the authority" in caplog.text, timeout_s=20)
        await until(lambda: len(stored(broker.installation)) >= 3)
    assert "asking the hub for another" in caplog.text


async def test_a_gateway_whose_certificate_ended_says_what_to_do(
    place: tuple[Mosquitto, Path, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker, site, modbus = place
    own = await enrolled(broker, datetime.now(UTC) - timedelta(days=91), tmp_path)
    async with serving(modbus, Meter(1)), running(run_edge(load(site), own, tmp_path)):
        await until(lambda: "have it enrolled anew" in caplog.text)
    assert HOST not in caplog.text  # it did not even try


async def test_the_hub_comes_back_by_new_keys_after_a_restart_of_the_broker(place: tuple[Mosquitto, Path, int]) -> None:
    broker, _, _ = place
    await asyncio.to_thread(broker.start)
    async with running(run_hub(hub_of(broker))):
        await until(lambda: broker.log.count("as plantroom/hub") == 1)
        await asyncio.to_thread(broker.configure, "--new-keys")
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(broker.start)
        await until(lambda: broker.log.count("as plantroom/hub") == 2, timeout_s=20)


async def test_hub_and_edge_say_why_they_do_not_trust_a_broker(
    place: tuple[Mosquitto, Path, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker, site, modbus = place
    own = await enrolled(broker, datetime.now(UTC), tmp_path)
    await asyncio.to_thread(broker.start)
    settings = hub_of(broker)
    foreign = tmp_path / "foreign.pem"
    foreign.write_bytes(_another_authority())
    stray = HubSettings(
        settings.dsn, settings.broker_host, settings.broker_port, broker_ca=foreign,
        broker_certificate=settings.broker_certificate, broker_key=settings.broker_key,
    )  # fmt: skip
    lost = Broker(own.host, own.port, None, None, foreign, own.certificate, own.key)
    async with serving(modbus, Meter(1)), running(run_hub(stray), run_edge(load(site), lost, tmp_path)):
        await until(lambda: caplog.text.count("is not the one that our authority knows") >= 2, timeout_s=20)
    assert stored(broker.installation) == []


def _another_authority() -> bytes:
    return establish(datetime.now(UTC)).certificate.public_bytes(Encoding.PEM)
