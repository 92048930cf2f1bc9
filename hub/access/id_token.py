"""A provider's signed word on who somebody is (OpenID Connect Core 1.0, 2 and 3.1.3.7): read, verified and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from hub.errors import ForbiddenError

ALGORITHMS: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {
    "RS256": RSAKey,
    "PS256": RSAKey,
    "ES256": ECKey,
    "EdDSA": OKPKey,
    "Ed25519": OKPKey,
}
RSA_BITS_MIN = 2048
LEEWAY = timedelta(seconds=60)  # how far the provider's clock may be from ours
TIME_END = 1e11  # in seconds since 1970: beyond what dates hold
SUBJECT_CHARACTERS_MAX = 255
REFUSAL = "This sign-in could not be completed; start again, or sign in with your password."


class RefusedIdentityError(ForbiddenError):
    """What came back from a provider does not prove anything; ``why`` is for the log, the sentence says nothing."""

    def __init__(self, why: str) -> None:
        super().__init__(REFUSAL)
        self.why = why


@dataclass(frozen=True, slots=True)
class Claims:
    """Who came back: ``subject`` is who he is there, for ever; everything else may change."""

    subject: str
    email: str | None  # verified
    amr: frozenset[str]


def read_header(token: str) -> dict[str, Any]:
    """Read the head of an ID token; raises RefusedIdentityError for one that is signed otherwise, or no ID token."""
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        raise RefusedIdentityError("the ID token cannot be read") from None
    if header.get("alg") not in ALGORITHMS:
        raise RefusedIdentityError("the ID token is signed in a way that is not taken")
    if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
        raise RefusedIdentityError("this is not an ID token")
    return header


def choose(keys: KeySet, header: Mapping[str, Any]) -> Key | None:
    """Give the provider's key that the head names; keys and addresses of keys in the head itself count for nothing."""
    kind = ALGORITHMS[header["alg"]]
    fitting = [key for key in keys if isinstance(key, kind) and key.get("alg", header["alg"]) == header["alg"]]
    if "kid" in header:
        fitting = [key for key in fitting if key.kid == header["kid"]]
    return fitting[0] if len(fitting) == 1 else None


def verified(token: str, header: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Give what an ID token says when ``key`` has signed it as its head says; raises RefusedIdentityError."""
    try:
        registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        return jwt.decode(token, key, registry=registry).claims
    except (JoseError, ValueError) as error:
        raise RefusedIdentityError(f"the ID token is not signed as it should be: {type(error).__name__}") from None


def strong(key: Key) -> bool:
    """Whether a key is of a kind that we take, and long enough."""
    known = isinstance(key, tuple(set(ALGORITHMS.values())))
    return known and (not isinstance(key, RSAKey) or key.public_key.key_size >= RSA_BITS_MIN)


def read_claims(
    said: Mapping[str, Any], issuer: str, client_id: str, nonce: str, now: datetime, within: timedelta
) -> Claims:
    """Check what a signed ID token says (OpenID Connect Core 1.0, 3.1.3.7); raises RefusedIdentityError."""
    audience = said.get("aud")
    meant_for = audience if isinstance(audience, list) else [audience]
    party = said.get("azp", client_id if len(meant_for) == 1 else None)
    subject = said.get("sub")
    moment, leeway = now.timestamp(), LEEWAY.total_seconds()
    oldest = (now - within).timestamp()
    faults = {
        "of another issuer": said.get("iss") != issuer,
        "for somebody else": client_id not in meant_for or party != client_id,
        "an answer to another question": said.get("nonce") != nonce,
        "out of date": not _number(said, "exp") > moment - leeway,
        "from the future": not _number(said, "iat") <= moment + leeway,
        "not valid yet": not _number(said, "nbf", moment) <= moment + leeway,
        "of somebody who proved himself too long ago": not oldest - leeway
        <= _number(said, "auth_time")
        <= moment + leeway,
        "of nobody": not isinstance(subject, str)
        or not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX
        or not subject.isprintable(),
    }
    for fault, found in faults.items():
        if found:
            raise RefusedIdentityError(f"the ID token is {fault}")
    email, amr = said.get("email"), said.get("amr")
    verified = isinstance(email, str) and said.get("email_verified") is True
    return Claims(
        str(subject),
        str(email) if verified else None,
        frozenset(str(one) for one in amr) if isinstance(amr, list) else frozenset(),
    )


def _number(said: Mapping[str, Any], name: str, otherwise: float = float("nan")) -> float:
    """Give a time of an ID token in seconds; NaN, to which nothing compares, where it is none."""
    value = said.get(name, otherwise)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < TIME_END
    return float(value) if fits else float("nan")
