"""The door of a server: security policy, whose certificate is trusted, and who we are."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.credentials import credential
from drivers.errors import MisconfiguredError
from drivers.opcua import trust
from drivers.opcua.wire import WireClient
from rules.model.line import OpcuaLine

PORT = 4840  # registered for opc.tcp
SESSION_MIN_S = 60.0
POLLS_MISSED_MAX = 3  # a session outlives so many polls that do not come
OFFERS_SHOWN_MAX = 8
POLICIES = {
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss": SecurityPolicyAes256Sha256RsaPss,
}
MODES = {"sign": ua.MessageSecurityMode.Sign, "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt}

log = logging.getLogger(__name__)


class Door:
    """Makes clients for one line, and lets none talk to a server that is not trusted."""

    def __init__(self, line: OpcuaLine, now: Callable[[], datetime]) -> None:
        """Prepare; ``now`` tells how long certificates still last."""
        self._line = line
        self._now = now
        self.cautions: dict[str, str] = {}  # whose certificate -> what is to be done about it

    async def client(self) -> WireClient:
        """Give a client that is ready to connect.

        Raises MisconfiguredError, and what the library raises where the server has to be asked for its certificate.
        """
        line = self._line
        session_s = max(SESSION_MIN_S, POLLS_MISSED_MAX * line.poll_s)
        client = WireClient(_url(line), line.timeout_s, session_s)
        if line.user is not None:
            password = credential(f"opcua-{line.code}-password")
            if password is None:
                raise MisconfiguredError(
                    f"line '{line.code}' has the user '{line.user}' and no password; put it into the credential "
                    f"opcua-{line.code}-password"
                )
            client.set_user(line.user)
            client.set_password(password)
        if line.security == "none":
            return client
        if line.certificate is None or line.key is None or line.trust is None:
            raise MisconfiguredError(
                f"line '{line.code}' has security '{line.security}' and needs certificate, key and trust; "
                "'plantroom edge certificate' makes the first two"
            )
        ours = trust.own(line.certificate, line.key)
        self._look("our certificate", f"our certificate {line.certificate}", ours.until)
        client.application_uri = ours.uri
        policy, mode = POLICIES[line.security], MODES[line.mode]
        offered = await client.connect_and_get_server_endpoints()
        theirs = self._trusted(_certificate(line, offered, policy.URI, mode))
        await client.set_security(policy, ours.certificate, ours.key, server_certificate=theirs, mode=mode)  # type: ignore[type-abstract]
        return client

    async def enter(self, client: WireClient) -> None:
        """Connect and log in; raises MisconfiguredError, and what the library raises."""
        await client.open_channel()
        await client.create_session()
        try:
            if self._line.user is not None:
                self._password_is_safe(client)
            await client.activate()
        except (UaStatusCodeError, MisconfiguredError):
            with suppress(UaError, OSError):  # or it would wait there for its time-out
                await client.uaclient.close_session(delete_subscriptions=True)
            raise

    def _password_is_safe(self, client: WireClient) -> None:
        """Let a password go only where it is encrypted, to a server that is trusted."""
        line = self._line
        if client.password_in_clear():
            raise MisconfiguredError(
                f"{line.place} wants the password of '{line.user}' in clear; set security and mode "
                "'sign_and_encrypt', with certificate, key and trust"
            )
        if line.security == "none":
            if line.trust is None:
                raise MisconfiguredError(
                    f"line '{line.code}' would give the password of '{line.user}' to any server; name the server's "
                    "certificate as trust"
                )
            self._trusted(client.security_policy.peer_certificate or b"")

    def _trusted(self, theirs: bytes) -> bytes:
        line = self._line
        mark = trust.fingerprint(theirs)
        if not theirs or mark not in trust.trusted(line.trust or ""):
            raise MisconfiguredError(
                f"{line.place} shows a certificate that is not trusted (SHA-256 {mark}); compare it with the server's "
                f"own and put its file into {line.trust}"
            )
        self._look("the server's certificate", f"the certificate of {line.place}", trust.until(theirs))
        return theirs

    def _look(self, whose: str, words: str, until: datetime | None) -> None:
        """Say once in the log, and keep to be read, that a certificate ends."""
        said = trust.caution(words, until, self._now())
        if said and whose not in self.cautions:
            log.warning("line %s: %s", self._line.code, said)
        if said:
            self.cautions[whose] = said
        else:
            self.cautions.pop(whose, None)


def _certificate(line: OpcuaLine, offered: list[ua.EndpointDescription], policy: str, mode: object) -> bytes:
    """Give the certificate of the endpoint with our policy and mode; where that endpoint says it is does not count."""
    for endpoint in offered:
        if endpoint.SecurityPolicyUri == policy and endpoint.SecurityMode == mode and endpoint.ServerCertificate:
            return _first(endpoint.ServerCertificate)
    kinds = sorted(
        {f"{str(e.SecurityPolicyUri).rpartition('#')[2]}/{e.SecurityMode.name.rstrip('_')}" for e in offered}
    )
    there = ", ".join(kinds[:OFFERS_SHOWN_MAX]) or "nothing"
    raise MisconfiguredError(f"{line.place} does not offer {line.security}/{line.mode}; it offers {there}")


def _first(chain: bytes) -> bytes:
    """Give the first certificate of a chain: its length stands after the tag (X.690, 8.1.3)."""
    if chain[:2] != b"\x30\x82":
        return chain
    return chain[: int.from_bytes(chain[2:4], "big") + 4]


def _url(line: OpcuaLine) -> str:
    """Give the address with its port; raises MisconfiguredError."""
    try:
        parts = urlsplit(line.url)
        port = parts.port or PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if not parts.hostname or not port:
        raise MisconfiguredError(f"'{line.url}' is no address; write it like opc.tcp://10.0.0.9:4840")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts._replace(netloc=f"{host}:{port}").geturl()
