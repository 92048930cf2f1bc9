"""What an operator does with certificates, and what is refused with a sentence; the doctor's look at them."""

import json
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from deploy import doctor_identity, doctor_servers
from deploy.doctor_check import Check
from deploy.settings import read as read_settings
from edge_agent.identity import key_pem, make_request, new_key
from hub.assets.authority import establish, read
from tests.builders import RIVERSIDE, Dsns
from tests.field import HOST
from tests.mosquitto import Installation, Mosquitto, installed, needs_mosquitto

AT = ("RIVERSIDE", "GW-1")


@pytest.fixture
def place(open_directory: Path, dsns: Dsns, tmp_path: Path) -> Iterator[Installation]:
    """An installation with Riverside Park registered."""
    with installed(open_directory / f"commands-{tmp_path.name}", dsns) as installation:
        installation.does("hub", "register", str(RIVERSIDE))
        yield installation


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_enrolling_writes_three_files_whose_key_nobody_else_reads(place: Installation) -> None:
    out = place.folder / "out"
    said = place.does("gateway", "enrol", *AT, "--out", str(out))
    assert {path.name: mode(path) for path in out.iterdir()} == {
        "key.pem": 0o600, "certificate.pem": 0o644, "ca.pem": 0o644,
    }  # fmt: skip
    assert mode(out) == 0o700
    assert "plantroom broker configure" in said
    assert "PLANTROOM_BROKER_KEY=.../key.pem" in said
    assert "PRIVATE" not in said


def test_a_key_that_was_made_on_the_gateway_never_comes_here(place: Installation, tmp_path: Path) -> None:
    key, csr, out = new_key(), tmp_path / "gateway.csr", place.folder / "out"
    csr.write_bytes(make_request(key, "RIVERSIDE/GW-1"))
    place.does("gateway", "enrol", *AT, "--out", str(out), "--csr", str(csr))
    assert sorted(path.name for path in out.iterdir()) == ["ca.pem", "certificate.pem"]
    assert x509.load_pem_x509_certificate((out / "certificate.pem").read_bytes()).public_key() == key.public_key()


def test_renewing_leaves_what_is_in_use(place: Installation) -> None:
    first, second = place.enrol(*AT), place.folder / "second"
    before = (first / "certificate.pem").read_bytes()
    place.does("gateway", "renew", *AT, "--out", str(second))
    assert (first / "certificate.pem").read_bytes() == before
    [row] = json.loads(place.does("gateway", "list", "--json"))
    renewed = x509.load_pem_x509_certificate((second / "certificate.pem").read_bytes())
    assert (row["state"], row["serial"]) == ("in force", f"{renewed.serial_number:x}")
    assert "RIVERSIDE/GW-1" in place.does("gateway", "list")


@pytest.mark.parametrize(("words", "sentence"), [
    (("enrol", "NOWHERE", "GW-1"), "There is no site 'NOWHERE'"),
    (("enrol", "RIVERSIDE", "GW-9"), "There is no gateway 'GW-9' at the site 'RIVERSIDE'"),
    (("enrol", "plantroom", "hub"), "is kept for Plantroom's own programs"),
    (("enrol", "RIVERSIDE", "GW-1\ntopic readwrite #"), "cannot stand in a certificate"),
    (("enrol", "RIVERSIDE", "+"), "cannot stand in a certificate"),
    (("renew", "RIVERSIDE", "GW-1"), "has no certificate in force"),
])  # fmt: skip
def test_what_cannot_be_certified_leaves_nothing_behind(
    place: Installation, words: tuple[str, str, str], sentence: str
) -> None:
    out = place.folder / "out"
    assert sentence in place.refuses("gateway", *words, "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "not a certificate request"),
    (b"\xff\x00" * 9_000, "has at most 8000 bytes"),
    (make_request(new_key(), "RIVERSIDE/GW-2"), "not for 'RIVERSIDE/GW-1'"),
    (None, "no such file"),
])  # fmt: skip
def test_a_request_that_is_wrong_is_refused(
    place: Installation, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    csr, out = tmp_path / "gateway.csr", place.folder / "out"
    if content is not None:
        csr.write_bytes(content)
    assert sentence in place.refuses("gateway", "enrol", *AT, "--out", str(out), "--csr", str(csr))
    assert not out.exists()


def test_nothing_is_overwritten(place: Installation) -> None:
    out = place.enrol(*AT)
    key = (out / "key.pem").read_bytes()
    assert "exists and is not overwritten" in place.refuses("gateway", "renew", *AT, "--out", str(out))
    assert (out / "key.pem").read_bytes() == key


def test_what_lies_in_the_directory_already_stays(place: Installation) -> None:
    out = place.folder / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    place.refuses("gateway", "enrol", "NOWHERE", "GW-1", "--out", str(out))
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    (place.folder / "file").write_text("")
    assert "file" in place.refuses("gateway", "enrol", *AT, "--out", str(place.folder / "file" / "out"))


def test_revoking_says_what_to_do_and_can_be_said_again(place: Installation) -> None:
    assert "had none in force" in place.does("gateway", "revoke", *AT, "--because", "lost")
    place.enrol(*AT)
    Mosquitto(place).configure()
    said = place.does("gateway", "revoke", *AT, "--because", "sold")
    assert "1 certificates revoked" in said
    assert "systemctl reload mosquitto" in said
    assert "had none in force" in place.does("gateway", "revoke", *AT, "--because", "lost")
    [row] = json.loads(place.does("gateway", "list", "--json"))
    assert (row["state"], row["revoked_because"]) == ("revoked", "sold")
    assert "at most 500 characters" in place.refuses("gateway", "revoke", *AT, "--because", "x" * 501)
    assert "There is no gateway" in place.refuses("gateway", "revoke", "RIVERSIDE", "GW-9", "--because", "lost")


def test_lists_that_were_lost_on_the_way_are_made_again(place: Installation) -> None:
    place.enrol(*AT)
    broker = Mosquitto(place)
    broker.configure()
    assert "user RIVERSIDE/GW-1" in (broker.files / "access").read_text()
    place.does("gateway", "revoke", *AT, "--because", "lost")
    for lost in ("access", "revoked.pem"):
        (broker.files / lost).unlink()
    place.does("broker", "configure")  # where, how it is called and its port are known
    assert "user RIVERSIDE/GW-1" not in (broker.files / "access").read_text()
    assert len(list(x509.load_pem_x509_crl((broker.files / "revoked.pem").read_bytes()))) == 1
    assert f"listener {broker.port} {HOST}" in (broker.files / "mosquitto.conf").read_text()


def test_the_broker_s_files_are_read_by_its_user_and_changed_by_nobody_else(place: Installation) -> None:
    broker = Mosquitto(place)
    said = broker.configure()
    assert f"PLANTROOM_BROKER_ADDRESS=broker.example:{broker.port}" in said
    names = {path.name for path in broker.files.iterdir()}
    assert names == {"mosquitto.conf", "access", "ca.pem", "certificate.pem", "key.pem", "revoked.pem"}
    assert {mode(path) for path in broker.files.iterdir()} == {0o640}
    if os.geteuid() == 0 and any(user.pw_name == "mosquitto" for user in pwd.getpwall()):
        assert {path.group() for path in (broker.files, *broker.files.iterdir())} == {"mosquitto"}
        assert mode(broker.files) == 0o2750
    assert {path.stat().st_uid for path in broker.files.iterdir()} == {os.geteuid()}
    assert {mode(path) for path in (place.data / "hub").iterdir()} == {0o600}
    assert mode(place.data / "authority") == 0o700


@pytest.mark.parametrize(("words", "sentence"), [
    ((), "--out"),
    (("--out", "{}", "--host", "a b"), "is not a host name or address"),
    (("--out", "{}", "--host", "x\nlistener 1883"), "is not a host name or address"),
    (("--out", "{}/a b"), "has a space in its name"),
    (("--out", "{}", "--port", "0"), "--port"),
    (("--out", "{}", "--port", "70000"), "--port"),
    (("--out", "{}", "--user", "nobody-of-that-name"), "--user"),
    (("--out", "{}", "--user", "root\nallow_anonymous true"), "--user"),
    (("--out", "{}", "--address", "x\nallow_anonymous true"), "--address"),
])  # fmt: skip
def test_a_broker_that_cannot_be_is_not_configured(place: Installation, words: tuple[str, ...], sentence: str) -> None:
    where = str(place.folder / "mosquitto")
    assert sentence in place.refuses("broker", "configure", *(word.format(where) for word in words))
    assert not (place.data / "authority" / "broker.json").exists()


def test_somebody_else_s_configuration_stays(place: Installation) -> None:
    out = place.folder / "mosquitto"
    out.mkdir()
    (out / "mosquitto.conf").write_text("listener 1883\n")
    assert "is not ours" in place.refuses("broker", "configure", "--out", str(out))
    assert [path.name for path in out.iterdir()] == ["mosquitto.conf"]


@needs_mosquitto
def test_after_the_loss_of_the_authority_everybody_is_let_in_anew(place: Installation) -> None:
    before, broker = place.enrol(*AT), Mosquitto(place)
    broker.configure()
    shutil.rmtree(place.data / "authority")
    broker.configure("--new-keys")
    broker.start()
    assert not opens(broker, before)
    place.does("gateway", "revoke", *AT, "--because", "the authority was lost")
    after = place.folder / "after"
    place.does("gateway", "enrol", *AT, "--out", str(after))
    broker.reload()
    assert (opens(broker, before), opens(broker, after), opens(broker, place.data / "hub")) == (False, True, True)
    broker.stop()


def opens(broker: Mosquitto, papers: Path) -> bool:
    client = broker.client(papers)
    let_in = client.open()
    client.close()
    return let_in


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL's command is not installed")
def test_the_request_that_openssl_makes_is_signed(place: Installation, tmp_path: Path) -> None:
    key, csr = str(tmp_path / "key.pem"), str(tmp_path / "gw-1.csr")
    for words in (
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
        ["req", "-new", "-key", key, "-subj", "/CN=RIVERSIDE\\/GW-1", "-out", csr],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    place.does("gateway", "enrol", *AT, "--out", str(place.folder / "out"), "--csr", csr)


# The doctor.


def checks(place: Installation, **settings: object) -> dict[str, Check]:
    read_ = read_settings(data=place.data, database_dsn=place.dsns.hub, **settings)
    return {check.name: check for check in doctor_identity.checks(read_, datetime.now(UTC))}


def aged(folder: Path, place: Installation, days: int) -> None:
    """Put a certificate of that age into a folder."""
    authority = read(place.data / "authority")
    key = new_key().public_key()
    certificate = authority.gateway(key, *AT, datetime.now(UTC) - timedelta(days=days))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


def test_the_doctor_says_which_certificates_end_soon(place: Installation, tmp_path: Path) -> None:
    assert checks(place) == {}
    papers = place.enrol(*AT)
    Mosquitto(place).configure()
    names = {name: str(papers / f"{name}.pem") for name in ("ca", "certificate", "key")}
    files = {f"broker_{name}": path for name, path in names.items()} | {"broker_address": "broker.example:8883"}
    found = checks(place, **files)
    assert all(check.ok for check in found.values())
    assert set(found) == {"Our certificate", "Certificate authority", "Broker's certificate", "Gateways' certificates"}
    aged(papers, place, 61)
    soon = checks(place, **files)["Our certificate"]
    assert (soon.ok, soon.needed) == (False, False)
    aged(papers, place, 91)
    ended = checks(place, **files)["Our certificate"]
    assert (ended.ok, ended.needed) == (False, True)
    (papers / "certificate.pem").unlink()
    assert "cannot be read" in checks(place, **files)["Our certificate"].found


def test_the_doctor_names_gateways_that_did_not_renew(place: Installation) -> None:
    place.enrol(*AT)
    settings = read_settings(data=place.data, database_dsn=place.dsns.hub)
    later = datetime.now(UTC) + timedelta(days=70)
    [check] = [one for one in doctor_identity.checks(settings, later) if one.name == "Gateways' certificates"]
    assert not check.ok
    assert "ending soon: RIVERSIDE/GW-1" in check.found


@needs_mosquitto
def test_the_doctor_tries_the_broker_without_throwing_the_hub_out(place: Installation, tmp_path: Path) -> None:
    broker = Mosquitto(place)
    broker.configure()
    broker.start()
    own = place.data / "hub"
    hub = broker.client(own)
    assert hub.open()
    files = {f"broker_{name}": own / f"{name}.pem" for name in ("ca", "certificate", "key")}

    def said(**more: object) -> Check:
        settings = read_settings(data=place.data, broker_address=f"localhost:{broker.port}", **{**files, **more})
        return doctor_servers._broker(settings)

    assert said().sentence().endswith("speaks TLSv1.3 and takes our certificate.")
    assert hub.connected
    foreign = tmp_path / "foreign.pem"
    foreign.write_bytes(establish(datetime.now(UTC)).certificate.public_bytes(Encoding.PEM))
    assert "certificate verify failed" in said(broker_ca=foreign).found
    strange = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = establish(datetime.now(UTC))
    key = new_key()
    strange[0].write_bytes(made.hub(key.public_key(), datetime.now(UTC)).public_bytes(Encoding.PEM))
    strange[1].write_bytes(key_pem(key))
    assert "refuses our certificate" in said(broker_certificate=strange[0], broker_key=strange[1]).found
    assert "cannot be used" in said(broker_key=foreign).found
    hub.close()
    broker.stop()
    assert "Connection refused" in said().found


def test_a_gateway_is_given_another_site_file_by_one_command(place: Installation) -> None:
    said = place.does("gateway", "configure", *AT, str(RIVERSIDE), "--note", "a test")
    assert "RIVERSIDE/GW-1 is to go by" in said
    assert "without technicians, tenants and leases" in said
