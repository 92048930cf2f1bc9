"""A real OpenID Connect provider on loopback: code flow, PKCE, discovery, keys; and all that can go wrong with one."""

import asyncio
import base64
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import unquote, urlencode

import uvicorn
from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

CLIENT_ID = "plantroom"
CLIENT_SECRET = "only for these tests, & not kept: 100 % öffentlich"
METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/"


def key_of(algorithm: str, **named: str) -> Key:
    named = {"use": "sig", **named}
    match algorithm:
        case "ES256":
            return ECKey.generate_key("P-256", named)
        case "EdDSA":
            return OKPKey.generate_key("Ed25519", named)
        case _:
            return RSAKey.generate_key(2048, named)


@dataclass
class Asked:
    """What an authorization request said, kept under its code until the code is used."""

    redirect_uri: str
    nonce: str
    challenge: str


@dataclass
class IdentityProvider:
    """``subject``, ``email``… are who signs in there; the callables twist what it says; ``asked`` are its visitors."""

    issuer: str
    redirect_uris: set[str] = field(default_factory=set)
    subject: str = "248289761001"
    algorithm: str = "RS256"
    key: Key = field(default_factory=lambda: key_of("RS256", kid="k1"))
    published: list[dict[str, Any]] | None = None
    claims: dict[str, Any] = field(default_factory=dict)  # over what it would say
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    twist: Callable[[str], str] = lambda token: token
    answers: dict[str, Response] = field(default_factory=dict)  # instead of what a path would answer
    delay_s: float = 0.0
    says_issuer: str | None = None
    codes: dict[str, Asked] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def keys(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)] if self.published is None else self.published}

    def authorize(self, query: Any) -> Response:
        """Somebody is sent here: he proves who he is, and goes back with a code."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["redirect_uri"] in self.redirect_uris
        assert "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = Asked(query["redirect_uri"], query["nonce"], query["code_challenge"])
        back = {"code": code, "state": query["state"], "iss": self.says_issuer or self.issuer}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(back)}", 302)

    def token(self, authorization: str, form: dict[str, str]) -> Response:
        """Give the ID token for a code: once, to its client, to who began."""
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        asked = self.codes.pop(form.get("code", ""), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).decode()
        if (unquote(name), unquote(secret)) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        if asked is None or asked.redirect_uri != form.get("redirect_uri") or asked.challenge != proof.rstrip("="):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": self.id_token(asked.nonce)}
        )

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        said = {"iss": self.issuer, "sub": self.subject, "aud": CLIENT_ID, "exp": now + 300, "iat": now,
                "auth_time": now - 5, "nonce": nonce, **self.claims}  # fmt: skip
        head = {"alg": self.algorithm, "kid": self.key.kid, **self.header}
        said = {name: value for name, value in said.items() if value is not None}
        head = {name: value for name, value in head.items() if value is not None}
        return self.twist(self.signed(head, said))

    def signed(self, head: dict[str, Any], said: dict[str, Any]) -> str:
        if head["alg"] == "none":
            head_and_body = [base64.urlsafe_b64encode(str(one).replace("'", '"').encode()).decode().rstrip("=")
                             for one in (head, said)]  # fmt: skip
            return ".".join([*head_and_body, ""])
        return jwt.encode(head, said, self.key, algorithms=[head["alg"]])


def application(provider: IdentityProvider) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def misbehave(request: Request, go_on: Any) -> Response:
        provider.asked.append(request.url.path)
        await asyncio.sleep(provider.delay_s)
        return provider.answers.get(request.url.path) or await go_on(request)

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return provider.discovery()

    @app.get("/keys")
    async def keys() -> dict[str, Any]:
        return provider.keys()

    @app.get("/authorize")
    async def authorize(request: Request) -> Response:
        return provider.authorize(request.query_params)

    @app.post("/token")
    async def token(request: Request, grant_type: Annotated[str, Form()]) -> Response:
        assert grant_type == "authorization_code"
        form = {name: str(value) for name, value in (await request.form()).items()}
        return provider.token(request.headers.get("Authorization", ""), form)

    return app


@asynccontextmanager
async def running() -> AsyncIterator[IdentityProvider]:
    """Run a provider on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = IdentityProvider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(application(provider), log_config=None, lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield provider
        server.should_exit = True
        await task
