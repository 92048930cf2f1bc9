"""A mail server with a memory, on loopback, that misbehaves on request."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "plantroom@example.com", "only for these tests"


@dataclass
class Postbox:
    """What arrived, and how the server behaves; ``answers`` are given to DATA in turn, then everything is taken."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # recipients that do not exist
    hang_up: bool = False
    connections: int = 0
    encrypted: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    stop: asyncio.Event | None = None

    async def handle_EHLO(self, _: SMTP, session: Session, __: Envelope, name: str, said: list[str]) -> list[str]:  # noqa: N802
        session.host_name = name
        self.connections += 1
        return said

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, to: str, ___: list[str]) -> str:  # noqa: N802
        if to in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.hang_up:
            server.transport.close()  # type: ignore[union-attr]
            return "421 going"
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer.startswith("2"):
            assert isinstance(envelope.content, bytes)
            found = message_from_bytes(envelope.content, policy=default)
            assert isinstance(found, EmailMessage)
            self.mails.append(found)
            self.encrypted.append(session.ssl is not None)
        return answer

    def let_in(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login.decode())
        return AuthResult(success=(data.login.decode(), data.password.decode()) == (USER, PASSWORD), handled=False)


@contextmanager
def postbox(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False, sign_in: bool = False, host: str = "127.0.0.1"
) -> Iterator[Postbox]:
    """Run a server: plain, with STARTTLS, or with TLS from the start; ``sign_in`` asks for user and password."""
    box = Postbox()
    ready = Event()

    def protocol() -> SMTP:
        return SMTP(
            box, hostname="localhost", loop=asyncio.get_running_loop(), authenticator=box.let_in if sign_in else None,
            auth_required=sign_in, auth_require_tls=True,
            tls_context=None if implicit else tls,
        )  # fmt: skip

    async def serve() -> None:
        loop, box.stop = asyncio.get_running_loop(), asyncio.Event()
        box.loop = loop
        server = await loop.create_server(protocol, host, 0, ssl=tls if implicit else None)
        box.port = server.sockets[0].getsockname()[1]
        ready.set()
        await box.stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.05)

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(5)
    assert box.loop is not None
    assert box.stop is not None
    try:
        yield box
    finally:
        box.loop.call_soon_threadsafe(box.stop.set)
        thread.join(5)


def certificate(folder: Path, name: str = "localhost") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A certificate for ``name``: the server's context, and that of a client who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names if name == "localhost" else names[:1]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    return server, client
