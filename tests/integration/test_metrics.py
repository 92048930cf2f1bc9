"""Metrics of real processes: hub, web and a gateway, scraped as Prometheus does, and the states of the platform."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.broker import Broker
from deploy.metrics import MetricsPortError, served
from deploy.settings import read
from hub.health import service as health
from hub.health.findings import findings
from hub.health.rows import GatewayHealth, Mark
from hub.store.database import Database, Role
from tests.builders import Park
from tests.conftest import HUB_PASSWORD
from tests.field import free_port, site_text, write_site

PATIENCE_S = 150.0  # programs that start on a machine that is busy with others
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def around(park: Park, broker: Broker, tmp_path: Path) -> dict[str, str]:
    """The environment of a program of this park."""
    (tmp_path / "hub-password").write_text(HUB_PASSWORD)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")},
        "PLANTROOM_DATABASE_DSN": park.dsns.owner,
        "PLANTROOM_BROKER_ADDRESS": f"{broker.host}:{broker.port}",
        "PLANTROOM_BROKER_USERNAME": broker.username,
        "PLANTROOM_BROKER_PASSWORD": broker.password,
        "PLANTROOM_DATA": str(tmp_path),
        "PLANTROOM_LOG_FORMAT": "json",
    }


@contextmanager
def running(around: dict[str, str], log: Path, *words: str) -> Iterator[int]:
    """A program of ours; gives the port of its metrics."""
    port = free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy", *words],
            env={**around, "PLANTROOM_METRICS_PORT": str(port)},
            stdout=out,
            stderr=out,
            cwd=Path(__file__).parents[2],
        )
        try:
            yield port
        finally:
            process.terminate()
            process.wait(20)


def scraped(port: int, log: Path, *wanted: str) -> dict[tuple[str, ...], float]:
    """Every sample by name and labels, once all of ``wanted`` are there."""
    until_s = time.monotonic() + PATIENCE_S
    found: dict[tuple[str, ...], float] = {}
    while time.monotonic() < until_s:
        try:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        except httpx.HTTPError:
            text = ""
        families = list(text_string_to_metric_families(text))
        found = {
            (sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples
        }
        if {name for name, *_ in found} >= set(wanted):
            return found
        time.sleep(0.3)
    raise AssertionError(f"not there: {set(wanted) - {name for name, *_ in found}}; {log.read_text()[-2000:]}")


@pytest.mark.timeout(300)
def test_a_hub_and_a_web_give_their_figures_on_loopback(around: dict[str, str], tmp_path: Path) -> None:
    logs = tmp_path / "hub.log", tmp_path / "web.log"
    web_port = str(free_port())
    with (
        running(around, logs[0], "hub", "run") as hub,
        running({**around, "PLANTROOM_UNENCRYPTED": "web"}, logs[1], "web", "run", "--port", web_port) as web,
    ):
        wanted = ("database_size_bytes", "gateway_online", "ingest_commit_seconds_count", "disk_free_bytes")
        found = scraped(hub, logs[0], *(f"plantroom_{name}" for name in wanted), "process_resident_memory_bytes")
        assert found["plantroom_job_failures", "the platform's health"] == 0
        assert found["plantroom_jobs_held",] == 1
        assert found["plantroom_broker_connected",] == 1
        assert found["plantroom_gateway_online", "GW-1", "RIVERSIDE"] == 0
        assert ("plantroom_backup_last_success_timestamp_seconds",) not in found  # none was made: missing is not zero
        scraped(web, logs[1], "plantroom_database_connections")
        httpx.get(f"http://127.0.0.1:{web_port}/sign-in")
        answered = scraped(web, logs[1], "plantroom_web_requests_total", "plantroom_web_request_seconds_count")
        assert answered["plantroom_web_request_seconds_count",] >= 1
    assert HUB_PASSWORD not in logs[0].read_text() + logs[1].read_text()


@pytest.mark.timeout(300)
def test_a_gateway_gives_its_figures_on_loopback(around: dict[str, str], tmp_path: Path) -> None:
    site = write_site(tmp_path, site_text(free_port()))  # no device answers there
    log = tmp_path / "edge.log"
    with running(around, log, "edge", "run", str(site)) as port:
        found = scraped(port, log, "plantroom_edge_poll_failures_total", "plantroom_edge_spool_fill_ratio")
        assert found["plantroom_edge_frames_in_flight",] <= found["plantroom_edge_spool_frames",]  # no hub commits them


def test_a_port_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PLANTROOM_METRICS_PORT", str(taken.getsockname()[1]))
        with pytest.raises(MetricsPortError, match="its own PLANTROOM_METRICS_PORT"):
            served(read(data=tmp_path))
    monkeypatch.delenv("PLANTROOM_METRICS_PORT")
    assert served(read(data=tmp_path)) is None


def gateway(**more: object) -> GatewayHealth:
    well = {
        "site": "S", "gateway": "G", "online": True, "seen_at": NOW, "skew_ms": 0, "depth": 0, "spool_percent": 0,
        "dropped": 0, "rival": False, "certificate_ends_at": None,
    }  # fmt: skip
    return GatewayHealth(**{**well, **more})  # type: ignore[arg-type]


def state(name: str, value: float | None) -> Mark:
    return Mark("state", name, NOW, NOW, 0.0, 0, "", value)


def test_each_state_is_found_beyond_its_limit_and_not_before() -> None:
    job, backup = Mark("job", "j", NOW, NOW, 0.1, 0, "", None), Mark("backup", "backup", NOW, NOW, 1.0, 0, "", 1.0)
    assert findings([job, backup, state("replica_behind_s", None)], [gateway()], NOW) == []
    bad = {
        "gateway-silent": gateway(seen_at=NOW - timedelta(minutes=6)),
        "spool-filling": gateway(spool_percent=50),
        "clock-skew": gateway(skew_ms=-5001),
        "two-edges-of-one-name": gateway(rival=True),
        "certificate-expiring": gateway(certificate_ends_at=NOW + timedelta(days=13)),
    }
    for kind, one in bad.items():
        assert [found.kind for found in findings([job, backup], [one], NOW)] == [kind]
    marks = {
        "rollups-late": state("rollups_late_s", 901),
        "quarantine-growing": state("quarantined_hour", 101),
        "replica-lagging": state("replica_behind_s", 61),
        "audit-anchor-mismatch": state("audit_anchor_holds", 0),
        "disk-full": state("disk_free_ratio", 0.05),
        "job-failing": Mark("job", "k", NOW, None, 0.0, 5, "", None),
    }
    for kind, mark in marks.items():
        assert [found.kind for found in findings([job, backup, mark], [], NOW)] == [kind]
    assert [found.kind for found in findings([], [], NOW)] == ["jobs-not-held", "backup-too-old"]
    late = NOW + timedelta(hours=27)
    assert {found.kind for found in findings([job, backup], [], late)} == {"jobs-not-held", "backup-too-old"}


async def test_a_mark_of_a_failure_keeps_when_it_last_went_well(database: Database, park: Park) -> None:
    async with database.transaction(None, role=Role.INGEST) as tx:
        await health.put(tx, Mark("job", "j", NOW, NOW, 2.0, 0, "", None))
        later = NOW + timedelta(minutes=1)
        await health.put(tx, Mark("job", "j", later, None, 0.0, 1, "x" * 9_000, None))
        (mark,) = await health.marks(tx)
        assert (mark.succeeded_at, mark.tried_at, mark.took_s, mark.failures) == (NOW, later, 2.0, 1)
        assert len(mark.said) == health.SAID_CHARACTERS_MAX
        measured = await health.measure(tx, NOW)
        assert (measured.rollups_dirty, measured.rollups_late_s, measured.replica_behind_s) == (0, None, None)
        assert measured.database_bytes > 1_000_000
        (seen,) = await health.gateways(tx)
        assert (seen.site, seen.gateway) == ("RIVERSIDE", "GW-1")
