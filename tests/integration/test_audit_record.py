"""What an entry of the record holds, and what nobody can make it hold."""

from dataclasses import replace

import psycopg
import pytest

from hub.audit import reasons
from hub.audit import service as audit
from hub.errors import InvalidError
from hub.store.database import Database, Role
from tests.builders import ENGINEER, Park

DEPUTY = replace(ENGINEER, address="192.0.2.7", request_id="5f3c", on_behalf_of="wang")
LATER = frozenset({("widget", "destroyed")})


async def test_an_act_says_who_for_whom_from_where_in_which_request_and_why(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, DEPUTY) as tx:
        await audit.record(tx, "painted", "widget", 7, {"changed": {"colour": ["red", "blue"]}}, reason="  faded ")
        (entry,) = await audit.of_entity(tx, "widget", 7)
    assert (entry.actor, entry.on_behalf_of, entry.address, entry.request_id) == (
        "test-engineer", "wang", "192.0.2.7", "5f3c",
    )  # fmt: skip
    assert (entry.reason, entry.details, entry.sealed_number) == (
        "faded",
        {"changed": {"colour": ["red", "blue"]}},
        None,
    )


@pytest.mark.parametrize(
    "details", [{"password": "x"}, {"changed": {"password_hash": ["a", "b"]}}, {"keys": [{"api_token": "x"}]}]
)
async def test_a_secret_never_gets_into_the_record(database: Database, park: Park, details: dict[str, object]) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(audit.SecretDetailError):
            await audit.record(tx, "added", "widget", 7, details)
        assert await audit.of_entity(tx, "widget", 7) == []


async def test_an_act_of_policy_needs_its_reason(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reasons, "asked", lambda: LATER)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        for reason in ("", "   "):
            with pytest.raises(InvalidError, match="Say in a few words why"):
                await audit.record(tx, "destroyed", "widget", 7, reason=reason)
        with pytest.raises(InvalidError, match="at most 500 characters"):
            await audit.record(tx, "destroyed", "widget", 7, reason="x" * 501)
        await audit.record(tx, "destroyed", "widget", 7, reason="burnt")
        assert len(await audit.of_entity(tx, "widget", 7)) == 1


@pytest.mark.parametrize("role", [Role.APP, Role.DOOR, Role.INGEST])
@pytest.mark.parametrize(
    ("column", "value"), [("at", "now()"), ("format", "1"), ("sealed_number", "1"), ("hash", "''"), ("id", "1")]
)
async def test_who_writes_an_act_chooses_neither_its_time_nor_its_place(
    database: Database, park: Park, role: Role, column: str, value: str
) -> None:
    columns = f"organisation_id, actor, action, entity, entity_id, {column}"
    overriding = "OVERRIDING SYSTEM VALUE" if column == "id" else ""
    values = f"'{park.organisation}', 'x', 'x', 'x', 'x', {value}"
    written = f"INSERT INTO audit_entries ({columns}) {overriding} VALUES ({values})"
    async with database.transaction(park.organisation, ENGINEER, role) as tx:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tx.run(written.encode())


@pytest.mark.parametrize("role", [Role.APP, Role.DOOR, Role.INGEST, Role.SEALER])
@pytest.mark.parametrize(
    "act",
    [b"UPDATE audit_entries SET actor = 'x'", b"UPDATE audit_entries SET reason = 'x'", b"DELETE FROM audit_entries",
     b"TRUNCATE audit_entries"],
)  # fmt: skip
async def test_no_program_changes_or_takes_back_an_act(database: Database, park: Park, role: Role, act: bytes) -> None:
    async with database.transaction(park.organisation, ENGINEER, role) as tx:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tx.run(act)
