"""What the world of the matrix has to approve: in each realm a request, a flow of its own and a deputy."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from hub.access import service as access
from hub.approvals import service as approvals
from hub.approvals.definitions import shipped
from hub.approvals.rows import Subject
from hub.store.database import Database
from rules.flow.text import write
from tests.builders import Dsns, acting

NOW = datetime.now(UTC).replace(microsecond=0)

# Who asks at all, and who has the request of a realm on his way: managers, and administrators by escalation.
REQUESTERS = ("administrator", "manager", "engineer", "technician", "billing", "security")
APPROVERS = ("administrator", "manager", "engineer", "billing", "security")


@dataclass(frozen=True)
class Approvable:
    """One realm's request (by number), kind of flow, version of it, and deputation."""

    number: int
    kind: str
    version: UUID
    deputation: UUID


async def furnish_approvals(
    database: Database, dsns: Dsns, realm: str, mark: str, organisation: UUID, site: UUID, first: int, user: UUID
) -> Approvable:
    """Give a realm something to approve; numbers begin with ``first``."""
    with psycopg.connect(dsns.owner) as owner:
        owner.execute(
            """INSERT INTO counters VALUES (%s, 'approval', %s)
               ON CONFLICT (organisation_id, series) DO UPDATE SET last = excluded.last""",
            [organisation, first - 1],
        )
    async with database.transaction(organisation, acting(f"spy{first}", "technician")) as tx:
        title = f"Please {mark}"
        subject = Subject("general", str(uuid4()), title, title, {"title": title, "text": "x"}, site)
        number = await approvals.submit(tx, subject, NOW)
    async with database.transaction(organisation, acting("test", "administrator")) as tx:
        deputy = await access.add_user(tx, f"stand-in{first}", "Stand-in", "technician")
    kind = f"kind_{realm}"
    flow = shipped()["general"]
    with psycopg.connect(dsns.owner) as owner:
        (version,) = (
            owner.execute(
                """INSERT INTO flow_versions (organisation_id, kind, version, valid_from, definition, written,
                                              proposed_by, proposed_at, adopted_by, adopted_at)
               VALUES (%s, %s, '2026-01', '2026-01-01', %s, %s, 'test', %s, 'test', %s) RETURNING id""",
                [organisation, kind, Jsonb(flow.model_dump(mode="json", by_alias=True)), write(kind, flow), NOW, NOW],
            ).fetchone()
            or ()
        )
        (deputation,) = (
            owner.execute(
                """INSERT INTO deputations (organisation_id, principal_id, deputy_id, start_at, end_at, made_by,
                                            made_at)
               VALUES (%s, %s, %s, %s, %s + interval '300 days', 'test', %s) RETURNING id""",
                [organisation, user, deputy, NOW, NOW, NOW],
            ).fetchone()
            or ()
        )
    return Approvable(number, kind, version, deputation)


async def own_requests(database: Database, organisation: UUID, site: UUID, logins: Iterable[str]) -> dict[str, int]:
    """Let everybody who may ask for something; gives the numbers by login."""
    found = {}
    for login in logins:
        role = login.partition("@")[0]
        if role in REQUESTERS:
            async with database.transaction(organisation, acting(login.replace("@", "."), role)) as tx:
                subject = Subject("general", str(uuid4()), "Mine", "Mine", {"text": "x"}, site)
                found[login] = await approvals.submit(tx, subject, NOW)
    return found
