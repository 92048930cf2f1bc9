"""The certificate authority: what it signs, for how long, and what it refuses to sign or to be."""

import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy import authority as files
from deploy.mosquitto import Place, access_list, configuration, place_from
from deploy.settings import read as read_settings
from edge_agent.identity import make_request, new_key
from hub.assets.authority import AuthorityError, establish, general_name, open_request, read
from hub.errors import InvalidError
from rules.wire.identity import NAME_CHARACTERS_MAX, UnusableNameError, common_name, renewal_due

NOW = datetime(2026, 11, 24, 8, 30, 0, 123456, tzinfo=UTC)
AUTHORITY = establish(NOW)


def usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_gateway_is_certified_as_a_client_for_ninety_days_under_its_own_name() -> None:
    key = new_key()
    made = AUTHORITY.gateway(key.public_key(), "RIVERSIDE", "GW-1", NOW)
    made.verify_directly_issued_by(AUTHORITY.certificate)
    assert [name.value for name in made.subject] == ["RIVERSIDE/GW-1"]
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:plantroom:gateway:RIVERSIDE:GW-1"]
    assert usages(made) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert made.not_valid_after_utc - NOW.replace(microsecond=0) == timedelta(days=90)
    assert made.not_valid_before_utc < NOW - timedelta(minutes=4)  # a gateway's clock may be a little behind
    assert made.public_key() == key.public_key()
    assert isinstance(made.signature_hash_algorithm, hashes.SHA256)
    assert made.serial_number.bit_length() > 100


def test_nothing_that_it_signs_can_sign_in_turn() -> None:
    key = new_key().public_key()
    for made in (
        AUTHORITY.gateway(key, "S", "G", NOW), AUTHORITY.hub(key, NOW), AUTHORITY.broker(key, ["h"], NOW)
    ):  # fmt: skip
        limits = made.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = made.extensions.get_extension_for_class(x509.KeyUsage)
        assert (limits.value.ca, limits.critical, usage.value.key_cert_sign, usage.critical) == (
            False,
            True,
            False,
            True,
        )
    own = AUTHORITY.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (own.ca, own.path_length) == (True, 0)


def test_broker_and_hub_are_certified_for_one_side_each() -> None:
    key = new_key().public_key()
    broker = AUTHORITY.broker(key, ["broker.example", "192.0.2.7", "2001:db8::7"], NOW)
    assert usages(broker) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]
    hub = AUTHORITY.hub(key, NOW)
    assert usages(hub) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert [name.value for name in hub.subject] == ["plantroom/hub"]


def test_nothing_lasts_longer_than_the_authority() -> None:
    late = AUTHORITY.certificate.not_valid_after_utc - timedelta(days=3)
    assert AUTHORITY.gateway(new_key().public_key(), "S", "G", late).not_valid_after_utc == late + timedelta(days=3)


@pytest.mark.parametrize(
    ("site", "gateway"),
    [
        ("plantroom", "hub"),
        ("PlantRoom", "GW-1"),
        ("S/1", "GW-1"),
        ("S", "+"),
        ("S", "#"),
        ("S", "GW 1"),
        ("S", "GW-1\ntopic readwrite #"),
        ("S", "GW-1\n"),
        ("S\x00", "GW-1"),
        ("", "GW-1"),
        ("S", ""),
        ("S", "-GW"),
        ("园区", "GW-1"),
        ("S" * 32, "G" * 32),
    ],
)
def test_no_name_means_more_than_a_gateway(site: str, gateway: str) -> None:
    with pytest.raises(UnusableNameError):
        common_name(site, gateway)
    with pytest.raises(UnusableNameError):
        access_list([("S", "GW-1"), (site, gateway)])
    with pytest.raises(UnusableNameError):
        AUTHORITY.gateway(new_key().public_key(), site, gateway, NOW)


def test_the_longest_name_is_certified() -> None:
    made = AUTHORITY.gateway(new_key().public_key(), "S" * 31, "G" * 32, NOW)
    assert len(made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value) == NAME_CHARACTERS_MAX


def test_the_list_of_what_is_revoked_is_signed_and_counts_until_the_authority_ends() -> None:
    listed = x509.load_pem_x509_crl(AUTHORITY.revocation_list({7: NOW, 3: NOW}, 12, NOW))
    public = AUTHORITY.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert listed.is_signature_valid(public)
    assert sorted(one.serial_number for one in listed) == [3, 7]
    assert listed.next_update_utc == AUTHORITY.certificate.not_valid_after_utc
    assert listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 12


def test_a_request_is_opened_when_its_own_key_has_signed_it() -> None:
    key = new_key()
    assert open_request(make_request(key, "S/G")) == ("S/G", key.public_key())


def forged() -> bytes:
    """A request whose signature is another key's."""
    honest = x509.load_pem_x509_csr(make_request(new_key(), "S/G"))
    der = bytearray(honest.public_bytes(Encoding.DER))
    der[-1] ^= 1
    text = base64.encodebytes(bytes(der))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"


def asked_with(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "S/G")])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder(subject).sign(key, algorithm).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("request_pem", "sentence"),
    [
        (b"", "not a certificate request"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "not a certificate request",
        ),
        (b"x" * 9_000, "has at most 8000 bytes"),
        (forged(), "not signed by its own key"),
        (asked_with(rsa.generate_private_key(65537, 2048)), "not of an elliptic curve of 256 bits"),
        (asked_with(ed25519.Ed25519PrivateKey.generate()), "not of an elliptic curve of 256 bits"),
        (asked_with(ec.generate_private_key(ec.SECP192R1())), "not of an elliptic curve of 256 bits"),
    ],
)
def test_a_request_that_proves_nothing_or_is_weak_is_refused(request_pem: bytes, sentence: str) -> None:
    with pytest.raises(InvalidError, match=sentence):
        open_request(request_pem)


@pytest.mark.parametrize("host", ["a b", "a..b", "", "-a", "a_b", "x" * 64, "a\nb", "*.example", "http://a"])
def test_what_is_no_host_is_not_certified(host: str) -> None:
    with pytest.raises(InvalidError, match="is not a host name or address"):
        general_name(host)


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left() -> None:
    assert renewal_due(NOW, NOW + timedelta(days=90)) == NOW + timedelta(days=60)


def test_the_files_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    settings = read_settings(data=tmp_path)
    with files.opened(settings, NOW) as first:
        folder = files.folder(settings)
    with files.opened(settings, NOW) as second:
        assert second.certificate == first.certificate
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert files.given(settings) == folder


def test_what_was_revoked_stays_on_the_list_and_each_list_is_younger(tmp_path: Path) -> None:
    settings = read_settings(data=tmp_path)
    now = datetime.now(UTC)
    with files.opened(settings, now) as authority:
        lists = [files.revoke(settings, authority, revoked) for revoked in ({}, {7: now}, {}, {9: now, 7: now})]
    opened = [x509.load_pem_x509_crl(one) for one in lists]
    assert [sorted(one.serial_number for one in listed) for listed in opened] == [[], [7], [7], [7, 9]]
    assert opened[0].last_update_utc < opened[1].last_update_utc < opened[3].last_update_utc
    assert lists[1] == lists[2]


@pytest.mark.parametrize("spoil", ["missing", "rubbish", "foreign", "open"])
def test_an_authority_whose_files_are_not_right_signs_nothing(tmp_path: Path, spoil: str) -> None:
    settings = read_settings(data=tmp_path)
    with files.opened(settings, NOW):
        folder = files.folder(settings)
    if spoil == "missing":
        (folder / "ca.key").unlink()
    elif spoil == "rubbish":
        (folder / "ca.key").write_text("rubbish")
    elif spoil == "foreign":
        (folder / "ca.pem").write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    else:
        (folder / "ca.key").chmod(0o644)
    with pytest.raises(AuthorityError), files.opened(settings, NOW):
        pass
    with pytest.raises(AuthorityError):
        read(folder)


def test_another_authority_s_signature_is_not_ours() -> None:
    foreign = establish(NOW).gateway(new_key().public_key(), "S", "G", NOW)
    with pytest.raises((ValueError, InvalidSignature)):
        foreign.verify_directly_issued_by(AUTHORITY.certificate)


def test_the_configuration_asks_for_certificates_and_bounds_everything(tmp_path: Path) -> None:
    place = Place(tmp_path, ("broker.example",), 8883, "", "mosquitto")
    lines = configuration(place).splitlines()
    for wanted in (
        "allow_anonymous false", "require_certificate true", "use_identity_as_username true",
        "use_username_as_clientid true", "tls_version tlsv1.2", "persistence false", "sys_interval 0",
        "listener 8883", f"crlfile {tmp_path}/revoked.pem", f"acl_file {tmp_path}/access", "user mosquitto",
    ):  # fmt: skip
        assert wanted in lines
    said = dict(line.split(" ", 1) for line in lines)
    for bound in ("packet_size", "inflight_messages", "queued_messages", "queued_bytes", "connections", "keepalive"):
        assert int(said[f"max_{bound}"]) > 0
    assert place_from(place.dump()) == place
