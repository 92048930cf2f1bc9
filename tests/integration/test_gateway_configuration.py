"""A configuration from the command line to a running gateway and back to the page."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from deploy import enrolment
from deploy.broker import Broker as EmbeddedBroker
from edge_agent import agent, configuration, trial
from edge_agent.config import load
from edge_agent.link import Broker
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.main import HubSettings, run
from rules.model.excerpt import excerpt
from rules.wire.configuration import digest
from simulators.link import Link
from tests.builders import RIVERSIDE, Park
from tests.field import until, write_site

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def text() -> str:
    return RIVERSIDE.read_text("utf-8")


def rows(park: Park, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(park.dsns.owner) as connection:
        return connection.execute(statement.encode()).fetchall()


def states(park: Park) -> list[object]:
    return [state for (state,) in rows(park, "SELECT state FROM gateway_configuration_states")]


async def want(park: Park, body: str, now: datetime = NOW) -> str:
    return await enrolment.want(park.dsns.hub, "RIVERSIDE", "GW-1", body, "a test", now)


async def test_what_is_wanted_is_kept_without_people_and_recorded(park: Park) -> None:
    sha256 = await want(park, text())
    ((kept, note),) = rows(park, "SELECT body, note FROM gateway_configurations")
    assert digest(str(kept)) == sha256
    assert note == "a test"
    assert "technician" not in str(kept)
    assert "tax_number" not in str(kept)
    assert "EM-A-MAIN" in str(kept)
    assert rows(park, "SELECT count(*) FROM audit_entries WHERE action = 'configured'") == [(1,)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('code = "RIVERSIDE"', 'code = "ELSEWHERE"'), "not for RIVERSIDE/GW-1"),
        (("poll_s", "pol_s"), "pol_s is not a known key"),
        (("[site]", "[site"), "not valid TOML"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_at_the_door(
    park: Park, change: tuple[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        await want(park, text().replace(*change))
    assert sentence in str(caught.value)
    assert rows(park, "SELECT count(*) FROM gateway_configurations") == [(0,)]


async def test_a_gateway_that_is_not_there_and_a_note_too_long_are_refused(park: Park) -> None:
    with pytest.raises(InvalidError, match="not for RIVERSIDE/GW-9"):
        await enrolment.want(park.dsns.hub, "RIVERSIDE", "GW-9", text(), "", NOW)
    with pytest.raises(NotFoundError):
        await enrolment.want(park.dsns.hub, "NOWHERE", "GW-1", text(), "", NOW)
    with pytest.raises(InvalidError, match="at most 500"):
        await enrolment.want(park.dsns.hub, "RIVERSIDE", "GW-1", text(), "x" * 501, NOW)


def test_people_are_cut_out_whole_or_the_file_is_refused() -> None:
    assert excerpt('a = 1\n[[tenant]]\ncode = "T"\n[[line]]\nb = 2\n') == "a = 1\n[[line]]\nb = 2\n"
    with pytest.raises(ValueError, match="cannot be cut out"):
        excerpt('tenant = [{code = "T"}]\na = 1\n')
    with pytest.raises(ValueError, match="cannot be cut out"):
        excerpt('[[tenant]]\nname = """\n[[line]]\n"""\n[[line]]\n')


@contextlib.asynccontextmanager
async def working(park: Park, broker: EmbeddedBroker, site: Path, link: Link) -> AsyncIterator[None]:
    settings = HubSettings(park.dsns.hub, broker.host, broker.port, broker.username, broker.password)
    account = Broker(broker.host, link.port, broker.username, broker.password)
    tasks = [
        asyncio.create_task(run(settings)),
        asyncio.create_task(agent.run(load(site, "GW-1"), account, site.parent, site=site)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_gateway_gets_what_is_wanted_tries_it_and_says_so(
    park: Park, broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SETTLE_S", 0.5)
    monkeypatch.setattr(configuration, "CONFIRM_S", 30.0)
    site = write_site(tmp_path, text())
    now = datetime.now(UTC)
    async with Link(broker.port) as link, working(park, broker, site, link):
        await until(lambda: states(park) == ["local"], 20)
        changed = text().replace("poll_s = ", "poll_s = 1", 1)
        sha256 = await want(park, changed, now)
        await until(lambda: states(park) == ["in force"], 45)
        assert rows(park, "SELECT sha256 FROM gateway_configuration_states") == [(sha256,)]
        with pytest.raises(ConflictError, match="just this file"):
            await want(park, changed, now + timedelta(seconds=1))
    told = rows(
        park, "SELECT details->>'state' FROM audit_entries WHERE action = 'goes by a configuration' ORDER BY id"
    )
    assert [state for (state,) in told] == ["local", "trial", "in force"]
