"""The real programs under failures: whatever they print, no secret that they were given is in it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.broker import Broker
from deploy.child import free_port
from deploy.settings import read
from hub.access import service as access
from hub.main import HubSettings
from hub.store.database import Database
from tests.builders import Park, acting
from tests.conftest import HUB_PASSWORD
from tests.integration.test_web_rights import secret, sign_in
from web.settings import WebSettings

ROOT = Path(__file__).parents[2]
LOGIN, PASSWORD = "li.wei", "hunted-Password-9b1f"
WRONG = "hunted-Wrong-77aa"
BROKER_PASSWORD = "hunted-Broker-31cc"
DATABASE_PASSWORD = "hunted-Database-52ee"
UP_WITHIN_S = 30.0


class Program:
    """One of our programs in a process of its own; ``said`` is all that it has printed."""

    def __init__(self, folder: Path, *words: str, **settings: str) -> None:
        self._log = folder / "said.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
        own |= {f"PLANTROOM_{name}": value for name, value in settings.items()}
        argv = [sys.executable, "-m", "deploy", *words, "--data", str(folder)]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=own, stdout=output, stderr=output)

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")

    def command_line(self) -> str:
        return Path(f"/proc/{self.process.pid}/cmdline").read_text()

    def await_words(self, words: str, within_s: float = UP_WITHIN_S) -> None:
        until_s = time.monotonic() + within_s
        while words not in self.said:
            assert time.monotonic() < until_s, self.said
            time.sleep(0.05)


@contextmanager
def running(folder: Path, *words: str, **settings: str) -> Iterator[Program]:
    folder.mkdir(exist_ok=True)
    program = Program(folder, *words, **settings)
    try:
        yield program
    finally:
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(timeout=10)


def secret_file(folder: Path, text: str) -> str:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def with_password(dsn: str, password: str) -> str:
    parts = conninfo_to_dict(dsn)
    return make_conninfo(**{**parts, "password": password})


@pytest.fixture
async def person(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await access.add_user(tx, LOGIN, "Li Wei", "contractor", PASSWORD, language="en")


def break_table(park: Park, table: str, *, broken: bool) -> None:
    names = (table, "gone") if broken else ("gone", table)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("ALTER TABLE {} RENAME TO {}".format(*names).encode())


async def visit(port: int, park: Park) -> list[str]:
    """Sign in wrongly, well, and into a broken database; gives the secrets that went over the wire."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"Accept-Language": "en"}) as client:
        await sign_in(client, LOGIN, PASSWORD)
        page = await client.get("/my")
        assert page.status_code == 200
        hunted = [secret(page), *client.cookies.values()]
        break_table(park, "work_orders", broken=True)
        broken = await client.get(f"/my?password={WRONG}")
        assert (broken.status_code, "Traceback" in broken.text, "psycopg" in broken.text) == (500, False, False)
        break_table(park, "work_orders", broken=False)
        client.cookies.clear()
        door = secret(await client.get("/sign-in"))
        break_table(park, "sessions", broken=True)
        form = {"csrf": door, "login": LOGIN, "password": PASSWORD}
        assert (await client.post("/sign-in", data=form)).status_code == 500
        break_table(park, "sessions", broken=False)
        await sign_in(client, LOGIN, WRONG)
        await client.get("/api/alarms", headers={"Authorization": f"Bearer {WRONG}"})
        await client.get("/nothing", headers={"Cookie": f"plantroom_session={WRONG}"})
    return [value for value in (door, *hunted) if len(value) > 12]


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_the_web_prints_no_secret(tmp_path: Path, park: Park, person: None, debug: tuple[str, ...]) -> None:
    port = free_port()
    dsn = secret_file(tmp_path, park.dsns.hub)
    settings = {"DATABASE_DSN_FILE": dsn, "BROKER_PASSWORD": BROKER_PASSWORD, "WEB_PORT": str(port)}
    with running(tmp_path / "data", *debug, "web", "run", **settings) as web:
        _until_up(port, web)
        hunted = asyncio.run(visit(port, park))
        failed = web.said
        assert "Traceback" in failed  # the failures have been noted
        said = failed + web.command_line()
    assert "Traceback" not in web.said.removeprefix(failed)  # stopping is no failure
    found = [one for one in (HUB_PASSWORD, BROKER_PASSWORD, PASSWORD, WRONG, *hunted) if one in said]
    assert found == []


def _until_up(port: int, web: Program) -> None:
    until_s = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/health").is_success:
                return
        except httpx.TransportError:
            assert time.monotonic() < until_s, web.said
        time.sleep(0.1)


def test_a_hub_that_gets_in_nowhere_prints_no_secret(tmp_path: Path, park: Park, broker: Broker) -> None:
    wrong = with_password(park.dsns.hub, DATABASE_PASSWORD)
    with running(tmp_path / "a", "--debug", "hub", "run", DATABASE_DSN=wrong) as refused:
        assert refused.process.wait(UP_WITHIN_S) == 1
        assert "password authentication failed" in refused.said
        assert DATABASE_PASSWORD not in refused.said
    nobody = make_conninfo(wrong, host="127.0.0.1", port=str(free_port()))
    with running(tmp_path / "b", "--debug", "hub", "run", DATABASE_DSN=nobody) as waiting:
        waiting.await_words("waiting until it answers")
        assert DATABASE_PASSWORD not in waiting.said + waiting.command_line()
    where = {"DATABASE_DSN": park.dsns.hub, "BROKER_ADDRESS": f"{broker.host}:{broker.port}"}
    with running(
        tmp_path / "c", "--debug", "hub", "run", **where, BROKER_USERNAME="x", BROKER_PASSWORD=BROKER_PASSWORD
    ) as hub:
        hub.await_words("broker")
        time.sleep(1.0)
        said = hub.said + hub.command_line()
        assert not [one for one in (HUB_PASSWORD, BROKER_PASSWORD) if one in said]


@pytest.mark.parametrize(
    "dsn", [f"postgresql://u:{DATABASE_PASSWORD}@[broken/d", f"host=h password={DATABASE_PASSWORD} nonsense"]
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_not_quoted(tmp_path: Path, dsn: str) -> None:
    with running(tmp_path / "data", "web", "run", DATABASE_DSN=dsn, WEB_PORT=str(free_port())) as web:
        assert web.process.wait(UP_WITHIN_S) == 1
        assert "PLANTROOM_DATABASE_DSN" in web.said
        assert DATABASE_PASSWORD not in web.said


def test_a_setting_that_is_refused_is_not_quoted_when_it_is_a_secret(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "x")
    with running(tmp_path / "d", "web", "run", BROKER_PASSWORD=BROKER_PASSWORD, BROKER_PASSWORD_FILE=file) as web:
        assert web.process.wait(UP_WITHIN_S) == 1
        assert re.search("give broker_password or broker_password_file", web.said)
        assert BROKER_PASSWORD not in web.said


def test_no_settings_show_a_secret_when_they_are_printed() -> None:
    dsn = f"postgresql://u:{DATABASE_PASSWORD}@h/d"
    settings = read(database_dsn=dsn, broker_password=BROKER_PASSWORD)
    hub = HubSettings(dsn, "h", 1883, "u", BROKER_PASSWORD)
    shown = f"{settings!r} {settings} {hub!r} {hub.broker!r} {WebSettings(dsn)!r}"
    assert not [one for one in (DATABASE_PASSWORD, BROKER_PASSWORD) if one in shown]
