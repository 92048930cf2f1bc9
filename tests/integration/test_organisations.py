"""Organisations, groups, and roles over them: opened, closed and given by the operator of the installation."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.register import ACTOR
from hub.access import administration, groups
from hub.access import service as access
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Database
from tests.builders import ENGINEER, Dsns, Park

NOW = datetime.now(UTC).replace(microsecond=0)
PASSWORD = "only for these tests"


async def opened(dsns: Dsns, code: str, group: str | None = None) -> UUID:
    async with groups.operator(dsns.owner, ACTOR) as tx:
        return await groups.open_organisation(tx, code, f"{code}-zh", f"{code}-en", group)


async def test_an_organisation_is_opened_once_and_renamed_after(database: Database, dsns: Dsns) -> None:
    async with groups.operator(dsns.owner, ACTOR) as tx:
        await groups.open_group(tx, "RIVER", "河畔集团", "River Group")
        first = await groups.open_organisation(tx, "NORTH", "北园", "North")
        again = await groups.open_organisation(tx, "NORTH", "北园", "North Park", "RIVER")
        kept = await groups.open_organisation(tx, "NORTH", "北园", "North Park")
        (found,) = await groups.organisations(tx)
        with pytest.raises(NotFoundError, match="group 'NONE'"):
            await groups.open_organisation(tx, "NORTH", "北园", "North Park", "NONE")
    assert first == again == kept
    assert (found.name_en, found.group_code, found.closed_at) == ("North Park", "RIVER", None)
    async with database.transaction(first, ENGINEER) as tx:
        acts = await audit.of_entity(tx, "organisation", first)
    assert [(act.actor, act.action) for act in acts] == [
        ("plantroom/command", "changed"),
        ("plantroom/command", "opened"),
    ]
    assert acts[0].details["changed"] == {"name_en": ["North", "North Park"], "group_code": ["", "RIVER"]}


async def test_nobody_signs_in_to_a_closed_organisation_and_its_records_stay(
    database: Database, park: Park, dsns: Dsns
) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.add_user(tx, "li.wei", "Li Wei", "engineer", PASSWORD)
    before = await access.sign_in(database, "li.wei", PASSWORD, "127.0.0.1", NOW)
    code = park.file.organisation.code
    async with groups.operator(dsns.owner, ACTOR) as tx:
        with pytest.raises(InvalidError, match="Say in a few words why"):
            async with tx.connection.transaction():
                await groups.close_organisation(tx, code, NOW, reason=" ")
        await groups.close_organisation(tx, code, NOW, reason="sold")
        with pytest.raises(ConflictError):
            await groups.close_organisation(tx, code, NOW, reason="sold")
    assert await access.visitor(database, before.token, NOW) is None
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert await tx.value(b"SELECT count(*) FROM devices") > 0
    async with groups.operator(dsns.owner, ACTOR) as tx:
        await groups.reopen_organisation(tx, code)
        with pytest.raises(ConflictError):
            await groups.reopen_organisation(tx, code)
    assert await access.visitor(database, before.token, NOW) is not None


async def test_a_role_over_the_group_is_given_to_its_own_staff_only(database: Database, park: Park, dsns: Dsns) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        head = await access.add_user(tx, "head", "Head", "engineer", PASSWORD)
        await access.add_user(tx, "fixer", "Fixer", "contractor", PASSWORD)
    async with groups.operator(dsns.owner, ACTOR) as tx:
        await groups.open_group(tx, "RIVER", "河畔集团", "River Group")
        with pytest.raises(InvalidError, match="put it there first"):
            await groups.grant(tx, "head", "auditor", "RIVER", None, None)
        found = park.file.organisation
        await groups.open_organisation(tx, found.code, found.name_zh, found.name_en, "RIVER")
        for login, role in (("fixer", "contractor"), ("fixer", "auditor"), ("head", "tenant"), ("head", "integration")):
            with pytest.raises(InvalidError, match="only staff"):
                await groups.grant(tx, login, role, "RIVER", None, None)
        with pytest.raises(NotFoundError):
            await groups.grant(tx, "nobody", "auditor", "RIVER", None, None)
        await groups.grant(tx, "HEAD", "auditor", "RIVER", None, NOW + timedelta(days=1))
    token = (await access.sign_in(database, "head", PASSWORD, "127.0.0.1", NOW)).token
    who = await access.visitor(database, token, NOW)
    assert who is not None
    assert who.roles == ("engineer", "auditor")
    async with groups.operator(dsns.owner, ACTOR) as tx:
        await groups.revoke(tx, "head", "auditor", "RIVER", NOW)
        with pytest.raises(ConflictError):
            await groups.revoke(tx, "head", "auditor", "RIVER", NOW)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        acts = [act.action for act in await audit.of_entity(tx, "user", head)]
    assert acts[0] == "ended a role"


async def test_whoever_is_not_the_owner_of_the_schema_is_no_operator(dsns: Dsns) -> None:
    with pytest.raises(ForbiddenError, match="owner of the schema"):
        async with groups.operator(dsns.hub, ACTOR) as tx:
            await groups.open_group(tx, "RIVER", "河畔集团", "River Group")


def plantroom(monkeypatch: pytest.MonkeyPatch, dsns: Dsns, data: Path, *words: str) -> str:
    """Run a command against the test's own database; gives what it says."""
    monkeypatch.setenv("PLANTROOM_DATABASE_DSN", dsns.owner)
    monkeypatch.setenv("PLANTROOM_DATA", str(data))
    monkeypatch.setattr("deploy.acts.prepare", lambda *_: dsns.hub)
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_open_grant_and_revoke(
    park: Park, dsns: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, site = park.file.organisation.code, park.file.site.code

    def run(*words: str) -> str:
        return plantroom(monkeypatch, dsns, tmp_path, *words)

    run("group", "open", "RIVER", "--name-zh", "河畔集团", "--name-en", "River Group")
    run("organisation", "open", "NORTH", "--name-zh", "北园", "--name-en", "North", "--group", "RIVER")
    run("organisation", "close", "NORTH", "--because", "sold")
    assert "closed" in run("organisation", "list")
    run("organisation", "reopen", "NORTH")
    secret = run("token", "create", "bms", "--name", "nightly", "--right", "see_points", "--site", site,
                 "--organisation", code).strip()  # fmt: skip
    assert secret.startswith("plantroom_")
    run("user", "grant", "bms", "integration", "--site", site, "--until", "2099-01-01", "--organisation", code)
    run("user", "revoke", "bms", "integration", "--site", site, "--organisation", code)
    assert "bms/nightly" in run("token", "list", "--organisation", code)
    run("token", "revoke", "bms/nightly", "--organisation", code)
    listed = run("token", "list", "--organisation", code)
    assert "revoked" in listed
    assert secret not in listed
    with psycopg.connect(dsns.owner) as owner:
        rows = owner.execute("SELECT scope, until > now() FROM grants WHERE role = 'integration'").fetchall()
    assert sorted(rows) == [("organisation", None), ("site", False)]


@pytest.mark.parametrize(
    "words",
    [
        ("user", "grant", "bms", "engineer", "--building", "A"),
        ("user", "grant", "bms", "engineer", "--site", "X", "--group", "G"),
        ("user", "grant", "bms", "nonsense"),
        ("user", "revoke", "nobody", "engineer"),
        ("token", "create", "bms", "--name", "x", "--right", "manage_users"),
        ("token", "revoke", "bms/none"),
        ("organisation", "close", "NOWHERE", "--because", "sold"),
        ("user", "grant", "bms", "engineer", "--from", "tomorrow"),
    ],
)
async def test_a_misused_command_is_refused_with_a_sentence(
    database: Database, park: Park, dsns: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    async with database.transaction(park.organisation, ACTOR) as tx:
        await administration.add_service_account(tx, "bms", "bms")
    with pytest.raises((InvalidError, NotFoundError, ConflictError, ValueError)):
        await asyncio.to_thread(plantroom, monkeypatch, dsns, tmp_path, *words)
