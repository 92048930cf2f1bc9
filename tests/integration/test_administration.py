"""Accounts and roles as administrators keep them: what they may do, what nobody may, and what ends at once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.access import administration, invitation, session, tokens
from hub.access import service as access
from hub.access.administration import Newcomer, Scope
from hub.access.rights import RIGHTS, Right
from hub.access.tokens import Reach, TokenRefusedError
from hub.assets import service as assets
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database
from rules.model.site import Organisation
from tests.builders import Park, acting

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
PASSWORD = "only for these tests"


class Office:
    """An administrator's desk: ``boss`` and ``second`` are administrators, ``li`` an engineer."""

    def __init__(self, database: Database, park: Park, ids: dict[str, UUID]) -> None:
        self.database, self.park, self.ids = database, park, ids
        self.boss = replace(acting("boss", "administrator"), user_id=ids["boss"])

    def by(self, name: str, role: str = "administrator") -> Actor:
        return replace(acting(name, role), user_id=self.ids[name])

    async def give(self, name: str, role: str, scope: Scope = Scope(), by: Actor | None = None) -> None:  # noqa: B008
        async with self.database.transaction(self.park.organisation, by or self.boss) as tx:
            await administration.give(tx, self.ids[name], role, scope)

    async def roles(self, name: str) -> list[tuple[str, str]]:
        async with self.database.transaction(self.park.organisation, self.boss) as tx:
            held = await administration.member(tx, self.ids[name], datetime.now(UTC))
            return [(one.role, one.scope) for one in held.roles]

    async def end(self, name: str, role: str, by: Actor | None = None) -> None:
        async with self.database.transaction(self.park.organisation, by or self.boss) as tx:
            held = await administration.roles(tx, self.ids[name])
            grant = next(one.id for one in held if one.role == role)
            await administration.end_role(tx, self.ids[name], grant, datetime.now(UTC))


@pytest.fixture
async def office(database: Database, park: Park) -> Office:
    ids = {}
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        for login, role in (("boss", "administrator"), ("second", "administrator"), ("li", "engineer")):
            ids[login] = await access.add_user(tx, login, login, role, PASSWORD)
    return Office(database, park, ids)


async def test_an_administrator_gives_roles_at_places_and_takes_them_back(office: Office) -> None:
    await office.give("li", "technician", Scope(office.park.site, until=NOW + DAY))
    assert sorted(await office.roles("li")) == [("engineer", "organisation"), ("technician", "site")]
    await office.end("li", "technician")
    assert await office.roles("li") == [("engineer", "organisation")]
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        acts = await audit.of_entity(tx, "user", office.ids["li"])
        assert [(act.actor, act.action) for act in acts[:2]] == [("boss", "ended a role"), ("boss", "granted")]
        assert acts[0].details["role"] == "technician"


async def test_a_role_that_has_not_begun_is_taken_back_without_having_held_for_a_moment(office: Office) -> None:
    await office.give("li", "auditor", Scope(since=NOW + DAY, until=NOW + 2 * DAY))
    assert ("auditor", "organisation") in await office.roles("li")
    await office.end("li", "auditor")
    with psycopg.connect(office.park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM grants WHERE role = 'auditor'").fetchone() == (0,)


async def test_nobody_changes_his_own_roles_nor_closes_his_own_account(office: Office) -> None:
    with pytest.raises(ForbiddenError):
        await office.give("boss", "technician")
    with pytest.raises(ForbiddenError):
        await office.end("boss", "administrator")
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        for act in (administration.deactivate(tx, office.ids["boss"], NOW),
                    administration.reactivate(tx, office.ids["boss"])):  # fmt: skip
            with pytest.raises(ForbiddenError):
                await act


@pytest.mark.parametrize("role", sorted(RIGHTS))
async def test_nobody_gives_more_than_he_may_do_himself(office: Office, role: str) -> None:
    weak = replace(acting("second", "manager"), user_id=office.ids["second"])
    weak = replace(weak, rights=(weak.rights or frozenset()) | {Right.MANAGE_USERS})
    allowed = role in ("manager", "engineer", "technician")
    try:
        await office.give("li", role, by=weak)
        given = True
    except (ForbiddenError, InvalidError, ConflictError):
        given = False
    assert given == allowed


async def test_a_role_with_a_clearance_is_known_as_one(office: Office) -> None:
    assert {role for role in RIGHTS if administration.carries_clearance(role, Scope())} == {"billing", "security"}
    with pytest.raises(ConflictError, match="second administrator"):
        await office.give("li", "security")
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        await administration.give(tx, office.ids["li"], "security", Scope(), approved=True)


async def test_the_last_administrator_stays(office: Office) -> None:
    await office.end("second", "administrator")
    with pytest.raises(ConflictError, match="last administrator"):
        await office.end("boss", "administrator", by=office.by("second"))
    async with office.database.transaction(office.park.organisation, office.by("second")) as tx:
        with pytest.raises(ConflictError, match="last administrator"):
            await administration.deactivate(tx, office.ids["boss"], NOW)
    await office.give("li", "administrator", Scope(until=NOW + DAY))
    with pytest.raises(ConflictError, match="last administrator"):  # for a day is not for good
        await office.end("boss", "administrator", by=office.by("second"))


async def test_two_administrators_who_end_each_other_at_once_leave_one(office: Office) -> None:
    done = await asyncio.gather(
        office.end("second", "administrator"),
        office.end("boss", "administrator", by=office.by("second")),
        return_exceptions=True,
    )
    assert sorted(type(one) for one in done if one is not None) == [ConflictError] or done == [None, None]
    left = {("administrator", "organisation")} & {*await office.roles("boss"), *await office.roles("second")}
    assert left


async def test_a_closed_account_is_out_at_once_with_its_sessions_tokens_and_invitations(office: Office) -> None:
    opened = await access.sign_in(office.database, "li", PASSWORD, "127.0.0.1", NOW)
    async with office.database.transaction(office.park.organisation, office.by("li", "engineer")) as tx:
        reach = Reach(frozenset({Right.SEE_POINTS}))
        _, secret = await tokens.create(tx, office.ids["li"], "x", reach, NOW + DAY, NOW)
        link = await invitation.make(tx, office.ids["li"], "invitation", NOW)
    assert await tokens.visitor(office.database, secret, "", NOW)
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        await administration.deactivate(tx, office.ids["li"], NOW)
        with pytest.raises(ConflictError):
            await administration.deactivate(tx, office.ids["li"], NOW)
        assert (await administration.member(tx, office.ids["li"], NOW)).state == "ended"
    assert await access.visitor(office.database, opened.token, NOW) is None
    with psycopg.connect(office.park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    for _ in ("closed", "open again"):
        with pytest.raises(TokenRefusedError):
            await tokens.visitor(office.database, secret, "", NOW)
        with pytest.raises(ForbiddenError):
            await invitation.read(office.database, link.path.partition("#")[2], NOW)
        async with office.database.transaction(office.park.organisation, office.boss) as tx:
            if not (await administration.user(tx, office.ids["li"])).active:
                await administration.reactivate(tx, office.ids["li"])
    assert (await access.sign_in(office.database, "li", PASSWORD, "127.0.0.1", NOW)).token


async def test_who_was_erased_is_not_opened_again(office: Office) -> None:
    with psycopg.connect(office.park.dsns.owner) as owner:
        owner.execute("UPDATE users SET active = false, login = 'erased-0123456789ab' WHERE login = 'li'")
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        with pytest.raises(ConflictError, match="erased"):
            await administration.reactivate(tx, office.ids["li"])


async def test_a_newcomer_gets_an_account_that_nothing_opens_but_his_invitation(office: Office) -> None:
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        guest = Newcomer("Zhang.Wei", "张伟", "contractor", "zhang@example.com", "zh")
        user_id = await administration.add(tx, guest, Scope(office.park.site, until=NOW + DAY))
        found = await administration.member(tx, user_id, NOW)
        assert (found.state, found.person.kind, found.roles[0].scope) == ("locked_out", "contractor", "site")
        await invitation.make(tx, user_id, "invitation", NOW)
        assert (await administration.member(tx, user_id, NOW)).state == "invited"
    with pytest.raises(ForbiddenError):
        await access.sign_in(office.database, "zhang.wei", "", "127.0.0.1", NOW)


async def test_a_newcomer_with_a_clearance_has_no_role_before_somebody_else_approves(office: Office) -> None:
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        user_id = await administration.add(tx, Newcomer("guard", "Guard", "security", None, "zh"), Scope())
        assert (await administration.member(tx, user_id, NOW)).roles == ()


async def test_a_newcomer_of_nobodys_tenant_or_beyond_the_rules_is_refused(office: Office) -> None:
    for newcomer in (
        Newcomer("x.y", "X", "tenant", None, "zh", tenant_id=uuid4()),
        Newcomer("x.y", "X", "tenant", None, "zh"),
        Newcomer("x.y", "X", "engineer", None, "fr"),
        Newcomer("x.y", "X", "engineer", "nobody", "zh"),
        Newcomer("\u0430dmin", "X", "engineer", None, "zh"),
        Newcomer("x.y", "", "engineer", None, "zh"),
        Newcomer("x.y", "X", "nonsense", None, "zh"),
    ):
        with pytest.raises(InvalidError):
            async with office.database.transaction(office.park.organisation, office.boss) as tx:
                await administration.add(tx, newcomer, Scope())


async def test_another_organisation_reaches_nobody_of_ours(office: Office) -> None:
    dsns = office.park.dsns
    other = assets.open_organisation(dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other"))
    stranger = acting("stranger", "administrator")
    li = office.ids["li"]
    with psycopg.connect(dsns.owner) as owner:
        grant: UUID = owner.execute("SELECT id FROM grants WHERE user_id = %s", [li]).fetchone()[0]  # type: ignore[index]
    async with office.database.transaction(other, stranger) as tx:
        assert await administration.members(tx, NOW) == []
        for act in (
            administration.member(tx, li, NOW), administration.give(tx, li, "technician", Scope()),
            administration.end_role(tx, li, grant, NOW), administration.deactivate(tx, li, NOW),
            administration.reactivate(tx, li), administration.change(tx, li, "X", "en"),
            invitation.make(tx, li, "invitation", NOW),
        ):  # fmt: skip
            with pytest.raises(NotFoundError):
                await act
        assert await session.end_all(tx, li) == 0
    assert await office.roles("li") == [("engineer", "organisation")]


async def test_a_role_is_ended_by_its_own_users_page_only(office: Office) -> None:
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        (held,) = await administration.roles(tx, office.ids["li"])
        with pytest.raises(NotFoundError):
            await administration.end_role(tx, office.ids["second"], held.id, NOW)


async def test_a_change_of_name_is_recorded_with_before_and_after(office: Office) -> None:
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        await administration.change(tx, office.ids["li"], " Li Wei ", "en")
        with pytest.raises(InvalidError):
            async with tx.connection.transaction():
                await administration.change(tx, office.ids["li"], "Li\u202eWei", "en")
        (act, *_) = await audit.of_entity(tx, "user", office.ids["li"])
    assert act.details["changed"] == {"name": ["li", "Li Wei"], "language": ["zh", "en"]}


async def test_last_seen_moves_with_every_minute_of_use_and_stays_when_the_session_is_over(office: Office) -> None:
    opened = await access.sign_in(office.database, "li", PASSWORD, "127.0.0.1", NOW)
    later = NOW + timedelta(minutes=5)
    assert await access.visitor(office.database, opened.token, later)
    await access.sign_out(office.database, opened.token)
    async with office.database.transaction(office.park.organisation, office.boss) as tx:
        assert (await administration.member(tx, office.ids["li"], NOW)).person.seen_at == later
