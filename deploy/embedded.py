"""The two servers a Plantroom needs, PostgreSQL and an MQTT broker: the configured ones or our own.

``Servers(settings).start()`` gives addresses that answer.  What is configured (``PLANTROOM_DATABASE_DSN``,
``PLANTROOM_BROKER_ADDRESS``) replaces its embedded server.  Two Plantrooms may share one data directory: the first
holds the servers, the others use them and leave them running.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psycopg

from deploy.broker import Broker, answers
from deploy.postgres import Postgres
from deploy.settings import Settings
from deploy.state import DATA_MODE

CONNECT_TIMEOUT_S = 5
WAIT_S = 1.0  # between two looks at a database that is down

log = logging.getLogger(__name__)


class UnreachableServerError(RuntimeError):
    """A configured server does not answer: start it, or clear the setting to use the embedded one."""


class DataDirectoryError(RuntimeError):
    """The data directory cannot be made or written: the sentence says why."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is and how to sign in; ``password`` is kept out of the repr.

    ``ca`` is the authority that certified the broker (without it there is no TLS), ``certificate`` and ``key`` ours.
    """

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Servers:
    """The database and the broker of one run; a context manager (start, stop)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.postgres = None if settings.dsn() else Postgres(settings.data / "postgres")
        self.embedded_broker = None if settings.broker() else Broker(settings.data / "broker")

    @property
    def owned(self) -> list[Postgres | Broker]:
        """The embedded servers that this process started and must stop, in order of start."""
        return [server for server in (self.postgres, self.embedded_broker) if server is not None and server.owned]

    @property
    def shared(self) -> bool:
        """Whether an embedded server belongs to another Plantroom, which runs with the same data directory."""
        return any(not server.owned for server in (self.postgres, self.embedded_broker) if server is not None)

    @property
    def dsn(self) -> str:
        """The database: the owner of the embedded one, or the configured DSN."""
        return self.postgres.dsn if self.postgres is not None else self._settings.dsn()

    @property
    def broker(self) -> BrokerAddress:
        """The broker: the embedded one, or the configured."""
        if self.embedded_broker is not None:
            own = self.embedded_broker
            return BrokerAddress(own.host, own.port, own.username, own.password)
        return configured_broker(self._settings) or BrokerAddress("", 0)

    def start(self) -> Self:
        """Start what is embedded, check what is configured; both answer when this returns.

        Raises one sentence: UnreachableServerError, NoPostgresError, AlreadyHeldError, StartFailedError,
        BrokerFailedError, DataDirectoryError.
        """
        try:
            with _written(self._settings.data):
                self._start_database()
                self._start_broker()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the embedded servers of this process, the broker first."""
        for server in reversed(self.owned):
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_database(self) -> None:
        if self.postgres is not None:
            self.postgres.start()
        else:
            check_database(self._settings.dsn())

    def _start_broker(self) -> None:
        if self.embedded_broker is not None:
            self.embedded_broker.start()
        else:
            check_broker(*(self._settings.broker() or ("", 0)))


def await_database(dsn: str) -> None:
    """Sign in once, waiting for a database that is down; raises UnreachableServerError where waiting is of no use."""
    said = False
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError as error:
            if "FATAL" in str(error) and "the database system is" not in str(error):  # it answers: a wrong password
                raise _refused(error) from None
            if not said:
                log.warning("the database cannot be reached (%s); waiting until it answers", reason(error))
                said = True
            time.sleep(WAIT_S)
        except psycopg.Error as error:
            raise _refused(error) from None
        else:
            return


def check_database(dsn: str) -> None:
    """Sign in once; raises UnreachableServerError with the server's reason, never with the DSN."""
    try:
        psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.Error as error:
        raise _refused(error) from None


def _refused(error: psycopg.Error) -> UnreachableServerError:
    return UnreachableServerError(
        f"The database of PLANTROOM_DATABASE_DSN does not let us in ({reason(error)}): start it or correct "
        "the DSN, or clear the setting to use the embedded one."
    )


def reason(error: psycopg.Error) -> str:
    """Give the server's reason in one line; libpq quotes pieces of a DSN that it cannot read, so not those."""
    if isinstance(error, psycopg.ProgrammingError):
        return "it is not written like postgresql://user@host:5432/database, with special characters as %XX"
    return " ".join(str(error).split())


@contextmanager
def _written(data: Path) -> Iterator[None]:
    """Make the data directory and turn what the disk refuses into a sentence."""
    try:
        data.mkdir(mode=DATA_MODE, parents=True, exist_ok=True)
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DataDirectoryError(
            f"The data directory {data} cannot be written ({why}): free space or give the right to write there, "
            "or choose another place with --data."
        ) from error


def check_broker(host: str, port: int) -> None:
    """Connect once; raises UnreachableServerError."""
    if not answers(host, port, timeout_s=CONNECT_TIMEOUT_S):
        raise UnreachableServerError(
            f"No MQTT broker answers at {host}:{port} (PLANTROOM_BROKER_ADDRESS): start it or correct the address, "
            "or clear the setting to use the embedded one."
        )


@contextmanager
def database(settings: Settings, *, patient: bool = False) -> Iterator[str]:
    """Give a DSN for one command: configured, of the Plantroom that runs, or of a server for this command alone.

    ``patient``: a configured database that is down is waited for.
    """
    if settings.dsn():
        (await_database if patient else check_database)(settings.dsn())
        yield settings.dsn()
        return
    server = Postgres(settings.data / "postgres")
    with _written(settings.data):
        server.start()
    try:
        yield server.dsn
    finally:
        server.stop()


def configured_broker(settings: Settings) -> BrokerAddress | None:
    """Give the broker of the settings; None for the embedded one."""
    place = settings.broker()
    if place is None:
        return None
    files = (settings.broker_ca, settings.broker_certificate, settings.broker_key)
    return BrokerAddress(*place, settings.broker_username, settings.password(), *files)


@contextmanager
def broker(settings: Settings) -> Iterator[BrokerAddress]:
    """Give the broker for one command: configured, of the Plantroom that runs, or started for this command alone."""
    configured = configured_broker(settings)
    if configured:  # edge and hub keep trying while the broker is down, so it is not checked here
        yield configured
        return
    server = Broker(settings.data / "broker")
    with _written(settings.data):
        server.start()
    try:
        yield BrokerAddress(server.host, server.port, server.username, server.password)
    finally:
        server.stop()
