"""Signing in by another sign-in, from button to page: who is let in, who is linked, and who is not."""

import html
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi.responses import JSONResponse

from hub import refusals
from hub.access import identity, invitation
from hub.access.id_token import REFUSAL
from hub.access.issuer import DOWN, Provider
from hub.audit import service as audit
from hub.outbound import Allowed
from hub.store.database import Database
from tests.builders import ENGINEER, Park
from tests.door import PASSWORD, Caller, add, calling, hidden, strict
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, running

PUBLIC = "http://plantroom.test"
START = "/sign-in/with/corp"
TRUSTED = {"amr": ["pwd", "otp"]}


@dataclass
class Stage:
    """An installation with one provider, and a member of its staff."""

    database: Database
    park: Park
    provider: IdentityProvider
    li: UUID

    def configured(self, **more: Any) -> Provider:
        said = {"code": "corp", "organisation": self.park.file.organisation.code, "issuer": self.provider.issuer,
                "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "name_zh": "集团账号",
                "name_en": "Group account", "trusted_amr": frozenset({"otp"})}  # fmt: skip
        return Provider(**{**said, **more})

    @asynccontextmanager
    async def caller(self, *providers: Provider) -> AsyncIterator[Caller]:
        app = strict(
            self.database, self.park, public_address=PUBLIC, outbound=Allowed.parse(["127.0.0.1"]),
            providers=providers or (self.configured(),),
        )  # fmt: skip
        async with calling(app, PUBLIC) as caller:
            yield caller

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.park.dsns.owner, autocommit=True) as owner:
            done = owner.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    def link(self, user_id: UUID, subject: str | None = None, issuer: str | None = None) -> None:
        self.run(
            "INSERT INTO identities (organisation_id, user_id, issuer, subject, linked_at, linked_by)"
            " VALUES (%s, %s, %s, %s, now(), 'test')",
            self.park.organisation, user_id, issuer or self.provider.issuer, subject or self.provider.subject,
        )  # fmt: skip

    async def acts(self, user_id: UUID) -> list[str]:
        async with self.database.transaction(self.park.organisation, ENGINEER) as tx:
            return [act.action for act in await audit.of_entity(tx, "user", user_id)]


@pytest.fixture(autouse=True)
def _new_streaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tells every test's first refusal."""
    monkeypatch.setattr(refusals, "note", refusals.Refusals().note)


@pytest.fixture
async def stage(database: Database, park: Park) -> AsyncIterator[Stage]:
    async with running() as provider:
        provider.redirect_uris = {f"{PUBLIC}/oidc/{code}/callback" for code in ("corp", "other")}
        yield Stage(database, park, provider, await add(database, park, "li.wei", "engineer"))


async def leave(caller: Caller, path: str = START, page: str = "/sign-in", **fields: str) -> str:
    """Press the button; gives the address to which the page leads."""
    answer = await caller.client.post(path, data={**hidden(await caller.get(page)), **fields})
    assert answer.status_code == 200, answer.text
    assert "location" not in answer.headers
    found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', answer.text)
    assert found is not None
    return html.unescape(found[1])


async def there(address: str) -> str:
    """Sign in there; gives the address to which the provider leads back."""
    async with httpx.AsyncClient() as browser:
        return str((await browser.get(address)).headers["location"])


async def sign_in(caller: Caller) -> httpx.Response:
    return await caller.get(await there(await leave(caller)))


async def refused(caller: Caller, answer: httpx.Response) -> None:
    assert (answer.status_code, REFUSAL in html.unescape(answer.text)) == (403, True)
    assert not caller.token


async def proved(stage: Stage, caller: Caller) -> None:
    """Sign in as the member of the staff, with a password and a second factor, a moment ago."""
    await caller.give_password("li.wei")
    await caller.set_up()


async def test_a_linked_person_comes_in_with_the_factor_that_the_provider_vouches_for(stage: Stage) -> None:
    stage.link(stage.li)
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        answer = await sign_in(caller)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await caller.get("/alarms")).status_code == 200
    assert stage.run("SELECT factors, stage FROM sessions") == [(["oidc-mfa"], "full")]
    assert (await stage.acts(stage.li))[:2] == ["signed in", "came by another sign-in"]


@pytest.mark.parametrize("amr", [None, [], ["pwd"], "otp", ["OTP"], [["otp"]]])
async def test_where_the_provider_vouches_for_nothing_our_own_second_factor_is_asked(stage: Stage, amr: object) -> None:
    stage.link(stage.li)
    stage.provider.claims = {"amr": amr}
    async with stage.caller() as caller:
        answer = await sign_in(caller)
        assert answer.headers["location"] == "/second-factor/set-up"
        assert (await caller.get("/alarms")).headers["location"].startswith("/sign-in")


async def test_an_unknown_identity_is_refused_with_a_sentence_that_gives_nothing_away(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "plantroom.security")
    stage.provider.claims = {"email": "li.wei@example.com", "email_verified": True, **TRUSTED}
    stage.run("UPDATE users SET email = 'li.wei@example.com'")
    async with stage.caller() as caller:
        await refused(caller, await sign_in(caller))
    assert stage.provider.subject in caplog.text
    assert stage.run("SELECT 1 FROM identities") == []


@pytest.mark.parametrize(
    ("claims", "let_in"),
    [
        ({"email": "Li.Wei@Example.com", "email_verified": True}, True),
        ({"email": "li.wei@example.com", "email_verified": False}, False),
        ({"email": "li.wei@example.com", "email_verified": "true"}, False),
        ({"email": "li.wei@example.com"}, False),
        ({"email": "l\u0456.wei@example.com", "email_verified": True}, False),
        ({"email": ["li.wei@example.com"], "email_verified": True}, False),
    ],
)
async def test_by_mail_only_who_is_configured_so_and_whose_address_is_verified(
    stage: Stage, claims: dict[str, Any], let_in: bool
) -> None:
    stage.run("UPDATE users SET email = 'li.wei@example.com'")
    stage.provider.claims = {**claims, **TRUSTED}
    async with stage.caller(stage.configured(by_email=True)) as caller:
        answer = await sign_in(caller)
        assert answer.status_code == (303 if let_in else 403)
        caller.client.cookies.clear()
        stage.provider.subject = "somebody who has this address now"
        assert (await sign_in(caller)).status_code == (409 if let_in else 403)


async def test_one_subject_of_two_issuers_is_two_people(stage: Stage) -> None:
    stage.link(stage.li, issuer="https://other.example")
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        await refused(caller, await sign_in(caller))


@pytest.mark.parametrize("subject", ["248289761001 ", "248289761001\u200b", "２48289761001"])
async def test_a_subject_that_looks_alike_is_somebody_else(stage: Stage, subject: str) -> None:
    stage.link(stage.li)
    stage.provider.subject = subject
    async with stage.caller() as caller:
        await refused(caller, await sign_in(caller))


async def test_an_answer_counts_once_in_its_own_browser_at_its_own_provider_and_for_ten_minutes(stage: Stage) -> None:
    stage.link(stage.li)
    stage.provider.claims = TRUSTED
    other = stage.configured(code="other")
    async with stage.caller(stage.configured(), other) as caller, stage.caller() as thief:
        back = await there(await leave(caller))
        await leave(thief)
        await refused(thief, await thief.get(back))
        for wrong in (back.replace("/corp/", "/other/"), re.sub("state=[^&]+", "state=guessed", back)):
            await refused(caller, await caller.get(wrong))
        await refused(caller, await caller.get(f"{back}x"))  # another issuer
        back = await there(await leave(caller))
        stage.run("UPDATE departures SET expires_at = now()")
        await refused(caller, await caller.get(back))
        back = await there(await leave(caller))
        assert (await caller.get(back)).status_code == 303
        token = caller.token
        caller.client.cookies.delete("plantroom_session")
        assert (await caller.get(back)).status_code == 403
        assert token


@pytest.mark.parametrize("answer", ["", "?error=access_denied&state=x", "?code=x", "?state=x&code=y", "?state=%00"])
async def test_an_answer_to_nothing_is_refused(stage: Stage, answer: str) -> None:
    async with stage.caller() as caller:
        await refused(caller, await caller.get(f"/oidc/corp/callback{answer}"))
        assert (await caller.get(f"/oidc/nobody/callback{answer}")).status_code == 404


async def test_who_says_no_there_may_start_again(stage: Stage) -> None:
    async with stage.caller() as caller:
        state = parse_qs(urlsplit(await leave(caller)).query)["state"][0]
        await refused(caller, await caller.get(f"/oidc/corp/callback?error=access_denied&state={state}"))


async def test_nobody_is_sent_away_by_opening_a_page_or_by_a_form_from_elsewhere(stage: Stage) -> None:
    async with stage.caller() as caller:
        assert (await caller.get(START)).status_code == 405
        await caller.get("/sign-in")
        for form in ({}, {"csrf": "guessed"}):
            answer = await caller.client.post(START, data=form)
            assert (answer.status_code, "refresh" in answer.text) == (403, False)
        assert stage.run("SELECT 1 FROM departures") == []


async def test_what_is_kept_while_somebody_is_away_brings_a_thief_nothing(stage: Stage) -> None:
    async with stage.caller() as caller:
        asked = parse_qs(urlsplit(await leave(caller)).query)
        kept = stage.run("SELECT d::text FROM departures d")[0][0]
        assert asked["state"][0] not in kept
        assert (caller.client.cookies["plantroom_away"]) not in kept
        assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))


async def test_a_provider_that_is_down_keeps_nobody_out(stage: Stage) -> None:
    stage.provider.answers = {"/.well-known/openid-configuration": JSONResponse({}, 500)}
    async with stage.caller() as caller:
        answer = await caller.client.post(START, data=hidden(await caller.get("/sign-in")))
        assert (answer.status_code, DOWN in html.unescape(answer.text)) == (503, True)
        assert (await caller.give_password("li.wei")).headers["location"] == "/second-factor/set-up"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET active = false", "UPDATE organisations SET closed_at = now()", "DELETE FROM identities",
        "UPDATE identities SET subject = upper(subject) || 'x'",
    ],
)  # fmt: skip
async def test_who_may_not_come_in_does_not_by_this_way_either(stage: Stage, statement: str) -> None:
    stage.link(stage.li)
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        back = await there(await leave(caller))
        stage.run(statement)
        await refused(caller, await caller.get(back))


async def test_somebody_links_his_identity_from_his_account_and_takes_it_away_again(stage: Stage) -> None:
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        await proved(stage, caller)
        back = await there(await leave(caller, "/account/identities/with/corp", "/account"))
        assert (await caller.get(back)).headers["location"] == "/account"
        ((identity_id, subject),) = stage.run("SELECT id, subject FROM identities")
        assert subject == stage.provider.subject
        assert "linked an identity" in await stage.acts(stage.li)
        page = hidden(await caller.get("/account"))
        await caller.client.post(f"/account/identities/{identity_id}/remove", data=page)
        assert stage.run("SELECT 1 FROM identities") == []


async def test_a_link_is_made_for_who_asked_and_only_by_him(stage: Stage) -> None:
    await add(stage.database, stage.park, "zhang", "engineer")
    async with stage.caller() as caller:
        await proved(stage, caller)
        back = await there(await leave(caller, "/account/identities/with/corp", "/account"))
        await caller.client.post("/sign-out", data=hidden(await caller.get("/account")))
        await refused(caller, await caller.get(back))
        stage.link(stage.run("SELECT id FROM users WHERE login = 'zhang'")[0][0])
        await caller.give_password("li.wei")
        stage.run("UPDATE sessions SET stage = 'full', factors = '{password,totp}', authenticated_at = now()")
        back = await there(await leave(caller, "/account/identities/with/corp", "/account"))
        answer = await caller.get(back)
        assert (answer.status_code, identity.TAKEN in html.unescape(answer.text)) == (409, True)


async def test_a_link_asks_for_a_fresh_proof(stage: Stage) -> None:
    async with stage.caller() as caller:
        await proved(stage, caller)
        page = hidden(await caller.get("/account"))
        stage.run("UPDATE sessions SET authenticated_at = now() - interval '11 minutes'")
        answer = await caller.client.post("/account/identities/with/corp", data=page)
        assert answer.headers["location"].startswith("/sign-in/again")


async def test_a_tenant_has_no_other_sign_in(stage: Stage) -> None:
    stage.run(
        "INSERT INTO tenants (organisation_id, code, name_zh, name_en) VALUES (%s, 'T', 'T', 'T')",
        stage.park.organisation,
    )
    tenant_id = stage.run("SELECT id FROM tenants")[0][0]
    await add(stage.database, stage.park, "tenant", "tenant", tenant_id=tenant_id)
    async with stage.caller() as caller:
        await caller.give_password("tenant")
        back = await there(await leave(caller, "/account/identities/with/corp", "/account"))
        assert (await caller.get(back)).status_code == 403
    assert stage.run("SELECT 1 FROM identities") == []


async def test_an_invitation_is_answered_with_an_identity_once(stage: Stage) -> None:
    stage.provider.claims = TRUSTED
    guest = await add(stage.database, stage.park, "guest", "engineer")
    async with stage.database.transaction(stage.park.organisation, ENGINEER) as tx:
        made = await invitation.make(tx, guest, "invitation", datetime.now(UTC))
    token = made.path.partition("#")[2]
    async with stage.caller() as caller:
        back = await there(await leave(caller, page="/welcome", token=token))
        assert (await caller.get(back)).headers["location"] == "/"
        assert (await caller.get("/alarms")).status_code == 200
    assert "linked an identity" in await stage.acts(guest)
    stage.provider.subject = "a second one"
    async with stage.caller() as caller:
        await refused(caller, await caller.get(await there(await leave(caller, page="/welcome", token=token))))
        await refused(caller, await caller.get(await there(await leave(caller, page="/welcome", token="guessed"))))


async def test_a_proof_anew_is_asked_of_the_provider_and_gives_another_session(stage: Stage) -> None:
    stage.link(stage.li)
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        await sign_in(caller)
        before = caller.token
        stage.run("UPDATE sessions SET authenticated_at = now() - interval '11 minutes'")
        address = await leave(caller, "/sign-in/again/with/corp", "/sign-in/again?next=/account", next="/account")
        assert parse_qs(urlsplit(address).query)["max_age"] == ["600"]
        stage.provider.claims = {**TRUSTED, "auth_time": int(datetime.now(UTC).timestamp()) - 700}
        assert (await caller.get(await there(address))).status_code == 403
        stage.provider.claims = TRUSTED
        address = await leave(caller, "/sign-in/again/with/corp", "/sign-in/again?next=/account", next="/account")
        assert (await caller.get(await there(address))).headers["location"] == "/account"
        assert caller.token != before
        assert len(stage.run("SELECT 1 FROM sessions")) == 1


async def test_nobody_takes_his_only_way_in_away(stage: Stage) -> None:
    stage.link(stage.li)
    stage.run("UPDATE credentials SET password_hash = NULL, password_set_at = NULL")
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        await sign_in(caller)
        ((identity_id,),) = stage.run("SELECT id FROM identities")
        page = hidden(await caller.get("/account"))
        answer = await caller.client.post(f"/account/identities/{identity_id}/remove", data=page)
        assert answer.status_code == 403
        assert len(stage.run("SELECT 1 FROM identities")) == 1


async def test_coming_back_leads_to_a_page_of_ours_only(stage: Stage) -> None:
    stage.link(stage.li)
    stage.provider.claims = TRUSTED
    for asked, led in (("/alarms", "/alarms"), ("//elsewhere.example", "/"), ("https://elsewhere.example", "/")):
        async with stage.caller() as caller:
            back = await there(await leave(caller, next=asked))
            assert (await caller.get(back)).headers["location"] == led


async def test_no_code_no_state_and_no_secret_of_a_client_stands_in_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage.link(stage.li)
    async with stage.caller() as caller:
        address = await leave(caller)
        back = await there(address)
        await caller.get(back)
        await caller.get(back)
    of_others = ("http", "uvicorn", "asyncio")
    ours = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith(of_others))
    assert "another sign-in" in ours
    said = parse_qs(urlsplit(back).query)
    for secret in (said["code"][0], said["state"][0], CLIENT_SECRET, PASSWORD, caller.token):
        assert secret not in ours
