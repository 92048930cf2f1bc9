"""Gateways at a real Mosquitto with the configuration that Plantroom writes: each can be itself and nobody else."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge_agent.identity import key_pem, new_key
from hub.assets import service as assets
from hub.assets.authority import Authority, establish, read
from hub.ingest.link import Broker
from hub.store.database import Database
from rules.model.site import Gateway, Organisation
from tests.builders import ENGINEER, site_file
from tests.conftest import PostgresForTests, fresh_dsns
from tests.field import HOST
from tests.mosquitto import SILENCE_S, Client, Installation, Mosquitto, installed, needs_mosquitto, tls_server, until

pytestmark = needs_mosquitto

OURS, THEIRS = "spBv1.0/RIVERSIDE/{}/GW-1", "spBv1.0/RIVERSIDE/{}/GW-2"
NOT_AUTHORISED = "Not authorized"  # MQTT 5, reason code 0x87
TAKEN = ("Success", "No matching subscribers")


async def _register(installation: Installation) -> None:
    """Two sites of two organisations; the gateways share their codes."""
    database = Database(installation.dsns.hub)
    await database.open()
    for number, site in enumerate(("RIVERSIDE", "HILLSIDE")):
        file = site_file()
        file = file.model_copy(update={
            "organisation": Organisation(code=f"ORG-{number}", name_zh="组织", name_en="Organisation"),
            "site": file.site.model_copy(update={"code": site}),
            "gateway": tuple(Gateway(code=f"GW-{n}") for n in range(1, 10)),
        })  # fmt: skip
        organisation = assets.open_organisation(installation.dsns.owner, file.organisation)
        async with database.transaction(organisation, ENGINEER) as tx:
            await assets.register(tx, file)
    await database.close()


@pytest.fixture(scope="module")
def broker(postgres: PostgresForTests, migrated: str, open_directory: Path) -> Iterator[Mosquitto]:
    with installed(open_directory / "gateway-identity", fresh_dsns(postgres, migrated)) as installation:
        asyncio.run(_register(installation))
        broker = Mosquitto(installation)
        broker.configure()
        for site, gateway in (("RIVERSIDE", "GW-1"), ("RIVERSIDE", "GW-2"), ("HILLSIDE", "GW-1")):
            installation.enrol(site, gateway)
        broker.start()
        yield broker
        broker.stop()


Open = Callable[..., Client]


@pytest.fixture
def opened(broker: Mosquitto) -> Iterator[Open]:
    """Open a client by the name of its certificate; whoever is still connected at the end is closed."""
    clients: list[Client] = []

    def open_client(who: str, **more: object) -> Client:
        folder = broker.installation.data / "hub" if who == "hub" else broker.installation.folder / who
        clients.append(broker.client(folder, **more))
        assert clients[-1].open(), clients[-1].refusal
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def hub(opened: Open) -> Client:
    """The hub, listening to everything."""
    client = opened("hub")
    assert client.subscribe("spBv1.0/#").startswith("Granted")
    return client


def nothing_else(client: Client, sign: Callable[[], object]) -> list[tuple[str, bytes]]:
    """What a client has heard by the time of a message that it must hear (``sign`` sends it)."""
    sign()
    assert until(lambda: any(payload == b"sign" for _, payload in client.heard))
    return [heard for heard in client.heard if heard[1] != b"sign"]


def test_a_gateway_says_what_is_its_own(hub: Client, opened: Open) -> None:
    gateway = opened("RIVERSIDE-GW-1")
    for verb in ("NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"):
        topic = OURS.format(verb) + ("/EM-1" if verb.startswith("D") else "")
        assert gateway.publish(topic, verb.encode()) == "Success"
        assert hub.hears(topic, verb.encode())


def test_a_gateway_hears_its_own_commands_and_whether_the_hub_is_there(hub: Client, opened: Open) -> None:
    gateway = opened("RIVERSIDE-GW-1")
    assert hub.publish("spBv1.0/STATE/plantroom", b"there", retain=True) == "Success"
    for topic in (OURS.format("NCMD"), OURS.format("DCMD") + "/+", "spBv1.0/STATE/plantroom"):
        gateway.subscribe(topic)
    assert gateway.hears("spBv1.0/STATE/plantroom", b"there")
    for topic in (OURS.format("NCMD"), OURS.format("DCMD") + "/EM-1"):
        assert hub.publish(topic, b"do") == "Success"
        assert gateway.hears(topic, b"do")


@pytest.mark.parametrize("topic", [
    *(THEIRS.format(verb) for verb in ("NBIRTH", "NDEATH", "NDATA", "NCMD")),
    *(THEIRS.format(verb) + "/EM-1" for verb in ("DBIRTH", "DDEATH", "DDATA", "DCMD")),
    *(OURS.format(verb).replace("RIVERSIDE", "HILLSIDE") for verb in ("NBIRTH", "NDATA", "NCMD")),
    OURS.format("NCMD"),
    OURS.format("DCMD") + "/EM-1",
    OURS.format("NDATA") + "/EM-1",
    OURS.format("DDATA"),
    OURS.format("DDATA") + "/EM-1/more",
    "spBv1.0/RIVERSIDE/NDATA/GW-11",
    "spBv1.0/STATE/plantroom",
    "spBv1.0/STATE/other",
    "$SYS/broker/x",
    "elsewhere",
])  # fmt: skip
def test_a_gateway_says_nothing_as_another(hub: Client, opened: Open, topic: str) -> None:
    gateway = opened("RIVERSIDE-GW-1")
    assert gateway.publish(topic, b"forged") == NOT_AUTHORISED
    said = nothing_else(hub, lambda: gateway.publish(OURS.format("NDATA"), b"sign"))
    assert (topic, b"forged") not in said


def test_a_gateway_leaves_no_retained_message_under_another_s_name(hub: Client, opened: Open) -> None:
    gateway = opened("RIVERSIDE-GW-1")
    assert gateway.publish("spBv1.0/STATE/plantroom", b"offline", retain=True) == NOT_AUTHORISED
    hub.publish("spBv1.0/STATE/plantroom", b"online", retain=True)
    other = opened("RIVERSIDE-GW-2")
    other.subscribe("spBv1.0/STATE/plantroom")
    assert other.hears("spBv1.0/STATE/plantroom", b"online")


@pytest.mark.parametrize("wanted", [
    THEIRS.format("NCMD"), THEIRS.format("DCMD") + "/+", THEIRS.format("NDATA"), "#", "spBv1.0/#", "+/+/+/+",
    "spBv1.0/+/NCMD/+", "spBv1.0/RIVERSIDE/#", "spBv1.0/HILLSIDE/#", "$share/group/spBv1.0/#", "$share/g/#", "$SYS/#",
])  # fmt: skip
def test_a_gateway_hears_nothing_of_another(hub: Client, opened: Open, wanted: str) -> None:
    gateway, other = opened("RIVERSIDE-GW-1"), opened("RIVERSIDE-GW-2")
    gateway.subscribe(wanted)  # Mosquitto grants it, and then decides message by message
    for topic in (THEIRS.format("NCMD"), THEIRS.format("DCMD") + "/EM-1", "spBv1.0/HILLSIDE/NCMD/GW-1"):
        assert hub.publish(topic, b"secret") == "Success"
    assert other.publish(THEIRS.format("NDATA"), b"secret") == "Success"
    gateway.subscribe(OURS.format("NCMD"))
    heard = nothing_else(gateway, lambda: hub.publish(OURS.format("NCMD"), b"sign"))
    assert [topic for topic, payload in heard if payload == b"secret"] == []


def test_a_last_will_speaks_for_its_own_gateway_only(hub: Client, opened: Open) -> None:
    liar = opened("RIVERSIDE-GW-2", will=(OURS.format("NDEATH"), b"dead"))
    liar.drop()
    honest = opened("RIVERSIDE-GW-1", will=(OURS.format("NDEATH"), b"really dead"))
    assert until(lambda: liar.ended)
    honest.drop()
    assert hub.hears(OURS.format("NDEATH"), b"really dead")
    assert (OURS.format("NDEATH"), b"dead") not in hub.heard


def test_nobody_throws_another_out_by_taking_its_client_id(hub: Client, opened: Open) -> None:
    first = opened("RIVERSIDE-GW-1", name="edge-RIVERSIDE-GW-1")
    for stolen in ("hub-plantroom", "plantroom/hub", "edge-RIVERSIDE-GW-1", "RIVERSIDE/GW-1"):
        thief = opened("RIVERSIDE-GW-2", name=stolen)
        assert thief.publish(THEIRS.format("NDATA"), stolen.encode()) == "Success"
        assert hub.hears(THEIRS.format("NDATA"), stolen.encode())
    assert (first.connected, hub.connected) == (True, True)


def test_a_message_that_is_too_large_ends_the_connection_of_its_sender_only(broker: Mosquitto, hub: Client) -> None:
    with broker.tls("RIVERSIDE-GW-1") as gateway:
        gateway.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x00")
        assert gateway.recv(100).startswith(b"\x20")
        with contextlib.suppress(OSError):
            gateway.sendall(b"\x30\x80\xea\x18" + bytes(400_000))
        said = b""
        with contextlib.suppress(OSError):
            said = gateway.recv(100)
    assert said == b"" or said.startswith(b"\xe0")
    assert hub.connected


# Who is not let in at all.


def written(folder: Path, key: object, certificate: x509.Certificate) -> Path:
    folder.mkdir()
    (folder / "key.pem").write_bytes(key_pem(key))  # type: ignore[arg-type]
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return folder


def from_authority(folder: Path, authority: Authority, at: datetime) -> Path:
    key = new_key()
    return written(folder, key, authority.gateway(key.public_key(), "RIVERSIDE", "GW-1", at))


def self_signed(folder: Path) -> Path:
    key, now = new_key(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "RIVERSIDE/GW-1")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(9)
    )
    return written(folder, key, builder.sign(key, hashes.SHA256()))


def refused(broker: Mosquitto, papers: Path | None) -> bool:
    client = broker.client(papers)
    let_in = client.open()
    client.close()
    return not let_in


def test_nobody_comes_in_without_a_certificate(broker: Mosquitto) -> None:
    assert refused(broker, None)


def test_a_self_signed_certificate_of_the_same_name_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    assert refused(broker, self_signed(tmp_path / "papers"))


def test_a_certificate_of_another_authority_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    assert refused(broker, from_authority(tmp_path / "papers", establish(now), now))


@pytest.mark.parametrize("age", [timedelta(days=91), timedelta(days=-1)])
def test_a_certificate_that_is_over_or_not_yet_in_force_is_refused(
    broker: Mosquitto, tmp_path: Path, age: timedelta
) -> None:
    authority = read(broker.installation.data / "authority")
    assert not refused(broker, from_authority(tmp_path / "now", authority, datetime.now(UTC)))
    assert refused(broker, from_authority(tmp_path / "then", authority, datetime.now(UTC) - age))


def test_the_broker_s_own_certificate_lets_nobody_in(broker: Mosquitto) -> None:
    assert refused(broker, broker.files)


def test_a_certificate_of_a_gateway_that_has_no_rights_does_nothing(
    broker: Mosquitto, hub: Client, opened: Open, tmp_path: Path
) -> None:
    key, authority = new_key(), read(broker.installation.data / "authority")
    certificate = authority.gateway(key.public_key(), "RIVERSIDE", "GW-9", datetime.now(UTC))
    stray = broker.client(written(tmp_path / "papers", key, certificate))
    assert stray.open()
    assert stray.publish("spBv1.0/RIVERSIDE/NDATA/GW-9", b"stray") == NOT_AUTHORISED
    stray.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_is_of_this_decade(broker: Mosquitto) -> None:
    versions: dict[str, str | None] = {}
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = broker.context("RIVERSIDE-GW-1")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is the broker that refuses
        context.minimum_version = context.maximum_version = version
        try:
            with broker.tls(context) as tls:
                versions[version.name] = (tls.cipher() or ("",))[0]
        except ssl.SSLError as error:
            versions[version.name] = error.reason
    assert versions["TLSv1_1"] == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert versions["TLSv1_2"].startswith("ECDHE-")
    assert versions["TLSv1_3"].startswith("TLS_")


def test_plain_mqtt_gets_no_answer(broker: Mosquitto) -> None:
    with socket.create_connection((HOST, broker.port), 5) as plain:
        plain.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x00")
        plain.settimeout(5)
        try:
            answer = plain.recv(100)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"\x20")


def test_hub_and_gateways_speak_to_nobody_but_our_broker(broker: Mosquitto, tmp_path: Path) -> None:
    own = broker.installation.folder / "RIVERSIDE-GW-1"
    link = Broker("localhost", broker.port, ca=own / "ca.pem", certificate=own / "certificate.pem", key=own / "key.pem")
    context = link.encryption()
    assert context is not None

    def handshake(port: int, name: str = "localhost") -> None:
        with socket.create_connection((HOST, port), 5) as plain:
            context.wrap_socket(plain, server_hostname=name).close()

    handshake(broker.port)
    handshake(broker.port, "broker.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(broker.port, "elsewhere.example")
    for pretender in (own, self_signed(tmp_path / "papers")):
        with tls_server(pretender) as port, pytest.raises(ssl.SSLCertVerificationError):
            handshake(port)


# What is taken back, and what is replaced.


def test_a_revoked_gateway_is_cut_off_by_a_reload_even_while_it_is_connected(
    broker: Mosquitto, hub: Client, opened: Open
) -> None:
    papers = broker.installation.enrol("RIVERSIDE", "GW-3")
    broker.reload()
    stolen, other = opened("RIVERSIDE-GW-3"), opened("RIVERSIDE-GW-2")
    topic, command = "spBv1.0/RIVERSIDE/NDATA/GW-3", "spBv1.0/RIVERSIDE/NCMD/GW-3"
    stolen.subscribe(command)
    assert stolen.publish(topic, b"before") == "Success"
    said = broker.installation.does("gateway", "revoke", "RIVERSIDE", "GW-3", "--because", "stolen")
    assert "1 certificates revoked" in said
    assert "systemctl reload mosquitto" in said
    assert "can neither say nor hear anything" in said
    broker.reload()
    assert stolen.publish(topic, b"after") == NOT_AUTHORISED
    hub.publish(command, b"secret")
    assert nothing_else(hub, lambda: other.publish(THEIRS.format("NDATA"), b"sign")).count((topic, b"after")) == 0
    assert not until(lambda: stolen.heard, SILENCE_S)
    assert refused(broker, papers)
    assert not refused(broker, broker.installation.folder / "HILLSIDE-GW-1")


def test_an_old_tls_session_does_not_outlive_the_certificate(broker: Mosquitto) -> None:
    broker.installation.enrol("RIVERSIDE", "GW-4")
    broker.reload()
    context = broker.context("RIVERSIDE-GW-4")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose sessions are known before the first answer
    with broker.tls(context) as first:
        session = first.session
    with broker.tls(context, session) as again:
        assert again.session_reused
    broker.installation.does("gateway", "revoke", "RIVERSIDE", "GW-4", "--because", "lost")
    broker.reload()
    with pytest.raises((ssl.SSLError, ConnectionResetError)), broker.tls(context, session):
        pass


def test_an_enrolled_gateway_may_speak_after_a_reload_and_again_after_revocation(
    broker: Mosquitto, opened: Open
) -> None:
    installation = broker.installation
    installation.enrol("RIVERSIDE", "GW-5")
    early = opened("RIVERSIDE-GW-5")
    assert early.publish("spBv1.0/RIVERSIDE/NDATA/GW-5") == NOT_AUTHORISED
    broker.reload()
    assert early.publish("spBv1.0/RIVERSIDE/NDATA/GW-5") in TAKEN
    installation.does("gateway", "revoke", "RIVERSIDE", "GW-5", "--because", "lost")
    installation.does("gateway", "enrol", "RIVERSIDE", "GW-5", "--out", str(installation.folder / "second"))
    broker.reload()
    assert refused(broker, installation.folder / "RIVERSIDE-GW-5")
    assert opened("second").publish("spBv1.0/RIVERSIDE/NDATA/GW-5") in TAKEN
    listed = {(row["site"], row["gateway"]): row for row in json.loads(installation.does("gateway", "list", "--json"))}
    assert listed["RIVERSIDE", "GW-5"]["state"] == "in force"
    assert listed["RIVERSIDE", "GW-8"]["state"] == "not enrolled"


def test_new_keys_for_broker_and_hub_shut_the_old_ones_out(broker: Mosquitto, tmp_path: Path) -> None:
    own = broker.installation.data / "hub"
    before = tmp_path / "before"
    before.mkdir()
    for name in ("key.pem", "certificate.pem"):
        (before / name).write_bytes((own / name).read_bytes())
    served = _served(broker)
    broker.configure()
    broker.reload()
    assert _served(broker) == served  # good for a while: nothing changes
    broker.configure("--new-keys")
    broker.reload()
    assert _served(broker) != served
    assert refused(broker, before)
    assert not refused(broker, own)


def _served(broker: Mosquitto) -> bytes | None:
    """The certificate that the broker shows."""
    with broker.tls("RIVERSIDE-GW-1") as tls:
        return tls.getpeercert(binary_form=True)


def test_enrolling_and_revoking_stand_in_the_record(broker: Mosquitto) -> None:
    broker.installation.enrol("HILLSIDE", "GW-2")
    broker.installation.does("gateway", "revoke", "HILLSIDE", "GW-2", "--because", "sold")
    with psycopg.connect(broker.installation.dsns.owner) as connection:
        acts = connection.execute(
            """SELECT a.action, a.actor, a.details, a.reason
               FROM audit_entries a JOIN gateways g ON g.id::text = a.entity_id JOIN sites s ON s.id = g.site_id
               WHERE s.code = 'HILLSIDE' AND g.code = 'GW-2' ORDER BY a.id"""
        ).fetchall()
    assert [(action, actor) for action, actor, *_ in acts] == [
        ("enrolled", "plantroom/command"), ("revoked", "plantroom/command"),
    ]  # fmt: skip
    assert acts[1][2:] == ({"serials": [acts[0][2]["serial"]]}, "sold")
    assert "PRIVATE" not in str(acts)
