"""A provider's word on who somebody is: taken when all of it fits, refused with one sentence when anything does not."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from joserfc.jwk import RSAKey

from hub import outbound
from hub.access import id_token
from hub.access import issuer as issuers
from hub.access.id_token import Claims, RefusedIdentityError
from hub.access.issuer import Issuer, Provider, ProviderDownError, Secrets
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, METADATA_SERVICE, IdentityProvider, key_of, running

BACK = "https://plantroom.test/oidc/corp/callback"
SECRETS = Secrets("state" * 10, "nonce" * 10, "verifier" * 8)
HERE = outbound.Allowed.parse(["127.0.0.1"])


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with running() as found:
        found.redirect_uris = {BACK}
        yield found


@pytest.fixture
async def issuer(provider: IdentityProvider) -> AsyncIterator[Issuer]:
    made = Issuer(configured(provider), outbound.CheckedTransport(HERE))
    yield made
    await made.close()


def configured(provider: IdentityProvider, **more: Any) -> Provider:
    said = {"code": "corp", "organisation": "RIVERSIDE", "issuer": provider.issuer, "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET, "name_zh": "集团账号", "name_en": "Group account"}  # fmt: skip
    return Provider(**{**said, **more})


async def go(issuer: Issuer, secrets: Secrets = SECRETS, back: str = BACK, at: datetime | None = None) -> Claims:
    """Go there and come back, as a browser does."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(await issuer.departure(secrets, back, at or now()))
    said = parse_qs(urlsplit(answer.headers["location"]).query)
    assert said["state"] == [secrets.state]
    return await issuer.arrival(said["code"][0], said["iss"][0], secrets, back, at or now())


async def refused(issuer: Issuer, at: datetime | None = None) -> str:
    with pytest.raises(RefusedIdentityError) as error:
        await go(issuer, at=at)
    assert str(error.value) == id_token.REFUSAL
    return error.value.why


async def down(issuer: Issuer) -> str:
    with pytest.raises(ProviderDownError) as error:
        await go(issuer)
    assert str(error.value) == issuers.DOWN
    return error.value.why


async def test_who_signed_in_there_is_known_here(provider: IdentityProvider, issuer: Issuer) -> None:
    provider.claims = {"email": "li.wei@example.com", "email_verified": True, "amr": ["pwd", "otp"]}
    assert await go(issuer) == Claims("248289761001", "li.wei@example.com", frozenset({"pwd", "otp"}))
    provider.claims = {"email": "li.wei@example.com"}
    assert await go(issuer) == Claims("248289761001", None, frozenset())
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    assert provider.asked.count("/keys") == 1


async def test_the_browser_is_sent_with_what_ties_the_answer_to_it(issuer: Issuer) -> None:
    asked = parse_qs(urlsplit(await issuer.departure(SECRETS, BACK, now())).query)
    assert asked["state"] == [SECRETS.state]
    assert asked["nonce"] == [SECRETS.nonce]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["max_age"] == ["43200"]
    assert SECRETS.verifier not in str(asked)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_good_signatures_of_every_kind_are_taken(
    provider: IdentityProvider, issuer: Issuer, algorithm: str
) -> None:
    provider.algorithm, provider.key = algorithm, key_of(algorithm, kid="k1")
    assert (await go(issuer)).subject == provider.subject


def hours(n: float) -> timedelta:
    """So long from the moment at which the test runs, which may be long after it was collected."""
    return timedelta(hours=n)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "another-client"}, "somebody else"),
        ({"aud": ["another-client"]}, "somebody else"),
        ({"aud": [CLIENT_ID, "another-client"]}, "somebody else"),
        ({"aud": [CLIENT_ID, "another-client"], "azp": "another-client"}, "somebody else"),
        ({"aud": None}, "somebody else"),
        ({"azp": "another-client"}, "somebody else"),
        ({"nonce": "of another visit"}, "another question"),
        ({"nonce": None}, "another question"),
        ({"exp": hours(-0.1)}, "out of date"),
        ({"exp": None}, "out of date"),
        ({"exp": "tomorrow"}, "out of date"),
        ({"exp": True}, "out of date"),
        ({"exp": 10**300}, "out of date"),
        ({"exp": float("nan")}, "out of date"),
        ({"iat": hours(0.1)}, "from the future"),
        ({"iat": None}, "from the future"),
        ({"nbf": hours(0.1)}, "not valid yet"),
        ({"auth_time": hours(-13)}, "too long ago"),
        ({"auth_time": hours(1)}, "too long ago"),
        ({"auth_time": None}, "too long ago"),
        ({"sub": None}, "of nobody"),
        ({"sub": ""}, "of nobody"),
        ({"sub": 7}, "of nobody"),
        ({"sub": "x" * 256}, "of nobody"),
        ({"sub": "li\u202ewei"}, "of nobody"),
    ],
)
async def test_an_id_token_that_says_something_else_is_refused(
    provider: IdentityProvider, issuer: Issuer, claims: dict[str, Any], why: str
) -> None:
    provider.claims = {
        name: int(time.time() + value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
    assert why in await refused(issuer)


async def test_an_id_token_is_a_little_early_or_late_and_no_more(provider: IdentityProvider, issuer: Issuer) -> None:
    sent = int(time.time())
    provider.claims = {"exp": sent, "iat": sent, "auth_time": sent}
    for away in (id_token.LEEWAY - timedelta(seconds=5), timedelta(seconds=5) - id_token.LEEWAY):
        assert await go(issuer, at=now() + away)
    assert "out of date" in await refused(issuer, now() + id_token.LEEWAY + timedelta(seconds=5))
    assert "future" in await refused(issuer, now() - id_token.LEEWAY - timedelta(seconds=5))


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def forged(token: str) -> str:
    head, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{encoded(json.dumps({**said, 'sub': 'admin'}).encode())}.{signature}"


@pytest.mark.parametrize(
    "twist", [forged, lambda token: token[:-4] + "AAAA", lambda token: token.rpartition(".")[0] + "."]
)
async def test_a_bad_signature_is_refused(
    provider: IdentityProvider, issuer: Issuer, twist: Callable[[str], str]
) -> None:
    provider.twist = twist
    assert "not signed" in await refused(issuer)


async def test_no_signature_is_refused(provider: IdentityProvider, issuer: Issuer) -> None:
    provider.header = {"alg": "none"}
    assert "not taken" in await refused(issuer)


async def test_the_public_key_is_no_shared_secret(provider: IdentityProvider, issuer: Issuer) -> None:
    public = provider.key.as_pem(private=False)

    def resigned(token: str) -> str:
        head = encoded(b'{"alg": "HS256", "kid": "k1"}')
        said = f"{head}.{token.split('.')[1]}"
        return f"{said}.{encoded(hmac.digest(public, said.encode(), 'sha256'))}"

    provider.twist = resigned
    assert "not taken" in await refused(issuer)


async def test_keys_in_the_token_and_addresses_of_keys_count_for_nothing(
    provider: IdentityProvider, issuer: Issuer
) -> None:
    theirs = key_of("RS256", kid="k1")
    ours, provider.key = provider.key, theirs
    provider.published = [ours.as_dict(private=False)]
    for header in (
        {"jwk": theirs.as_dict(private=False)},
        {"jku": f"{provider.issuer}/other-keys"},
        {"x5u": "http://x"},
    ):
        provider.header = header
        try:
            why = await refused(issuer)
        finally:
            assert "/other-keys" not in provider.asked
        assert "signed" in why or "read" in why


async def test_a_token_for_another_purpose_is_no_id_token(provider: IdentityProvider, issuer: Issuer) -> None:
    for header in ({"typ": "at+jwt"}, {"typ": "logout+jwt"}, {"crit": ["exp"]}):
        provider.header = header
        assert await refused(issuer)
    provider.header = {"typ": "JWT"}
    assert await go(issuer)


async def test_an_access_token_instead_of_an_id_token_is_refused(provider: IdentityProvider, issuer: Issuer) -> None:
    for said in ({"access_token": "x"}, {"id_token": 7}, {"id_token": None}, {"id_token": "opaque-access-token"}):
        provider.answers = {"/token": JSONResponse(said)}
        assert await refused(issuer)


async def test_a_new_key_is_asked_for_once_and_an_unknown_one_refused(
    provider: IdentityProvider, issuer: Issuer
) -> None:
    assert await go(issuer)
    provider.key = key_of("RS256", kid="k2")
    assert "no key" in await refused(issuer)  # asked for a moment ago
    assert provider.asked.count("/keys") == 1
    later = now() + issuers.KEYS_AGAIN_AFTER + timedelta(seconds=1)
    provider.claims = {"exp": int(time.time()) + 3600}
    provider.header = {"kid": "nobody's"}
    assert "no key" in await refused(issuer, later)
    assert provider.asked.count("/keys") == 2
    provider.header = {}
    assert await go(issuer, at=later)


@pytest.mark.filterwarnings("ignore:Key size should be")
async def test_weak_and_unfit_keys_are_no_keys(provider: IdentityProvider, issuer: Issuer) -> None:
    weak = RSAKey.generate_key(1024, {"kid": "k1", "use": "sig"})
    encrypting = {**provider.key.as_dict(private=False), "use": "enc"}
    other = {**provider.key.as_dict(private=False), "alg": "PS256"}
    for key, published in ((weak, weak.as_dict(private=False)), (provider.key, encrypting), (provider.key, other)):
        provider.key, provider.published = key, [published]
        fresh = Issuer(issuer.provider, outbound.CheckedTransport(HERE))
        assert "no key" in await refused(fresh)
        await fresh.close()


async def test_the_answer_names_the_issuer_or_is_refused(provider: IdentityProvider, issuer: Issuer) -> None:
    provider.says_issuer = "https://elsewhere.example"
    assert "another issuer" in await refused(issuer)
    with pytest.raises(RefusedIdentityError):
        await issuer.arrival("code", None, SECRETS, BACK, now())


async def test_a_code_counts_once_for_its_client_and_with_its_proof(provider: IdentityProvider, issuer: Issuer) -> None:
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(await issuer.departure(SECRETS, BACK, now()))
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    stolen = Secrets(SECRETS.state, SECRETS.nonce, "another verifier" * 4)
    with pytest.raises(RefusedIdentityError):
        await issuer.arrival(code, provider.issuer, stolen, BACK, now())
    with pytest.raises(RefusedIdentityError):
        await issuer.arrival(code, provider.issuer, SECRETS, BACK, now())


DISCOVERY = "/.well-known/openid-configuration"


def endless() -> Response:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    return StreamingResponse(stream(), media_type="application/json")


@pytest.mark.parametrize(
    "answer",
    [
        RedirectResponse(METADATA_SERVICE), JSONResponse([]), JSONResponse({}), Response(b"<html>"), Response(b""),
        Response(b"[" * 100_000), JSONResponse({"issuer": "https://elsewhere.example"}), JSONResponse({}, 500),
        Response(b"{}", headers={"Content-Encoding": "gzip"}),
    ],
)  # fmt: skip
async def test_a_provider_that_says_nothing_useful_is_down(
    provider: IdentityProvider, issuer: Issuer, answer: Response
) -> None:
    provider.answers = {DISCOVERY: answer}
    assert await down(issuer)


async def test_a_huge_document_is_not_read(provider: IdentityProvider, issuer: Issuer) -> None:
    provider.answers = {DISCOVERY: endless()}
    assert "more than" in await down(issuer)
    provider.answers = {"/keys": endless()}
    fresh = Issuer(issuer.provider, outbound.CheckedTransport(HERE))
    assert "more than" in await down(fresh)
    await fresh.close()


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "link", ["", "ftp://x", "javascript:alert(1)", "https://user:pw@x", "https://x#f", "/relative", 7]
)
async def test_a_link_that_leads_away_is_refused(
    provider: IdentityProvider, issuer: Issuer, name: str, link: object
) -> None:
    provider.metadata = {name: link}
    assert await down(issuer)


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri"])
async def test_a_link_into_the_network_is_not_called(provider: IdentityProvider, issuer: Issuer, name: str) -> None:
    provider.metadata = {name: METADATA_SERVICE}
    assert "169.254.169.254" in await down(issuer)


async def test_keys_that_cannot_be_read_are_refused(provider: IdentityProvider, issuer: Issuer) -> None:
    many = [provider.key.as_dict(private=False)] * (issuers.KEYS_MAX + 1)
    broken = [{"kty": "RSA", "n": "!", "e": "AQAB"}]
    for keys in ({}, {"keys": "x"}, {"keys": many}, {"keys": broken}):
        provider.answers = {"/keys": JSONResponse(keys)}
        fresh = Issuer(issuer.provider, outbound.CheckedTransport(HERE))
        assert "keys cannot be read" in await down(fresh)
        await fresh.close()


async def test_a_slow_provider_keeps_others_waiting_once(
    provider: IdentityProvider, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "TOTAL_S", 0.2)
    provider.delay_s = 0.5
    started = time.monotonic()
    said = await asyncio.gather(*(issuer.departure(SECRETS, BACK, now()) for _ in range(20)), return_exceptions=True)
    assert time.monotonic() - started < 1
    assert {type(one) for one in said} == {ProviderDownError}
    provider.delay_s = 0.0
    assert await go(issuer, at=now() + issuers.ASKED_AGAIN_AFTER + timedelta(seconds=1))


async def test_plain_http_and_loopback_are_not_called_unless_allowed(provider: IdentityProvider) -> None:
    closed = Issuer(configured(provider), outbound.CheckedTransport())
    assert "https only" in await down(closed)
    await closed.close()
