"""A person's rights: everything that is known of him, and its erasure with what the law keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.access import service as access
from hub.approvals import service as approvals
from hub.approvals.rows import Said
from hub.approvals.views import life
from hub.audit import chain
from hub.audit.anchor import Anchors
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.privacy import definitions, erasure
from hub.privacy import service as privacy
from hub.privacy.rows import Person
from hub.store.database import Database, Role, Transaction
from hub.surveillance import service as surveillance
from hub.work import service as work
from rules.privacy.register import Then
from rules.work.order import Verb
from tests.builders import Park, acting
from tests.builders_people import NOON, OFFICER, OPEN, SENDER, Watched, passed, watch

REASON = "asked at the counter, identity card seen"
SECOND = replace(OFFICER, name="second-officer")
NAME, LOGIN, MAIL, PHONE = "欧阳锦书", "ouyang.jinshu", "ouyang@example.com", "+86 139 1111 2222"


@dataclass(frozen=True)
class Known:
    """A technician who has left traces everywhere, and is a badge holder and a tenant's contact besides."""

    watched: Watched
    person: Person
    user: UUID

    @property
    def organisation(self) -> UUID:
        return self.watched.park.organisation


@pytest.fixture
async def known(database: Database, park: Park) -> Known:
    watched = await watch(database, park)
    organisation = park.organisation
    async with database.transaction(organisation, OFFICER) as tx:
        user = await access.add_user(tx, LOGIN, NAME, "technician", "only for these tests")
        for officer in (OFFICER, SECOND):
            await access.add_user(tx, officer.name, officer.name, "administrator", "only for these tests")
    async with database.transaction(organisation, SENDER) as tx:
        await surveillance.add_badge_events(tx, "RIVERSIDE", [passed(OPEN, NOON, "0815", NAME)], NOON)
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE users SET email = %s, skills = '{hvac}' WHERE id = %s", [MAIL, user])
        owner.execute(
            """UPDATE contacts SET name = %s, phone = %s, email = %s""", [NAME, PHONE, MAIL]
        )  # the same person is whom one speaks to at a tenant
        owner.execute("UPDATE stills SET holder_id = (SELECT id FROM badge_holders WHERE badge = '0815')")
        _traces(owner, user, organisation)
        holder = owner.execute("SELECT id FROM badge_holders WHERE badge = '0815'").fetchone()
    assert holder is not None
    return Known(watched, Person((user,), (watched.contact,), (holder[0],)), user)


def _traces(owner: psycopg.Connection[Any], user: UUID, organisation: UUID) -> None:
    """What the person's work leaves behind, and what others write about him."""
    owner.execute(
        """INSERT INTO alarms (organisation_id, site_id, device_id, rule, rule_version, priority, name_zh, name_en,
               condition_began_at, raised_at, acknowledged_at, acknowledged_by, comment)
           SELECT organisation_id, site_id, id, 'r', 1, 'low', '', '', now(), now(), now(), %s, %s
           FROM devices LIMIT 1""",
        [LOGIN, f"请联系{NAME}，电话 139 1111 2222 或 13911112222"],
    )
    owner.execute(
        """INSERT INTO alarm_events (organisation_id, alarm_id, at, event, actor, note)
           SELECT organisation_id, id, now(), 'acknowledged', %s, %s FROM alarms""",
        [LOGIN, f"{NAME} knows"],
    )
    owner.execute(
        """INSERT INTO work_orders (organisation_id, site_id, space_id, number, title_zh, title_en, skill, zone,
               priority, state, assignee_id, assigned_because_zh, assigned_because_en, created_at, changed_at)
           SELECT organisation_id, site_id, id, 1, '', '', 's', 'A', 'low', 'closed', %s, %s, %s, now(), now()
           FROM spaces LIMIT 1""",
        [user, f"{NAME}：技能符合", f"{NAME} has the skill"],
    )
    for actor, note in ((LOGIN, f"done, mail {MAIL}"), ("engineer", f"thanks to {NAME}")):
        owner.execute(
            """INSERT INTO work_order_events (organisation_id, order_id, submission_id, at, actor, verb, from_state,
                   to_state, note_zh, note_en)
               SELECT organisation_id, id, %s, now(), %s, 'complete', 'arrived', 'done', %s, %s FROM work_orders""",
            [uuid4(), actor, note, note],
        )
    owner.execute(
        """INSERT INTO mails (organisation_id, address, language, subject, body, created_at, due_at)
           VALUES (%s, %s, 'zh', %s, %s, now(), now())""",
        [organisation, MAIL, NAME, f"Dear {NAME}"],
    )


def whole_database(dsn: str) -> Mapping[str, str]:
    """Every row of every table as text."""
    with psycopg.connect(dsn) as owner:
        tables = owner.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        said = {}
        for (table,) in tables:
            row = owner.execute(f"SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t".encode()).fetchone()
            assert row is not None
            said[table] = row[0]
        return said


def tables_with(dsn: str, *words: str) -> dict[str, set[str]]:
    return {word: {t for t, text in whole_database(dsn).items() if word in text} for word in words}


async def approve(database: Database, known: Known, request: UUID) -> None:
    """The second officer approves what he has before him."""
    async with database.transaction(known.organisation, SECOND) as tx:
        asked = await privacy.request(tx, request)
        assert asked.approval is not None
        seen = await life(tx, asked.approval, NOON)
        said = Said("approve", seen.stored.content_hash, seen.stored.round, seen.stored.step, uuid4())
        await approvals.decide(tx, asked.approval, said, NOON)


async def erased(database: Database, known: Known) -> UUID:
    async with database.transaction(known.organisation, OFFICER) as tx:
        request = await privacy.ask_erasure(tx, known.person, REASON, NOON)
    await approve(database, known, request)
    async with database.transaction(known.organisation, OFFICER) as tx:
        await privacy.carry_out(tx, request, NOON)
    return request


async def test_an_export_has_a_section_for_every_table_and_everything_that_is_there(
    database: Database, known: Known
) -> None:
    async with database.transaction(known.organisation, OFFICER) as tx:
        made = await privacy.export(tx, known.person, REASON, NOON)
        recorded = await tx.value(
            b"SELECT count(*) FROM audit_entries WHERE action = 'gave out what is known of a person'"
        )
    assert [section.table for section in made.sections] == list(definitions.register(NOON.date()).by_table)
    rows = {section.table: len(section.records) for section in made.sections}
    spoken_of = {"users", "credentials", "grants", "alarms", "alarm_events", "work_orders", "work_order_events",
                 "mails", "contacts", "badge_events", "badge_holders", "stills", "audit_entries"}  # fmt: skip
    assert {table for table, count in rows.items() if count} == spoken_of
    assert rows["work_order_events"] == 2
    assert (
        len(made.pictures) == rows["stills"] == 2
    )  # also of the sensitive zone, which the officer himself may not see
    assert recorded == 1
    whole = str([section.records for section in made.sections])
    assert "argon2" not in whole
    assert NAME in whole
    assert PHONE in whole


async def test_an_export_shows_nothing_of_others(database: Database, known: Known) -> None:
    async with database.transaction(known.organisation, OFFICER) as tx:
        made = await privacy.export(tx, Person(user_ids=(known.user,)), REASON, NOON)
    assert "孙悦" not in str(made.sections)
    assert not made.pictures


async def test_an_erased_person_is_found_nowhere_but_where_the_register_keeps_him(
    database: Database, known: Known
) -> None:
    dsn = known.watched.park.dsns.owner
    found = tables_with(dsn, NAME, "139 1111 2222", "13911112222", MAIL, LOGIN)
    assert all(found.values())
    assert {"users", "contacts", "badge_holders", "mails", "work_orders", "work_order_events", "alarms",
            "alarm_events"} <= found[NAME]  # fmt: skip
    await erased(database, known)
    left = tables_with(dsn, NAME, "139 1111 2222", "13911112222", MAIL, LOGIN)
    assert left == {NAME: set(), "139 1111 2222": set(), "13911112222": set(), MAIL: set(), LOGIN: {"audit_entries"}}
    assert definitions.register(NOON.date()).by_table["audit_entries"].erasure is Then.KEEP


async def test_what_the_law_keeps_stays_and_the_chain_of_acts_holds(database: Database, known: Known) -> None:
    dsn = known.watched.park.dsns.owner
    async with database.transaction(None, role=Role.SEALER) as tx:
        await chain.seal(tx)
    with psycopg.connect(dsn) as owner:
        before = owner.execute("SELECT array_agg(to_jsonb(a) ORDER BY id) FROM audit_entries a").fetchone()
    await erased(database, known)
    async with database.transaction(None, role=Role.SEALER) as tx:
        await chain.seal(tx)
        verdict = await chain.verify(tx, Anchors(Path(), (), ()), NOON.date())
    with psycopg.connect(dsn) as owner:
        after = owner.execute("SELECT array_agg(to_jsonb(a) ORDER BY id) FROM audit_entries a").fetchone()
        kept = owner.execute("SELECT count(*), min(masked) FROM bank_accounts").fetchone()
        orders = owner.execute("SELECT count(*), max(assigned_because_en) FROM work_orders").fetchone()
    assert before is not None
    assert after is not None
    assert after[0][: len(before[0])] == before[0]
    assert verdict.broken is None
    assert kept == (1, "**** 0000")
    assert orders == (1, f"{erasure.pseudonym(known.user)} has the skill")


async def test_an_erasure_ends_sessions_and_ways_in(database: Database, known: Known) -> None:
    with psycopg.connect(known.watched.park.dsns.owner) as owner:
        owner.execute(
            """INSERT INTO sessions (token_hash, organisation_id, user_id, csrf, created_at, seen_at, expires_at)
               VALUES ('\\x01', %s, %s, '', now(), now(), now() + interval '1 hour')""",
            [known.organisation, known.user],
        )
    await erased(database, known)
    with psycopg.connect(known.watched.park.dsns.owner) as owner:
        for table in ("sessions", "credentials", "password_history", "recovery_codes", "api_tokens", "identities"):
            left = owner.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s".encode(), [known.user]).fetchone()
            assert left == (0,), table
        user = owner.execute("SELECT active, login = name, email FROM users WHERE id = %s", [known.user]).fetchone()
    assert user == (False, True, None)


async def test_evidence_stays_until_its_day_and_the_plan_says_so(database: Database, known: Known) -> None:
    with psycopg.connect(known.watched.park.dsns.owner) as owner:
        owner.execute(
            "UPDATE stills SET kept_until = %s WHERE zone_id = (SELECT id FROM zones WHERE code = %s)",
            [NOON + timedelta(days=10), OPEN],
        )
    async with database.transaction(known.organisation, OFFICER) as tx:
        planned = {one.table: (one.count, one.kept) for one in await erasure.plan(tx, known.person, NOON)}
    assert planned["stills"] == (2, 1)
    assert planned["audit_entries"][0] == planned["audit_entries"][1] > 0
    assert planned["contacts"] == (1, 0)
    request = await erased(database, known)
    async with database.transaction(known.organisation, OFFICER) as tx:
        done = await privacy.request(tx, request)
    assert done.report is not None
    assert done.report["stills"] == {"rows": 2, "kept": 1}
    with psycopg.connect(known.watched.park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM stills").fetchone() == (1,)


async def test_four_eyes_see_every_erasure(database: Database, known: Known) -> None:
    organisation = known.organisation
    async with database.transaction(organisation, OFFICER) as tx:
        request = await privacy.ask_erasure(tx, known.person, REASON, NOON)
        with pytest.raises(ConflictError, match="not been approved"):
            await privacy.carry_out(tx, request, NOON)
        number = (await privacy.request(tx, request)).approval
        assert number is not None
        shown = await life(tx, number, NOON)
        said = Said("approve", shown.stored.content_hash, shown.stored.round, shown.stored.step, uuid4())
        with pytest.raises(ForbiddenError):
            await approvals.decide(tx, number, said, NOON)
    assert NAME not in str(shown.contents)
    assert NAME not in shown.stored.title_en + shown.stored.title_zh
    await approve(database, known, request)
    async with database.transaction(organisation, replace(OFFICER, user_id=known.user)) as tx:
        with pytest.raises(ForbiddenError, match="your own"):
            await privacy.carry_out(tx, request, NOON)
    async with database.transaction(organisation, OFFICER) as tx:
        await privacy.withdraw(tx, request, NOON)
        for attempt in (privacy.carry_out, privacy.withdraw):
            with pytest.raises(ConflictError):
                await attempt(tx, request, NOON)
    assert tables_with(known.watched.park.dsns.owner, NAME)[NAME]


async def test_an_approval_of_one_person_does_not_erase_another(database: Database, known: Known) -> None:
    async with database.transaction(known.organisation, OFFICER) as tx:
        request = await privacy.ask_erasure(tx, Person(contact_ids=known.person.contact_ids), REASON, NOON)
    await approve(database, known, request)
    with psycopg.connect(known.watched.park.dsns.owner) as owner:  # somebody at the database puts another record there
        owner.execute("UPDATE privacy_requests SET user_ids = %s", [[known.user]])
    async with database.transaction(known.organisation, OFFICER) as tx:
        with pytest.raises(ConflictError, match="not what was approved"):
            await privacy.carry_out(tx, request, NOON)


async def test_an_undecided_request_is_withdrawn_with_its_approval(database: Database, known: Known) -> None:
    async with database.transaction(known.organisation, OFFICER) as tx:
        request = await privacy.ask_erasure(tx, known.person, REASON, NOON)
        await privacy.withdraw(tx, request, NOON)
        done = await privacy.request(tx, request)
        states = await tx.value(b"SELECT array_agg(state) FROM approval_requests")
    assert (done.state, states) == ("withdrawn", ["withdrawn"])


async def test_requests_need_somebody_and_a_reason(database: Database, known: Known) -> None:
    stranger = Person(user_ids=(uuid4(),))
    for person, reason, error in (
        (Person(), REASON, InvalidError),
        (known.person, " ", InvalidError),
        (known.person, "x" * 501, InvalidError),
        (Person(user_ids=tuple(uuid4() for _ in range(51))), REASON, InvalidError),
        (stranger, REASON, NotFoundError),
    ):
        async with database.transaction(known.organisation, OFFICER) as tx:
            with pytest.raises(error):
                await privacy.ask_erasure(tx, person, reason, NOON)
            with pytest.raises(error):
                await privacy.export(tx, person, reason, NOON)


@pytest.mark.parametrize("text", ["锦书", LOGIN, MAIL, "13911112222", "0815"])
async def test_a_person_is_found_by_whatever_is_known_of_him(database: Database, known: Known, text: str) -> None:
    async with database.transaction(known.organisation, OFFICER) as tx:
        found = await privacy.find(tx, text)
        entries = await tx.value(b"SELECT string_agg(details::text, '') FROM audit_entries WHERE entity = 'privacy'")
    assert set(known.person.ids) & {one.id for one in found}
    assert text not in entries


async def test_nobody_is_exported_or_erased_across_organisations(database: Database, known: Known) -> None:
    with psycopg.connect(known.watched.park.dsns.owner) as owner:
        other = owner.execute(
            "INSERT INTO organisations (code, name_zh, name_en) VALUES ('OTHER', '', '') RETURNING id"
        ).fetchone()
    assert other is not None
    before = whole_database(known.watched.park.dsns.owner)
    async with database.transaction(other[0], OFFICER) as tx:
        with pytest.raises(NotFoundError):
            await privacy.export(tx, known.person, REASON, NOON)
        await erasure.erase(tx, known.person, NOON)
    after = whole_database(known.watched.park.dsns.owner)
    assert {table for table in before if before[table] != after[table]} <= {"audit_entries"}


async def keeper(tx: Transaction, statement: str) -> None:
    async with tx.connection.transaction(), tx.under(Role.KEEPER):
        await tx.run(statement.encode())


async def test_the_keeper_can_do_nothing_else(database: Database, known: Known) -> None:
    async with database.transaction(known.organisation, acting("k", "administrator")) as tx:
        for statement in (
            "DELETE FROM audit_entries", "DELETE FROM invoices", "UPDATE tenants SET address = ''",
            "SELECT number FROM bank_accounts", "SELECT password_hash FROM credentials", "DELETE FROM users",
            "INSERT INTO contacts (organisation_id) VALUES (plantroom.organisation())", "SELECT * FROM samples",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await keeper(tx, statement)
            await tx.become(Role.APP)


async def test_what_a_note_says_stands_in_the_history_of_the_order_and_not_in_the_record(
    database: Database, known: Known
) -> None:
    async with database.transaction(known.organisation, acting("engineer", "engineer")) as tx:
        await tx.run(b"UPDATE work_orders SET state = 'verified'")
        order = await tx.value(b"SELECT id FROM work_orders")
        await work.act(tx, order, Verb.CLOSE, uuid4(), NOON, note=f"as {NAME} said")
        record = await tx.value(b"SELECT string_agg(to_jsonb(a)::text, '') FROM audit_entries a")
        history = await tx.value(b"SELECT string_agg(note_en, '') FROM work_order_events")
    assert NAME in history
    assert NAME not in record
    await erased(database, known)
    assert tables_with(known.watched.park.dsns.owner, NAME)[NAME] == set()


@pytest.mark.parametrize(
    ("said", "words", "left"),
    [
        ("call Li Wei, light on", ["li wei", "li"], "call X, light on"),
        ("\u627e\u5f20\u4f1f\u8c08", ["\u5f20\u4f1f"], "\u627eX\u8c08"),
        ("139 1111-2222, 13911112222, 213911112222", ["13911112222"], "X, X, 213911112222"),
        ("a.b+c@example.com or axb+c@example.com", ["a.b+c@example.com"], "X or axb+c@example.com"),
        ("100% (sure)", ["(sure)", "%"], "100% X"),
        ("nothing", [], "nothing"),
    ],
)
async def test_a_text_without_somebody_keeps_everybody_else(
    database: Database, known: Known, said: str, words: list[str], left: str
) -> None:
    async with database.transaction(known.organisation) as tx:
        assert await tx.value(b"SELECT plantroom.without(%(s)s, %(w)s, 'X')", {"s": said, "w": words}) == left


def test_the_register_begins_before_these_tests() -> None:
    assert definitions.register(date(2026, 11, 24)).entries
