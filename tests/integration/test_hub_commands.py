"""A command is given by an engineer, within its limits, with a second person where it is critical; it is recorded."""

import asyncio
from datetime import UTC, datetime, timedelta
from tomllib import loads
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.commands import outbox
from hub.commands import service as commands
from hub.commands.rows import Due
from hub.commands.service import COMMANDS_MAX, LIFE
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database, Role
from rules.control.command import Answer, Outcome
from rules.model.site import parse
from tests.builders import Dsns
from tests.commanding import POINT, park_text
from tests.commanding_hub import Plantroom, plantroom

NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
INGEST = Actor("plantroom/ingest")


@pytest.fixture
async def room(database: Database, dsns: Dsns) -> Plantroom:
    return await plantroom(database, dsns)


@pytest.fixture
async def critical(database: Database, dsns: Dsns) -> Plantroom:
    return await plantroom(database, dsns, critical=True)


async def send(room: Plantroom, now: datetime) -> list[Due]:
    async with room.database.transaction(None, INGEST, Role.INGEST) as tx:
        return await outbox.send(tx, now)


async def close(room: Plantroom, answer: Answer, now: datetime = NOW, gateway: str = "GW-1") -> bool:
    async with room.database.transaction(None, INGEST, Role.INGEST) as tx:
        return await outbox.close(tx, "S1", gateway, answer, now)


async def lapse(room: Plantroom, now: datetime) -> int:
    async with room.database.transaction(room.park.organisation, Actor("plantroom/jobs")) as tx:
        return await outbox.lapse(tx, now)


async def test_a_command_is_a_row_with_its_record_and_goes_out_until_it_is_answered(room: Plantroom) -> None:
    given = await room.give(20.5, NOW, reason="too warm")
    assert (given.state, given.given_by, given.issued_at, given.expires_at) == ("given", "fay", NOW, NOW + LIFE)
    assert (given.point, given.unit, given.value) == (POINT, "°C", 20.5)
    (due,) = await send(room, NOW)
    assert (due.site, due.gateway, due.device, due.measure, due.value) == (
        "S1",
        "GW-1",
        "AHU-1",
        "supply_setpoint",
        20.5,
    )
    assert await send(room, NOW + SECOND) == []
    assert [one.id for one in await send(room, NOW + outbox.SEND_AGAIN)] == [given.id]
    answer = Answer(str(given.id), Outcome.DONE, NOW, 20.5)
    assert await close(room, answer, NOW + SECOND)
    assert not await close(room, answer, NOW + 2 * SECOND)  # said again: nothing more
    stands = await room.stands(given.id)
    assert (stands.state, stands.shown, stands.answered_at) == ("done", 20.5, NOW + SECOND)
    assert await send(room, NOW + 2 * outbox.SEND_AGAIN) == []
    assert room.acts() == [("fay", "gave", "too warm"), ("plantroom/ingest", "answered", "")]


async def test_the_same_submission_is_one_command_and_another_under_its_id_is_refused(room: Plantroom) -> None:
    first = await room.give(20.0, NOW)
    assert await room.give(20.0, NOW + SECOND, id=first.id) == first
    for other in ({"value": 21.0}, {"login": "gil"}, {"reason": "other"}):
        with pytest.raises(ConflictError, match="used for another"):
            await room.give(**{"value": 20.0, "now": NOW + SECOND, "id": first.id, **other})
    assert room.rows("SELECT count(*) FROM commands") == [(1,)]


@pytest.mark.parametrize("login", ["max", "eve"])
async def test_only_engineers_give_commands(room: Plantroom, login: str) -> None:
    with pytest.raises(ForbiddenError, match="ask an engineer"):
        await room.give(20.0, NOW, login=login)
    assert room.rows("SELECT count(*) FROM commands") == [(0,)]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"value": 15.9}, "from 16 to 24 °C"),
        ({"value": float("nan")}, "from 16 to 24 °C"),
        ({"value": float("inf")}, "from 16 to 24 °C"),
        ({"value": None}, "knows no priorities"),
        ({"reason": "x" * 501}, "at most 500"),
    ],
)
async def test_what_the_site_file_does_not_allow_is_refused(
    room: Plantroom, asked: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidError, match=says):
        await room.give(**{"value": 20.0, "now": NOW, **asked})  # type: ignore[arg-type]


async def test_a_point_and_a_person_have_their_pace(room: Plantroom) -> None:
    await room.give(20.0, NOW)
    with pytest.raises(ConflictError, match="wait 1 s"):
        await room.give(21.0, NOW + SECOND / 2, login="gil")
    for n in range(1, COMMANDS_MAX):
        await room.give(20.0, NOW + n * SECOND)
    with pytest.raises(ConflictError, match="20 commands within a minute"):
        await room.give(20.0, NOW + COMMANDS_MAX * SECOND)
    await room.give(20.0, NOW + COMMANDS_MAX * SECOND, login="gil")
    await room.give(20.0, NOW + timedelta(minutes=2))


async def test_many_at_once_do_not_get_past_the_pace(room: Plantroom) -> None:
    said = await asyncio.gather(*(room.give(20.0, NOW) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(one, Exception) for one in said) == 1


async def test_a_critical_point_wants_a_reason_and_a_second_person(critical: Plantroom) -> None:
    with pytest.raises(InvalidError, match="critical"):
        await critical.give(20.0, NOW)
    asked = await critical.give(20.0, NOW, reason="pump is changed")
    assert (asked.state, asked.issued_at, asked.approval_state) == ("asked", None, "open")
    assert await send(critical, NOW) == []
    with pytest.raises(ConflictError, match="approv"):
        await critical.give_approved(asked, NOW + SECOND)
    with pytest.raises(ForbiddenError):
        await critical.agree(asked, NOW + SECOND, login="fay")  # not his own
    await critical.agree(asked, NOW + SECOND)
    with pytest.raises(ConflictError, match="Who asked"):
        await critical.give_approved(asked, NOW + 2 * SECOND, login="gil")
    given = await critical.give_approved(asked, NOW + 2 * SECOND)
    assert (given.state, given.seconded_by, given.issued_at) == ("given", "gil", NOW + 2 * SECOND)
    assert await critical.give_approved(asked, NOW + 3 * SECOND) == given  # once
    (due,) = await send(critical, NOW + 3 * SECOND)
    assert due.seconded
    assert [act for _, act, _ in critical.acts()] == ["asked for", "gave"]


async def test_what_was_agreed_to_is_done_within_the_limits_of_today_only(
    critical: Plantroom, database: Database
) -> None:
    asked = await critical.give(20.0, NOW, reason="pump is changed")
    await critical.agree(asked, NOW + SECOND)
    lower = parse(loads(park_text(502, critical=True).replace("high = 24", "high = 19")))
    async with critical.as_("eve") as tx:
        await commands.register(tx, critical.park.site, lower)
    with pytest.raises(InvalidError, match="16 to 19"):
        await critical.give_approved(asked, NOW + 2 * SECOND)


async def test_the_table_itself_refuses_a_critical_command_of_one_person(critical: Plantroom) -> None:
    asked = await critical.give(20.0, NOW, reason="pump is changed")
    with psycopg.connect(critical.park.dsns.owner) as owner, pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(
            "UPDATE commands SET state = 'given', issued_at = now(), expires_at = now() + interval '1 minute', "
            "seconded_by = given_by WHERE id = %s",
            [asked.id],
        )


async def test_nothing_is_sent_after_its_end_and_silence_is_told_truthfully(room: Plantroom) -> None:
    never = await room.give(20.0, NOW)
    assert await send(room, NOW + LIFE) == []
    later = NOW + timedelta(minutes=5)
    sent = await room.give(21.0, later)
    assert [one.id for one in await send(room, later)] == [sent.id]
    assert await lapse(room, later + LIFE) == 1
    assert (await room.stands(never.id)).state == "expired"
    assert await lapse(room, later + LIFE + outbox.ANSWER_TIME + SECOND) == 1
    assert (await room.stands(sent.id)).state == "uncertain"
    assert await close(room, Answer(str(sent.id), Outcome.DONE, later, 21.0))  # it comes after all
    assert (await room.stands(sent.id)).state == "done"
    assert not await close(room, Answer(str(never.id), Outcome.DONE, later, 20.0))  # never sent: nobody can know it


async def test_a_request_that_nobody_decides_is_over_after_two_days(critical: Plantroom) -> None:
    asked = await critical.give(20.0, NOW, reason="pump is changed")
    await lapse(critical, NOW + outbox.APPROVAL_TIME + SECOND)
    assert (await critical.stands(asked.id)).state == "expired"
    with pytest.raises(ConflictError, match="no longer waits"):
        await critical.give_approved(asked, NOW + outbox.APPROVAL_TIME + SECOND)


@pytest.mark.parametrize("number", ["no number", "00000000-0000-4000-8000-000000000001"])
async def test_an_answer_to_what_was_never_asked_changes_nothing(room: Plantroom, number: str) -> None:
    assert not await close(room, Answer(number, Outcome.DONE, NOW, 1.0))


async def test_a_gateway_answers_only_for_its_own_devices(room: Plantroom) -> None:
    given = await room.give(20.0, NOW)
    await send(room, NOW)
    assert not await close(room, Answer(str(given.id), Outcome.DONE, NOW, 20.0), gateway="GW-2")
    assert (await room.stands(given.id)).state == "sent"


async def test_another_site_or_organisation_neither_sees_nor_gives_a_command(room: Plantroom) -> None:
    given = await room.give(20.0, NOW)
    elsewhere = Actor("fay", room.users["fay"], room.actor("fay").rights, frozenset({uuid4()}))
    async with room.database.transaction(room.park.organisation, elsewhere) as tx:
        with pytest.raises(NotFoundError):
            await commands.command(tx, given.id)
        assert await commands.allowances(tx) == []
    async with room.database.transaction(UUID(int=1), room.actor("fay")) as tx:
        assert await commands.find(tx, given.id) is None


async def test_registering_again_changes_and_takes_away_what_may_be_set_and_records_it(room: Plantroom) -> None:
    async def register(text: str) -> None:
        async with room.as_("eve") as tx:
            await commands.register(tx, room.park.site, parse(loads(text)))

    await register(park_text(502))
    await register(park_text(502).replace("high = 24", "high = 23"))
    await register(park_text(502).partition("[[allowed]]")[0])
    found = room.rows(
        "SELECT details->'changed'->%s FROM audit_entries WHERE entity = 'allowances' ORDER BY id".replace(
            "%s", f"'{POINT}'"
        )
    )
    assert found == [
        (["", "16 to 24, every 1 s"],),
        (["16 to 24, every 1 s", "16 to 23, every 1 s"],),
        (["16 to 23, every 1 s", ""],),
    ]
    with pytest.raises(NotFoundError, match="cannot be set from here"):
        await room.give(20.0, NOW)


@pytest.mark.parametrize("point", ["AHU-1.supply_temp", "AHU-9.supply_setpoint", "nothing", ""])
async def test_a_point_that_may_not_be_set_is_none_to_set(room: Plantroom, point: str) -> None:
    with pytest.raises(NotFoundError, match="cannot be set from here"):
        await room.give(20.0, NOW, point=point)
