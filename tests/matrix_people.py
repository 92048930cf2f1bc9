"""What the world of the matrix keeps about people: in each realm a still, a contact, an account, a request."""

import gzip
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.builders_people import drawn

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Kept:
    """One realm's things by their ids; ``tenant`` is a code."""

    still: UUID
    tenant: str
    contact: UUID
    account: UUID
    request: UUID
    imported: UUID

    @property
    def person(self) -> str:
        """The address of the contact among persons."""
        return f"contact:{self.contact}"


def furnish(owner: psycopg.Connection[Any], organisation: UUID, site: UUID, tenant: UUID, mark: str) -> Kept:
    """Give a realm what is kept about people."""
    still, contact, account, request, imported = (uuid4() for _ in range(5))
    zone = _one(owner, """INSERT INTO zones (organisation_id, site_id, code, name_zh, name_en)
                          VALUES (%s, %s, %s, %s, %s) RETURNING id""",
                organisation, site, f"Z{mark}", f"Zone {mark}", f"Zone {mark}")  # fmt: skip
    holder = _one(owner, """INSERT INTO badge_holders (organisation_id, site_id, badge, name, added_at)
                            VALUES (%s, %s, '1', %s, %s) RETURNING id""",
                  organisation, site, f"Holder {mark}", NOW)  # fmt: skip
    owner.execute(
        """INSERT INTO badge_events (organisation_id, site_id, zone_id, submission_id, door, at, result, holder_id,
               source, received_at)
           VALUES (%s, %s, %s, %s, %s, %s, 'granted', %s, 'test', %s)""",
        [organisation, site, zone, uuid4(), f"DOOR{mark}", NOW, holder, NOW],
    )
    owner.execute(
        """INSERT INTO stills (id, organisation_id, site_id, zone_id, camera, at, kind, picture, thumbnail, width,
               height, sha256, source, received_at)
           VALUES (%s, %s, %s, %s, %s, %s, 'motion', %s, %s, 320, 180, sha256('x'), 'test', %s)""",
        [still, organisation, site, zone, f"CAM{mark}", NOW, drawn("x"), drawn("x"), NOW],
    )
    owner.execute(
        "INSERT INTO contacts (id, organisation_id, tenant_id, name, added_at) VALUES (%s, %s, %s, %s, %s)",
        [contact, organisation, tenant, f"Contact {mark}", NOW],
    )
    owner.execute(
        """INSERT INTO bank_accounts (id, organisation_id, tenant_id, holder, bank, number, added_at)
           VALUES (%s, %s, %s, %s, 'B', '1234567890', %s)""",
        [account, organisation, tenant, f"Holder {mark}", NOW],
    )
    owner.execute(
        """INSERT INTO privacy_requests (id, organisation_id, kind, user_ids, contact_ids, holder_ids, reason, asked_by,
               asked_at, done_by, done_at, report)
           VALUES (%s, %s, 'export', '{}', %s, '{}', %s, 'test', %s, 'test', %s, '{}')""",
        [request, organisation, [contact], f"Reason {mark}", NOW, NOW],
    )
    owner.execute(
        """INSERT INTO imports (id, organisation_id, site_id, name, sha256, size_bytes, state, checked_at, checked_by,
               readings, good, duplicates, conflicts, refused, report)
           VALUES (%s, %s, %s, %s, repeat('0', 64), 9, 'checked', %s, 'test', 1, 1, 0, 0, 0, %s)""",
        [
            imported,
            organisation,
            site,
            f"file {mark}",
            NOW,
            gzip.compress(f"row,point,problem\r\n1,{mark},x\r\n".encode()),
        ],
    )
    owner.execute(
        "INSERT INTO import_files VALUES (%s, %s, %s)", [organisation, imported, zlib.compress(b"no history\n")]
    )
    code = _one(owner, "SELECT code FROM tenants WHERE id = %s", tenant)
    return Kept(still, code, contact, account, request, imported)


def _one(owner: psycopg.Connection[Any], statement: str, *values: Any) -> Any:
    row = owner.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0]
