"""Twenty people sign in every second at a real web process: how much longer do the others wait for their pages?

Pages are asked for at a steady pace from addresses of their own, first alone, then while people sign in; both halves
come from one process on a populated park and are repeated in turn.  Callers live in a process of their own, so that
their work is not counted as the server's.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Self

import httpx

from deploy import logins
from deploy.embedded import Servers
from deploy.park import free_ports
from deploy.processes import Supervisor
from deploy.settings import PREFIX, read
from hub.access import service as access
from hub.store.database import Database
from tests.bench.row import Row, at_most, percentile
from tests.builders import Dsns, register_park, site_file
from tests.e2e.stage import ADMINISTRATOR, PASSWORD, populate

PEOPLE = 40
SIGN_INS_PER_S = 20.0
PAGES_PER_S = 5.0
SECONDS = 20.0
ROUNDS = 3
WARM_UP_S = 3.0
GROWTH_MS = 50.0
PAGES = ("/", "/alarms", "/orders", "/points", "/gateways", "/leases")
DOOR = "only-for-this-bench"  # the form secret of the door: the same in cookie and form


async def measure(folder: Path) -> list[Row]:
    settings = read(data=folder / "data", web_port=free_ports(1)[0])
    (settings.data / "logs").mkdir(parents=True)
    with Servers(settings) as servers:
        async with Supervisor(lambda _: None) as supervisor:
            hub = logins.prepare(settings, servers.dsn)
            await _prepare(Dsns(servers.dsn, hub))
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
                f"{PREFIX}DATABASE_DSN": hub, f"{PREFIX}SECOND_FACTOR": "offered", f"{PREFIX}DATA": str(settings.data),
            }  # fmt: skip
            argv = ["python", "-m", "deploy", "web", "run", "--port", str(settings.web_port)]
            supervisor.start("web", argv, settings.data / "logs" / "web.log", env=environment)
            found = await _called(settings.web_port)
    return [
        at_most("sign-in: 95th of pages grows by, at 20 sign-ins a second", found["growth_ms"], GROWTH_MS, "ms"),
        Row("sign-in: sign-ins a second that were let in", found["rate"], SIGN_INS_PER_S, "1/s", ">= 19.5 1/s",
            found["rate"] >= SIGN_INS_PER_S * 0.975),
    ]  # fmt: skip


async def _prepare(dsns: Dsns) -> None:
    database = Database(dsns.hub)
    await database.open()
    park = await register_park(database, dsns, site_file())
    await populate(database, park)
    async with database.transaction(park.organisation, ADMINISTRATOR) as tx:
        for n in range(PEOPLE):
            await access.add_user(tx, f"person{n}", f"Person {n}", "manager", PASSWORD, language="en")
    await database.close()


async def _called(port: int) -> dict[str, float]:
    words = [sys.executable, "-m", "tests.bench.sign_in", str(port)]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, float] = json.loads(said)
    return found


async def call(port: int) -> dict[str, float]:
    """Ask in turn without and with people who sign in."""
    async with Crowd(port) as crowd:
        await crowd.wait_until_up()
        await crowd.let_in()
        await crowd.paced(PAGES_PER_S, WARM_UP_S, crowd.page)
        alone_ms: list[float] = []
        beside_ms: list[float] = []
        rates = []
        for n in range(ROUNDS):
            alone_ms.append(percentile(await crowd.paced(PAGES_PER_S, SECONDS, crowd.page), 0.95))
            before, started_s = crowd.signed_in, time.monotonic()
            pages, came = await asyncio.gather(
                crowd.paced(PAGES_PER_S, SECONDS, crowd.page), crowd.paced(SIGN_INS_PER_S, SECONDS, crowd.sign_in)
            )
            rates.append((crowd.signed_in - before) / max(SECONDS, time.monotonic() - started_s))
            beside_ms.append(percentile(pages, 0.95))
            sys.stderr.write(
                f"round {n + 1}: pages' 95th {alone_ms[-1]:.1f} ms alone, {beside_ms[-1]:.1f} ms beside sign-ins; "
                f"a sign-in takes {statistics.median(came):.0f} ms, 95th {percentile(came, 0.95):.0f} ms\n"
            )
    growth = [beside - alone for alone, beside in zip(alone_ms, beside_ms, strict=True)]
    return {"growth_ms": statistics.median(growth), "worst_ms": max(growth), "rate": statistics.median(rates)}


class Crowd:
    """Callers from addresses of their own (all of 127.0.0.0/8 is this machine)."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.signed_in = 0
        self._numbers = count()
        self._clients = [self._client(f"127.1.0.{n + 1}") for n in range(PEOPLE)]
        self._readers = [self._client(f"127.2.0.{n + 1}") for n in range(4)]
        self._asked: Iterator[tuple[httpx.AsyncClient, str]] = zip(cycle(self._readers), cycle(PAGES), strict=False)

    def _client(self, address: str) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(local_address=address)
        return httpx.AsyncClient(transport=transport, base_url=self.url, timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in (*self._clients, *self._readers):
            await client.aclose()

    async def wait_until_up(self) -> None:
        for _ in range(300):
            try:
                if (await self._readers[0].get("/api/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        raise AssertionError("the web process did not come up")

    async def let_in(self) -> None:
        """The readers sign in once."""
        for reader in self._readers:
            answer = await reader.post("/sign-in", **self._form("administrator"))
            assert answer.status_code == 303, answer.text
            reader.cookies.set("plantroom_session", answer.cookies["plantroom_session"])

    def _form(self, login: str) -> dict[str, object]:
        form = {"login": login, "password": PASSWORD, "csrf": DOOR}
        return {"data": form, "headers": {"Cookie": f"plantroom_door={DOOR}"}}

    async def page(self) -> None:
        client, path = next(self._asked)
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)

    async def sign_in(self) -> None:
        n = next(self._numbers) % PEOPLE
        answer = await self._clients[n].post("/sign-in", **self._form(f"person{n}"))
        self._clients[n].cookies.clear()
        self.signed_in += answer.status_code == 303  # 503: too many at once, which the second row counts

    async def paced(self, per_s: float, seconds: float, act: Callable[[], Awaitable[None]]) -> list[float]:
        """Do ``act`` at a steady pace whatever the answers take; gives how long each took, in ms."""
        clock = asyncio.get_running_loop().time
        started_s, took_ms, tasks = clock(), [], []

        async def timed() -> None:
            begun_s = clock()
            await act()
            took_ms.append((clock() - begun_s) * 1000)

        for n in range(round(per_s * seconds)):
            await asyncio.sleep(max(0.0, started_s + n / per_s - clock()))
            tasks.append(asyncio.create_task(timed()))
        await asyncio.gather(*tasks)
        return took_ms


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(call(int(sys.argv[1])))))
