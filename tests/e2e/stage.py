"""A park with people, readings, alarms, orders and bills, and the pages served from it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg

from hub.access import service as access
from hub.alarms import service as alarms
from hub.alarms.definitions import load
from hub.alarms.rows import Turned
from hub.assets import service as assets
from hub.billing import service as billing
from hub.commands import service as commands
from hub.leases import service as leases
from hub.metering import work as metering
from hub.store.database import Database
from hub.work.dispatch import dispatch_for
from rules.detect.alarm import Turn
from rules.model.period import midnight, month_start
from tests.builders import Park, acting
from web.main import server
from web.settings import WebSettings

PASSWORD = "only for these tests"
AHU = "AHU-A"
ADMINISTRATOR = acting("test-admin", "administrator")

# What each rule's alarm shows: value and limit.
_SHOWN = {"supply-air-temperature-deviation": (24.1, 21.0), "night-base-load-high": (14.2, 10.0)}

# Counters that grow by the hour, gauges that follow the clock: enough to draw and to bill.
_SAMPLES = """
INSERT INTO samples (point_id, at, value, quality)
SELECT p.id, t, CASE p.kind
    WHEN 'counter' THEN round((1000 + extract(epoch FROM t - %(origin)s) / 3600 * (0.8 + p.id %% 7 * 0.4))::numeric, 1)
    WHEN 'gauge' THEN round((CASE WHEN p.unit = '°C' THEN 18 ELSE 6 END
                             + 4 * sin(extract(epoch FROM t) / 86400 * 6.283 + p.id))::numeric, 2)
    ELSE 1 END::float8, 192
FROM points p, generate_series(%(start)s, %(end)s, %(step)s::interval) t
WHERE p.kind = 'counter' OR %(all)s
ON CONFLICT DO NOTHING"""
_LATEST = """
INSERT INTO latest (point_id, at, value, quality)
SELECT DISTINCT ON (point_id) point_id, at, value, quality FROM samples ORDER BY point_id, at DESC
ON CONFLICT (point_id) DO UPDATE SET at = excluded.at, value = excluded.value, quality = excluded.quality"""
_HOURLY = """
INSERT INTO hourly (point_id, bucket, n, good_n, sum, min, max, first, first_at, last, last_at)
SELECT point_id, date_trunc('hour', at), count(*), count(*), sum(value), min(value), max(value),
       (array_agg(value ORDER BY at))[1], min(at), (array_agg(value ORDER BY at DESC))[1], max(at)
FROM samples GROUP BY 1, 2
ON CONFLICT DO NOTHING"""


@dataclass(frozen=True)
class Stage:
    """A running web process on a populated park; ``users`` are logins by role, all with PASSWORD."""

    url: str
    park: Park
    database: Database
    users: dict[str, str]

    async def invoices(self) -> list[str]:
        """The numbers of all invoices."""
        async with self.database.transaction(self.park.organisation, ADMINISTRATOR) as tx:
            return sorted(one.number for one in await billing.invoices(tx))

    async def first_invoice(self) -> str:
        """One invoice with metered lines."""
        return (await self.invoices())[0]

    async def first_alarm(self) -> UUID:
        """The most urgent alarm."""
        async with self.database.transaction(self.park.organisation, ADMINISTRATOR) as tx:
            return (await alarms.active(tx))[0].id

    def silence(self) -> None:
        """Let the last readings be an hour old, as after a gateway stopped."""
        with psycopg.connect(self.park.dsns.owner) as connection:
            connection.execute("UPDATE latest SET at = at - interval '1 hour'")

    def announce(self, connection: psycopg.Connection[Any], kind: str) -> None:
        """Leave a notice, as a transaction of the hub would."""
        said = json.dumps({"kind": kind, "id": "1", "organisation": str(self.park.organisation)})
        connection.execute("SELECT pg_notify('plantroom_live', %s)", [said])


def month_before(now: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """The month that was over last."""
    local = now.astimezone(zone)
    first = month_start(local.year, local.month - 1)
    return first.year, first.month


async def people(database: Database, park: Park) -> dict[str, str]:
    """One user per role, and the site's technicians."""
    async with database.transaction(park.organisation, ADMINISTRATOR) as tx:
        await leases.register(tx, park.site, park.file)
        await commands.register(tx, park.site, park.file)
        tenant = (await leases.tenants(tx))[0]
        for role in ("administrator", "engineer", "billing"):
            await access.add_user(tx, role, f"Test {role}", role, PASSWORD, language="en")
        await access.add_user(tx, "tenant", "Test tenant", "tenant", PASSWORD, tenant_id=tenant.id, language="en")
        for person in park.file.technician:
            await access.add_user(
                tx, person.login, person.name, "technician", PASSWORD,
                language="en", skills=person.skills, zones=person.zones,
            )  # fmt: skip
    users = {role: role for role in ("administrator", "engineer", "billing", "tenant")}
    return {**users, "technician": park.file.technician[0].login}


def readings(park: Park, now: datetime) -> None:
    """Hourly counters since before last month, gauges and counters by the minute for the last hours."""
    year, month = month_before(now, ZoneInfo(park.file.site.timezone))
    start = midnight(month_start(year, month), ZoneInfo(park.file.site.timezone)) - timedelta(hours=2)
    minute = now.replace(second=0, microsecond=0)
    with psycopg.connect(park.dsns.owner) as connection:
        weeks = (now - start).days // 7 + 3
        for week in range(weeks):
            connection.execute("SELECT plantroom.ensure_week(%s)", [(start + timedelta(weeks=week)).date()])
        for first, step in ((start, "1 hour"), (minute - timedelta(hours=5), "5 minutes")):
            asked = {"origin": start, "start": first, "end": minute, "step": step, "all": first != start}
            connection.execute(_SAMPLES, asked)
        connection.execute(_LATEST)
        connection.execute(_HOURLY)


async def raise_alarm(database: Database, park: Park, device: str, rule: str, at: datetime) -> UUID:
    """An alarm as the judge would raise it, with its work order where the rule wants hands, announced."""
    found = next(one for one in load().rules if one.code == rule)
    alarm_id = uuid4()
    measure = getattr(found.condition, "measure", None)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute(
            """INSERT INTO alarms (id, organisation_id, site_id, device_id, point_id, rule, rule_version, priority,
               name_zh, name_en, value, threshold, condition_began_at, raised_at)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [alarm_id, park.organisation, park.site, park.devices[device], park.points.get(f"{device}.{measure}"),
             rule, found.version, found.priority.value, found.name_zh, found.name_en, *_SHOWN.get(rule, (1.0, 1.0)),
             at - timedelta(seconds=found.on_delay_s), at],
        )  # fmt: skip
        connection.execute(
            "INSERT INTO alarm_events (organisation_id, alarm_id, at, event, actor) "
            "VALUES (%s, %s, %s, 'raised', 'judge')",
            [park.organisation, alarm_id, at],
        )
        connection.execute(
            "SELECT pg_notify('plantroom_live', json_build_object('kind', 'alarm', 'id', %s::text, "
            "'organisation', %s::text)::text)",
            [alarm_id, park.organisation],
        )
    async with database.transaction(park.organisation) as tx:
        turned = Turned(alarm_id, park.devices[device], rule, found.version, Turn.RAISED, at)
        await dispatch_for(tx, load(), [turned], at)
    return alarm_id


async def bills(database: Database, park: Park, now: datetime) -> None:
    """Last month's invoices."""
    year, month = month_before(now, ZoneInfo(park.file.site.timezone))
    async with database.transaction(park.organisation, ADMINISTRATOR) as tx:
        await billing.run_month(tx, await assets.site(tx), year, month, now)


async def consumption(database: Database, park: Park, now: datetime) -> None:
    """What building A's electricity meters used last month, day by day."""
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute(
            """INSERT INTO consumption_marks (organisation_id, point_id, bucket)
               SELECT DISTINCT p.organisation_id, p.id, date_trunc('day', s.at, 'UTC')
               FROM points p JOIN samples s ON s.point_id = p.id
               WHERE p.kind = 'counter' AND p.code ~ '^EM-A-(MAIN|F.|COMMON)'""",
        )
    busy = True
    while busy:
        async with database.transaction(park.organisation, ADMINISTRATOR) as tx:
            busy = bool(await metering.catch_up(tx, now))


async def populate(database: Database, park: Park) -> dict[str, str]:
    """Fill the park; gives the logins by role."""
    now = datetime.now(UTC)
    users = await people(database, park)
    await asyncio.to_thread(readings, park, now)
    await raise_alarm(database, park, AHU, "supply-air-temperature-deviation", now - timedelta(minutes=12))
    await raise_alarm(database, park, "EM-A-201", "night-base-load-high", now - timedelta(hours=3))
    await bills(database, park, now)
    await consumption(database, park, now)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("UPDATE gateways SET online = true, born_at = now(), seen_at = now(), committed = 81234")
        connection.execute("UPDATE devices SET online = code <> 'WM-A-201', online_changed_at = now()")
        connection.execute(
            """INSERT INTO strangers SELECT organisation_id, id, 'GW-1', 'CH-3', 'supply_temp, power, energy',
                                            now() - interval '2 days', now() FROM sites LIMIT 1"""
        )
        connection.execute(
            """INSERT INTO held_frames (organisation_id, gateway_id, device, measure, unit, received_at, readings, body)
               SELECT organisation_id, id, 'EM-A-101', 'energy', 'MWh', now() - interval '3 h', 180, '' FROM gateways"""
        )
    return users


@asynccontextmanager
async def pages(database: Database, park: Park, users: dict[str, str], **settings: Any) -> AsyncIterator[Stage]:
    """Serve the pages on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        web = server(database, WebSettings(park.dsns.hub, **settings), "127.0.0.1", port)
        task = asyncio.create_task(web.serve(sockets=[listener]))
        while not web.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
        yield Stage(f"http://127.0.0.1:{port}", park, database, users)
        web.should_exit = True
        await task
