"""The page of the platform's health says what needs somebody, and what is well."""

from datetime import UTC, datetime

import httpx
import psycopg

from hub.health import service as health
from hub.health.rows import Mark
from hub.store.database import Database, Role
from tests.builders import Park
from tests.integration.test_web_rights import app, client, people, sign_in

__all__ = ["app", "client", "people"]  # the fixtures


async def test_what_needs_somebody_stands_with_its_section_of_the_runbook(
    client: httpx.AsyncClient, database: Database, park: Park
) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE gateways SET seen_at = now() - interval '1 hour', spool_percent = 80")
    await sign_in(client, "engineer")
    page = await client.get("/platform")
    assert page.status_code == 200
    for kind in ("gateway-silent", "spool-filling", "jobs-not-held", "backup-too-old"):
        assert f'data-kind="{kind}"' in page.text, kind
        assert f"deploy/runbook.md#{kind}" in page.text
    assert "RIVERSIDE/GW-1" in page.text
    async with database.transaction(None, role=Role.INGEST) as tx:
        await health.put(tx, Mark("backup", "backup", now, now, 3.0, 0, "7 rows, 9 bytes", 9.0))
        await health.put(tx, Mark("job", "rollups of past hours", now, now, 0.25, 0, "", None))
        await health.put(tx, Mark("state", "rollups_late_s", now, now, 0.0, 0, "", 2_000.0))
    page = await client.get("/platform")
    assert 'data-kind="backup-too-old"' not in page.text
    assert 'data-kind="jobs-not-held"' not in page.text
    assert 'data-kind="rollups-late"' in page.text
    assert "7 rows, 9 bytes" in page.text
    assert "rollups of past hours" in page.text


async def test_who_has_no_console_does_not_see_it(client: httpx.AsyncClient) -> None:
    await sign_in(client, "technician")
    assert (await client.get("/platform")).status_code == 403
