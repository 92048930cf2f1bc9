"""Where mails go: over SMTP to a server, or into a folder where no server is set.

``smtps://user@host:465`` speaks TLS from the start, ``smtp://user@host:587`` turns to TLS before anything else is said
(STARTTLS, RFC 3207) and refuses a server that will not; the certificate is checked.  Only a server on this very machine
may do without.
"""

import os
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from hub.notify.rows import Waiting

TIMEOUT_S = 20.0
PORTS = {"smtp": 587, "smtps": 465}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PERMANENT = 500  # SMTP replies from here on are final (RFC 5321, 4.2.1)
POLICY = SMTP.clone(cte_type="7bit", raise_on_defect=True)
OPEN = {"zh": "打开：", "en": "Open: "}


class InvalidServerError(ValueError):
    """The address of the mail server cannot be used; the sentence says what it should look like."""


class OfficeClosedError(Exception):
    """The mail server cannot be used now: nothing was sent."""


class RefusedMailError(Exception):
    """One mail was not taken; ``final``: trying again would not help."""

    def __init__(self, sentence: str, *, final: bool) -> None:
        super().__init__(sentence)
        self.final = final


class Office(Protocol):
    """Takes mails away."""

    def send(self, mails: Sequence[Waiting]) -> list[RefusedMailError | None]:
        """Send each mail; give what was wrong with it, None for one that went.  Raises OfficeClosedError."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every mail of an installation carries: the sender, and what its links begin with ('': mails have none)."""

    sender: str
    public_address: str = ""

    def wrap(self, mail: Waiting) -> EmailMessage:
        """Give the message; a line break in a head raises ValueError, so none can be slipped in."""
        message = EmailMessage(POLICY)
        message["From"] = self.sender
        message["To"] = mail.address
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.id}@{self.sender.rpartition('@')[2].rstrip('>')}>"  # the same at every attempt
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        body = mail.body
        if mail.path and self.public_address:
            body = f"{body}\n\n{OPEN[mail.language]}{self.public_address.rstrip('/')}{mail.path}\n"
        message.set_content(body)
        message["Content-Language"] = {"zh": "zh-CN"}.get(mail.language, mail.language)
        return message


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server, from its address as a setting gives it."""

    host: str
    port: int
    implicit_tls: bool
    user: str
    envelope: Envelope
    password: str = field(default="", repr=False)
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False, compare=False)

    def send(self, mails: Sequence[Waiting]) -> list[RefusedMailError | None]:
        """Send over one connection; after one that broke, the rest waits."""
        connection = self._connect()
        outcomes: list[RefusedMailError | None] = []
        for mail in mails:
            try:
                outcomes.append(self._send(connection, mail))
            except OSError as error:  # whatever smtplib does not count as an answer is one
                broken = RefusedMailError(f"The mail server hung up ({type(error).__name__}).", final=False)
                outcomes += [broken] * (len(mails) - len(outcomes))
                break
        with suppress(OSError):
            connection.quit()
        return outcomes

    def greet(self) -> None:
        """Connect, sign in and leave; raises OfficeClosedError."""
        with suppress(OSError):
            self._connect().quit()

    def _connect(self) -> smtplib.SMTP:
        where = f"{self.host}:{self.port}"
        connection = None
        try:
            connection = self._reach()
            if self.user:
                connection.login(self.user, self.password)
        except OSError as error:
            if connection is not None:
                connection.close()
            if isinstance(error, smtplib.SMTPAuthenticationError):
                said = f"The mail server {where} does not accept the user or password; correct them."
            else:
                said = f"The mail server {where} cannot be used ({type(error).__name__}: {error})."
            raise OfficeClosedError(said) from None
        return connection

    def _reach(self) -> smtplib.SMTP:
        if self.implicit_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=self.context)
        connection = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            self._turn_to_tls(connection)
        except OSError:
            connection.close()
            raise
        return connection

    def _turn_to_tls(self, connection: smtplib.SMTP) -> None:
        connection.ehlo_or_helo_if_needed()
        if connection.has_extn("starttls"):
            connection.starttls(context=self.context)
        elif self.host not in LOOPBACK:
            raise smtplib.SMTPNotSupportedError("it does not offer STARTTLS")

    def _send(self, connection: smtplib.SMTP, mail: Waiting) -> RefusedMailError | None:
        try:
            connection.send_message(self.envelope.wrap(mail))
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[mail.address]
            return _refusal(code, said)
        except smtplib.SMTPResponseException as error:
            return _refusal(error.smtp_code, error.smtp_error)
        except smtplib.SMTPNotSupportedError as error:
            return RefusedMailError(str(error), final=True)
        except ValueError:
            return RefusedMailError("The mail cannot be written as one: a line break stands in its head.", final=True)
        return None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that takes every mail as a file, for an installation without a mail server."""

    path: Path
    envelope: Envelope

    def send(self, mails: Sequence[Waiting]) -> list[RefusedMailError | None]:
        """Write each mail; only the program's own user can read it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OfficeClosedError(f"The folder for mails {self.path} cannot be made ({error.strerror}).") from None
        return [self._write(mail) for mail in mails]

    def _write(self, mail: Waiting) -> RefusedMailError | None:
        file = self.path / f"{mail.created_at:%Y%m%dT%H%M%S}-{mail.id}.eml"
        try:
            text = self.envelope.wrap(mail).as_bytes()
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
                target.write(text)
        except OSError as error:
            return RefusedMailError(f"The mail cannot be written into {self.path} ({error.strerror}).", final=False)
        except ValueError:
            return RefusedMailError("The mail cannot be written as one: a line break stands in its head.", final=True)
        return None


def server(address: str, password: str, envelope: Envelope) -> Server:
    """Read ``smtp://user@host:587`` or ``smtps://user@host``; raises InvalidServerError."""
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host, parts = None, None, urlsplit("")
    odd = parts.path.strip("/") or parts.query or parts.fragment or parts.password
    if parts.scheme not in PORTS or not host or odd or not address.isprintable():
        raise InvalidServerError(
            "a mail server is written like smtp://user@mail.example.com:587 or smtps://user@host:465"
        )
    user = unquote(parts.username or "")
    if bool(user) != bool(password):
        raise InvalidServerError("a mail server has a user and a password, or neither")
    if "@" not in envelope.sender or not envelope.sender.isascii() or not envelope.sender.isprintable():
        raise InvalidServerError("mails need a sender's address, like plantroom@example.com")
    return Server(host, port or PORTS[parts.scheme], parts.scheme == "smtps", user, envelope, password)


def _refusal(code: int, said: bytes | str) -> RefusedMailError:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return RefusedMailError(f"{code} {words}", final=code >= PERMANENT)
