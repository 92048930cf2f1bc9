"""``plantroom user`` and ``plantroom keys``: people are invited, start anew, and what is sealed gets a new key."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy import keys
from deploy.cli import app
from deploy.settings import read
from hub.access import factor, invitation
from hub.access import service as access
from hub.access.vault import Vault, key_of
from hub.audit import service as audit
from hub.errors import ForbiddenError
from hub.store.database import Actor, Database, Role
from tests.builders import ENGINEER, Dsns, Park
from tests.conftest import HUB_PASSWORD

LINK = re.compile(r"http\S+/welcome#(\S+)")
NEW = "seven quiet llamas graze"


class Operator:
    """Somebody at the command line of an installation."""

    def __init__(self, dsns: Dsns, data: Path) -> None:
        self.data = data
        (data / "hub-password").write_text(HUB_PASSWORD)
        self.settings = {"PLANTROOM_DATABASE_DSN": dsns.owner, "PLANTROOM_DATA": str(data)}

    async def __call__(self, *words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=self.settings)


@pytest.fixture
def operator(dsns: Dsns, tmp_path: Path) -> Operator:
    return Operator(dsns, tmp_path)


async def accept(database: Database, output: str) -> None:
    found = LINK.search(output)
    assert found is not None, output
    await invitation.accept(database, found[1], NEW, Actor("?"), datetime.now(UTC))


async def test_somebody_who_is_added_gets_a_link_and_no_password(
    database: Database, park: Park, operator: Operator
) -> None:
    done = await operator(
        "user", "add", "li.wei", "--role", "engineer", "--email", "li@example.com", "--language", "en"
    )
    assert (done.exit_code, "within 3 days" in done.output, "sign in with" in done.output) == (0, True, False)
    with psycopg.connect(park.dsns.owner) as owner:
        assert owner.execute("SELECT password_hash FROM credentials").fetchone() == (None,)
        assert owner.execute("SELECT address, language FROM mails").fetchone() == ("li@example.com", "en")
    await accept(database, done.output)
    assert (await access.sign_in(database, "li.wei", NEW, "127.0.0.1", datetime.now(UTC))).token


async def test_a_script_may_give_a_password_in_a_file(
    database: Database, park: Park, operator: Operator, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("li.wei.li.wei\n")
    words = ("user", "add", "li.wei", "--role", "engineer", "--password-file", str(secret))
    assert (await operator(*words)).exit_code != 0
    secret.write_text(f"{NEW}\n")
    done = await operator(*words)
    assert (done.exit_code, LINK.search(done.output)) == (0, None)
    assert (await access.sign_in(database, "li.wei", NEW, "127.0.0.1", datetime.now(UTC))).token


async def test_another_link_ends_the_first(database: Database, park: Park, operator: Operator) -> None:
    first = await operator("user", "add", "li.wei", "--role", "engineer")
    second = await operator("user", "invite", "li.wei")
    with pytest.raises(ForbiddenError):
        await accept(database, first.output)
    await accept(database, second.output)
    assert (await operator("user", "invite", "nobody")).exit_code != 0


async def test_whoever_lost_his_factor_gets_a_link_and_the_reason_is_kept(
    database: Database, park: Park, operator: Operator
) -> None:
    await operator("user", "add", "li.wei", "--role", "engineer")
    assert (await operator("user", "reset-factor", "li.wei")).exit_code != 0
    done = await operator("user", "reset-factor", "li.wei", "--reason", "phone lost, came in person")
    await accept(database, done.output)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        (user,) = await access.users(tx)
        reasons = [act.reason for act in await audit.of_entity(tx, "user", user.id) if act.reason]
    assert reasons == ["phone lost, came in person"]


async def test_a_new_key_takes_over_and_phones_go_on_working(
    database: Database, park: Park, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTROOM_DATA", str(operator.data))
    settings = read()
    keeper = keys.keeper(settings)
    path = operator.data / "keys.json"
    assert (path.stat().st_mode & 0o777, settings.second_factor, keeper.policy) == (0o600, "required", None)
    now, seed = datetime.now(UTC), factor.new_seed()
    async with database.transaction(park.organisation, ENGINEER) as tx:
        user_id = await access.add_user(tx, "li.wei", "Li", "engineer", NEW)
    async with database.transaction(park.organisation, ENGINEER, Role.DOOR) as tx:
        await factor.set_up(tx, keeper.vault, user_id, seed, factor.code(seed, factor.step_of(now)), now)
        await tx.run(b"UPDATE credentials SET totp_step = 0")
        before = await tx.value(b"SELECT totp_seed FROM credentials")
    done = await operator("keys", "rotate")
    assert (done.exit_code, "1 second factors lie under the new key" in done.output) == (0, True)
    kept = json.loads(path.read_text("utf-8"))["keys"]
    async with database.transaction(park.organisation, ENGINEER, Role.DOOR) as tx:
        after = await tx.value(b"SELECT totp_seed FROM credentials")
        assert [key_of(before), key_of(after)] == [one["id"] for one in kept]
        proved = await factor.prove(tx, keeper.vault, user_id, factor.code(seed, factor.step_of(now)), now)
    assert proved == "totp"  # the vault was opened before the new key was made
    assert Vault.of(path).open(before, "credentials", user_id) == seed


async def test_a_file_of_keys_that_is_named_must_be_there(
    park: Park, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.settings["PLANTROOM_KEYS_FILE"] = str(tmp_path / "none.json")
    assert (await operator("keys", "rotate")).exit_code != 0
    assert not (tmp_path / "none.json").exists()


def test_a_setting_that_is_no_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTROOM_SECOND_FACTOR", "sometimes")
    with pytest.raises(Exception, match="PLANTROOM_SECOND_FACTOR"):
        read()
