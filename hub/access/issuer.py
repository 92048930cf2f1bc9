"""An OpenID Connect provider: what it says of itself, where people are sent, and its word on who came back.

OpenID Connect Core 1.0 (code flow, 3.1), PKCE (RFC 7636), RFC 9207 for the issuer in the answer.  Every call goes out
by ``hub.outbound``; nothing that the provider sends is followed, kept or shown before it was checked.  Access tokens
are thrown away: we ask who somebody is, once, and nothing more.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hub import outbound
from hub.access import id_token
from hub.access.id_token import Claims, RefusedIdentityError
from hub.errors import InvalidError, UnavailableError

SCOPE = "openid email"
AUTHENTICATED_WITHIN = timedelta(hours=12)  # how long ago somebody may have proved to the provider who he is
METADATA_LIFE = timedelta(hours=1)
KEYS_AGAIN_AFTER = timedelta(seconds=60)  # for a key that we do not know; whoever sends such keys asks no oftener
ASKED_AGAIN_AFTER = timedelta(seconds=10)  # a provider that did not answer: others do not wait for it one by one
DOCUMENT_MAX_BYTES = 200_000
KEYS_MAX = 50
OK = 200
DOWN = "The other sign-in does not answer now; sign in with your password, or try again later."


class ProviderDownError(UnavailableError):
    """The provider does not answer, or what it says of itself cannot be used; ``why`` is for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(DOWN)
        self.why = why


@dataclass(frozen=True, slots=True)
class Provider:
    """What the file of providers says of one; ``code`` names it in addresses, ``organisation`` whose people it knows.

    ``by_email`` links a person at first sight whose mail address the provider has verified.  ``trusted_amr`` are the
    provider's words for a second factor that is as good as ours.
    """

    code: str
    organisation: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name_zh: str
    name_en: str
    by_email: bool = False
    trusted_amr: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself, checked."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    names_itself: bool  # its answers carry ``iss``
    secret_in_body: bool
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Secrets:
    """What ties an answer to its question: made for one departure, used once."""

    state: str
    nonce: str
    verifier: str


class Issuer:
    """One provider, with what is known of it; ``transport`` is the way out."""

    def __init__(self, provider: Provider, transport: outbound.CheckedTransport) -> None:
        self.provider = provider
        self._client = outbound.client(transport, headers={"Accept": "application/json"})
        self._metadata: Metadata | None = None
        self._keys = KeySet([])
        self._keys_at = self._failed_at = datetime.min.replace(tzinfo=UTC)
        self._asking = asyncio.Lock()

    async def departure(
        self, secrets: Secrets, redirect_uri: str, now: datetime, within: timedelta = AUTHENTICATED_WITHIN
    ) -> str:
        """Give the address to which a browser is sent; raises ProviderDownError.

        Whoever comes back has proved ``within`` this time there who he is.
        """
        metadata = await self._known(now)
        address: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            self.provider.client_id,
            "code",
            redirect_uri,
            SCOPE,
            secrets.state,
            nonce=secrets.nonce,
            code_challenge=create_s256_code_challenge(secrets.verifier),
            code_challenge_method="S256",
            max_age=str(int(within.total_seconds())),
        )
        return address

    async def arrival(
        self,
        code: str,
        said_issuer: str | None,
        secrets: Secrets,
        redirect_uri: str,
        now: datetime,
        within: timedelta = AUTHENTICATED_WITHIN,
    ) -> Claims:
        """Give who it is that came back with ``code``; raises RefusedIdentityError or ProviderDownError."""
        metadata = await self._known(now)
        if said_issuer != self.provider.issuer and (said_issuer is not None or metadata.names_itself):
            raise RefusedIdentityError("the answer comes from another issuer")
        token = await self._id_token(metadata, code, secrets.verifier, redirect_uri)
        said = await self._verified(token, metadata, now)
        return id_token.read_claims(said, self.provider.issuer, self.provider.client_id, secrets.nonce, now, within)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def _known(self, now: datetime) -> Metadata:
        async with self._one_asks(now):
            if self._metadata is None or now - self._metadata.read_at > METADATA_LIFE:
                address = f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"
                self._metadata = read_metadata(await self._json("GET", address), self.provider.issuer, now)
            return self._metadata

    @asynccontextmanager
    async def _one_asks(self, now: datetime) -> AsyncIterator[None]:
        async with self._asking:
            if now - self._failed_at < ASKED_AGAIN_AFTER:
                raise ProviderDownError("it did not answer a moment ago")
            try:
                yield
            except ProviderDownError:
                self._failed_at = now
                raise

    async def _id_token(self, metadata: Metadata, code: str, verifier: str, redirect_uri: str) -> str:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier,
        }  # fmt: skip
        ours = (self.provider.client_id, self.provider.client_secret)
        headers = {}
        if metadata.secret_in_body:
            form |= dict(zip(("client_id", "client_secret"), ours, strict=True))
        else:
            said = ":".join(quote(one, safe="") for one in ours)  # RFC 6749, 2.3.1
            headers = {"Authorization": f"Basic {base64.b64encode(said.encode()).decode()}"}
        answer = await self._json("POST", metadata.token_endpoint, data=form, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise RefusedIdentityError("the provider gave no ID token")
        return token

    async def _verified(self, token: str, metadata: Metadata, now: datetime) -> dict[str, Any]:
        header = id_token.read_header(token)
        async with self._one_asks(now):
            if now - self._keys_at > METADATA_LIFE:
                await self._ask_keys(metadata, now)
            key = id_token.choose(self._keys, header)
            if key is None and now - self._keys_at > KEYS_AGAIN_AFTER:
                await self._ask_keys(metadata, now)
                key = id_token.choose(self._keys, header)
        if key is None:
            raise RefusedIdentityError("no key of the provider fits the ID token")
        return id_token.verified(token, header, key)

    async def _ask_keys(self, metadata: Metadata, now: datetime) -> None:
        self._keys, self._keys_at = read_keys(await self._json("GET", metadata.jwks_uri)), now

    async def _json(self, method: str, address: str, **sent: Any) -> dict[str, Any]:
        host = urlsplit(address).hostname
        text = bytearray()
        try:
            async with self._client.stream(method, str(outbound.address(address)), **sent) as answer:
                async for chunk in answer.aiter_bytes():
                    text += chunk
                    if len(text) > DOCUMENT_MAX_BYTES:
                        break
        except (InvalidError, UnavailableError) as error:
            raise ProviderDownError(f"{host}: {error}") from error
        if len(text) > DOCUMENT_MAX_BYTES:
            raise ProviderDownError(f"{host} answers with more than {DOCUMENT_MAX_BYTES} bytes")
        if answer.status_code != OK:
            failure = RefusedIdentityError if method == "POST" else ProviderDownError
            raise failure(f"{host} answers {answer.status_code}")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ProviderDownError(f"{host} does not answer in JSON")
        return found


def read_metadata(said: Mapping[str, Any], issuer: str, now: datetime) -> Metadata:
    """Read the discovery document; raises ProviderDownError when it is another's, or leads where nobody should go."""
    if said.get("issuer") != issuer:
        raise ProviderDownError("the document names another issuer")
    links = {name: str(said.get(name, "")) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for link in links.values():
        try:
            url = outbound.address(link)
        except InvalidError:
            raise ProviderDownError("the document holds an address that cannot be called") from None
        if url.scheme != urlsplit(issuer).scheme or url.fragment:  # http only where the issuer itself is reached by it
            raise ProviderDownError("the document leads away from https")
    methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        **links,
        names_itself=said.get("authorization_response_iss_parameter_supported") is True,
        secret_in_body="client_secret_basic" not in methods and "client_secret_post" in methods,
        read_at=now,
    )


def read_keys(said: Mapping[str, Any]) -> KeySet:
    """Read a provider's public keys: those that sign, of kinds that we take; raises ProviderDownError."""
    given = said.get("keys")
    if not isinstance(given, list) or len(given) > KEYS_MAX:
        raise ProviderDownError("the provider's keys cannot be read")
    signing = [one for one in given if isinstance(one, dict) and one.get("use", "sig") == "sig"]
    known = [one for one in signing if one.get("kty") in ("RSA", "EC", "OKP")]
    try:
        found = KeySet.import_key_set({"keys": known}) if known else KeySet([])
    except (JoseError, ValueError, TypeError, KeyError):
        raise ProviderDownError("the provider's keys cannot be read") from None
    return KeySet([key for key in found.keys if id_token.strong(key)])
