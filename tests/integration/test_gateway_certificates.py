"""The register of certificates: one name and one key each, renewed by the holder, never after they were taken back."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.identity import Identity, Request, key_pem, make_request, new_key
from hub.assets import identity
from hub.assets import service as assets
from hub.assets.authority import establish, open_request
from hub.assets.identity import RENEWALS_PER_DAY_MAX
from hub.errors import ConflictError, HubError, InvalidError, NotFoundError
from hub.ingest.acts import Address, RenewalAsked, Speaker
from hub.ingest.renewal import CONSIDER_EVERY, Renewals
from hub.store.database import Actor, Database
from rules.model.site import Organisation
from tests.builders import ENGINEER, Park

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
DUE = NOW + timedelta(days=61)
AUTHORITY = establish(NOW)
NAME = "RIVERSIDE/GW-1"
COMMAND = Actor("plantroom/command")
AT = ("RIVERSIDE", "GW-1")


async def enrol(database: Database, park: Park, key: EllipticCurvePrivateKey, now: datetime = NOW) -> str:
    async with database.transaction(park.organisation, COMMAND) as tx:
        return await identity.enrol(tx, AUTHORITY, *AT, make_request(key, NAME), now)


async def revoke(database: Database, park: Park, now: datetime = NOW) -> int:
    async with database.transaction(park.organisation, COMMAND) as tx:
        return await identity.revoke(tx, *AT, "lost", now)


def rows(park: Park, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(park.dsns.owner) as connection:
        return connection.execute(query.encode()).fetchall()


def count(park: Park) -> int:
    return int(rows(park, "SELECT count(*) FROM gateway_certificates")[0][0])


async def test_a_first_certificate_is_registered_and_recorded(database: Database, park: Park) -> None:
    key = new_key()
    made = x509.load_pem_x509_certificate((await enrol(database, park, key)).encode())
    made.verify_directly_issued_by(AUTHORITY.certificate)
    [row] = rows(park, "SELECT serial, fingerprint, not_after, revoked_at FROM gateway_certificates")
    assert row == (f"{made.serial_number:x}", identity.fingerprint(made), NOW + timedelta(days=90), None)
    [(action, details)] = rows(park, "SELECT action, details FROM audit_entries WHERE details ? 'serial'")
    assert (action, details["fingerprint"]) == ("enrolled", row[1])


async def test_asking_again_with_the_same_key_gives_the_same_certificate(database: Database, park: Park) -> None:
    key = new_key()
    assert await enrol(database, park, key) == await enrol(database, park, key, NOW + timedelta(days=1))
    assert count(park) == 1


async def test_a_second_enrolment_needs_a_revocation_first(database: Database, park: Park) -> None:
    await enrol(database, park, new_key())
    with pytest.raises(ConflictError, match="has a certificate until 2027-02-22"):
        await enrol(database, park, new_key())
    assert await revoke(database, park) == 1
    assert await revoke(database, park) == 0
    await enrol(database, park, new_key())
    assert count(park) == 2


async def test_an_operator_renews_what_is_in_force_only(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, COMMAND) as tx:
        with pytest.raises(ConflictError, match="has no certificate in force"):
            await identity.renew(tx, AUTHORITY, *AT, make_request(new_key(), NAME), NOW)
    await enrol(database, park, new_key())
    async with database.transaction(park.organisation, COMMAND) as tx:
        await identity.renew(tx, AUTHORITY, *AT, make_request(new_key(), NAME), NOW)
    assert await revoke(database, park) == 2


async def test_a_key_that_was_revoked_or_is_another_gateway_s_is_never_certified(
    database: Database, park: Park
) -> None:
    key = new_key()
    await enrol(database, park, key)
    await revoke(database, park)
    with pytest.raises(ConflictError, match="That key was revoked or is another gateway's"):
        await enrol(database, park, key)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute(
            "INSERT INTO gateways (organisation_id, site_id, code) VALUES (%s, %s, 'GW-2')",
            [park.organisation, park.site],
        )
    async with database.transaction(park.organisation, COMMAND) as tx:
        with pytest.raises(ConflictError, match="That key was revoked or is another gateway's"):
            await identity.enrol(tx, AUTHORITY, "RIVERSIDE", "GW-2", make_request(key, "RIVERSIDE/GW-2"), NOW)


@pytest.mark.parametrize(("at", "name", "sentence"), [
    (AT, "RIVERSIDE/GW-2", "is for 'RIVERSIDE/GW-2', not for 'RIVERSIDE/GW-1'"),
    (AT, "plantroom/hub", "is for 'plantroom/hub'"),
    (AT, "riverside/gw-1", "is for 'riverside/gw-1'"),
    (("RIVERSIDE", "GW-9"), NAME, "There is no gateway 'GW-9' at the site 'RIVERSIDE'"),
    (("NOWHERE", "GW-1"), NAME, "There is no gateway 'GW-1' at the site 'NOWHERE'"),
])  # fmt: skip
async def test_a_request_is_for_the_gateway_that_is_asked_for(
    database: Database, park: Park, at: tuple[str, str], name: str, sentence: str
) -> None:
    async with database.transaction(park.organisation, COMMAND) as tx:
        with pytest.raises((InvalidError, NotFoundError), match=sentence):
            await identity.enrol(tx, AUTHORITY, *at, make_request(new_key(), name), NOW)
    assert count(park) == 0


async def test_what_was_revoked_stays_revoked_whoever_asks(database: Database, park: Park) -> None:
    await enrol(database, park, new_key())
    await revoke(database, park)
    async with database.transaction(park.organisation, COMMAND) as tx:
        for change in ("revoked_at = NULL, revoked_because = NULL", "revoked_because = 'no'"):
            assert await tx.run(f"UPDATE gateway_certificates SET {change}".encode()) == 0
        for statement in ("DELETE FROM gateway_certificates", "UPDATE gateway_certificates SET not_after = now()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with tx.connection.transaction():
                    await tx.run(statement.encode())


async def test_certificates_follow_the_places_of_the_transaction(database: Database, park: Park) -> None:
    await enrol(database, park, new_key())
    other = assets.open_organisation(park.dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other"))
    for organisation, actor, seen in (
        (park.organisation, ENGINEER, 1),
        (park.organisation, replace(ENGINEER, places=frozenset({park.site})), 1),
        (park.organisation, replace(ENGINEER, places=frozenset({other})), 0),
        (other, ENGINEER, 0),
    ):
        async with database.transaction(organisation, actor) as tx:
            assert len(await identity.certificates(tx)) == seen


async def test_the_gateway_list_says_until_when(database: Database, park: Park) -> None:
    async def shown() -> tuple[datetime | None, bool, bool]:
        async with database.transaction(park.organisation, ENGINEER) as tx:
            [row] = await assets.gateways(tx)
        return row.certificate_ends_at, row.certificate_ends_soon, row.certificate_revoked_at is not None

    now = datetime.now(UTC).replace(microsecond=0)
    assert await shown() == (None, False, False)
    await enrol(database, park, new_key(), now)
    assert await shown() == (now + timedelta(days=90), False, False)
    await revoke(database, park, now)
    assert await shown() == (None, False, True)
    await enrol(database, park, new_key(), now - timedelta(days=61))
    assert await shown() == (now + timedelta(days=29), True, False)


# Renewal on the wire.

Ask = Callable[[], Request]


@pytest.fixture
async def own(database: Database, park: Park, tmp_path: Path) -> Identity:
    """The files of a gateway that was enrolled at NOW."""
    own = Identity(NAME, tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem")
    key = new_key()
    own.key.write_bytes(key_pem(key))
    own.certificate.write_text(await enrol(database, park, key))
    own.ca.write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    return own


def asked(request: Request, at: tuple[str, str] = AT) -> RenewalAsked:
    return RenewalAsked(Speaker(Address(*at)), request.request, request.held, request.proof)


def fresh(own: Identity) -> Request:
    """A request for a key that nobody has seen."""
    own.key.with_name("key.pem.next").unlink(missing_ok=True)
    return own.request()


async def test_the_hub_answers_the_holder_once_a_while_and_with_the_same(
    database: Database, park: Park, own: Identity
) -> None:
    renewals = Renewals(database, AUTHORITY)
    first = await renewals.answer(asked(own.request()), DUE)
    assert await renewals.answer(asked(own.request()), DUE + timedelta(minutes=1)) == ""  # too soon
    assert await renewals.answer(asked(own.request()), DUE + CONSIDER_EVERY) == first  # the answer was lost
    assert count(park) == 2
    assert own.accept(first, DUE) == DUE + timedelta(days=90)


async def test_requests_of_two_hubs_at_once_make_one_certificate(database: Database, park: Park, own: Identity) -> None:
    request = asked(own.request())
    answers = await asyncio.gather(*(Renewals(database, AUTHORITY).answer(request, DUE) for _ in range(4)))
    assert len(set(answers)) == 1
    assert count(park) == 2


async def test_a_gateway_that_asks_and_asks_is_stopped(database: Database, park: Park, own: Identity) -> None:
    renewals, now = Renewals(database, AUTHORITY), DUE
    answers = []
    for _ in range(RENEWALS_PER_DAY_MAX + 3):
        now += CONSIDER_EVERY
        answers.append(bool(await renewals.answer(asked(fresh(own)), now)))
    assert answers.count(True) == RENEWALS_PER_DAY_MAX
    assert not any(answers[RENEWALS_PER_DAY_MAX:])


async def test_a_revoked_gateway_gets_nothing_and_that_is_recorded(
    database: Database, park: Park, own: Identity
) -> None:
    request = asked(own.request())
    await revoke(database, park, DUE)
    assert await Renewals(database, AUTHORITY).answer(request, DUE) == ""
    assert count(park) == 1
    [(details,)] = rows(park, "SELECT details FROM audit_entries WHERE action = 'refused a certificate'")
    assert "has no certificate in force" in details["because"]


async def test_a_stolen_topic_without_the_key_in_use_gets_nothing(
    database: Database, park: Park, own: Identity, tmp_path: Path
) -> None:
    """Who can write to a gateway's topic, on a broker without rights, still is not the gateway."""
    thief = Identity(NAME, own.ca, own.certificate, tmp_path / "thief.pem")
    thief.key.write_bytes(key_pem(new_key()))
    self_made = establish(NOW).gateway(new_key().public_key(), *AT, NOW)
    (tmp_path / "self.pem").write_bytes(self_made.public_bytes(Encoding.PEM))
    stranger = Identity(NAME, own.ca, tmp_path / "self.pem", thief.key)
    now = DUE
    renewals = Renewals(database, AUTHORITY)
    for request in (asked(thief.request()), asked(stranger.request()), asked(own.request(), ("RIVERSIDE", "GW-2"))):
        now += CONSIDER_EVERY
        assert await renewals.answer(request, now) == ""
    assert count(park) == 1


async def test_a_gateway_cannot_have_another_s_name_certified(database: Database, park: Park, own: Identity) -> None:
    other = Identity("RIVERSIDE/GW-2", own.ca, own.certificate, own.key)
    assert await Renewals(database, AUTHORITY).answer(asked(other.request()), DUE) == ""
    assert count(park) == 1


async def test_an_unknown_site_is_refused_and_recorded_for_nobody(
    database: Database, park: Park, own: Identity
) -> None:
    assert await Renewals(database, AUTHORITY).answer(asked(own.request(), ("NOWHERE", "GW-1")), DUE) == ""
    assert rows(park, "SELECT 1 FROM audit_entries WHERE action = 'refused a certificate'") == []


async def test_without_the_authority_there_is_no_answer(
    database: Database, park: Park, own: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    assert await Renewals(database, None).answer(asked(own.request()), DUE) == ""
    assert "use 'plantroom gateway renew'" in caplog.text


async def test_a_reason_has_an_end(database: Database, park: Park, own: Identity) -> None:
    async with database.transaction(park.organisation, COMMAND) as tx:
        with pytest.raises(HubError, match="at most 500 characters"):
            await identity.revoke(tx, *AT, "x" * 501, NOW)


async def test_the_new_key_is_the_one_that_was_asked_for(database: Database, park: Park, own: Identity) -> None:
    request = own.request()
    answer = await Renewals(database, AUTHORITY).answer(asked(request), DUE)
    made = x509.load_pem_x509_certificate(answer.encode())
    assert made.public_key() == open_request(request.request.encode())[1]
