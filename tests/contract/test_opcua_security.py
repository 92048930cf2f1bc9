"""Who a line lets in and how it comes in: policies, trust, expiry, user and password."""

import logging
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from drivers.errors import MisconfiguredError, UnreachableError
from drivers.opcua import trust
from drivers.opcua.line import OpcuaDriver
from edge_agent import check
from rules.model.line import OpcuaLine
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_opcua import OpcuaGround
from tests.field import site_text, write_site

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
SERVER_URI = "urn:ground:server"
OUR_URI = "urn:plantroom:S1:G:L"
POLICIES = ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]
MODES = ["sign", "sign_and_encrypt"]
SAFE = [
    getattr(ua.SecurityPolicyType, f"{policy}_{mode}") for policy in POLICIES for mode in ("Sign", "SignAndEncrypt")
]
DEVICE = """
[[device]]
code = "D1"
name_zh = "D"
name_en = "D"
line = "L"
profile = "opcua-server-health"
role = "plant"
space = "A"
"""
NAME, WORD = "reader", "only for tests"


class Users:
    """Knows one user; remembers who came."""

    def __init__(self) -> None:
        self.came: list[tuple[str | None, str | None]] = []

    def get_user(
        self, _server: Any, username: str | None = None, password: str | None = None, **_: object
    ) -> User | None:
        self.came.append((username, password))
        return User(role=UserRole.User) if (username, password) == (NAME, WORD) else None


class SecureGround(OpcuaGround):
    """A server with a certificate."""

    def __init__(self, folder: Path, policies: list[Any], users: Users | None = None, **line: Any) -> None:
        super().__init__(**line)
        self.folder_ = folder
        self.policies = policies
        self.users = users
        self.made = datetime.now(UTC)

    async def prepare(self, server: Server) -> None:
        certificate, key = pair(self.folder_, "server", SERVER_URI, self.made)
        await server.set_application_uri(SERVER_URI)
        await server.load_certificate(certificate)
        await server.load_private_key(key)
        server.set_security_policy(self.policies)

    def inner_options(self) -> dict[str, Any]:
        return {"user_manager": self.users} if self.users is not None else {}


def pair(folder: Path, name: str, uri: str, at: datetime) -> tuple[Path, Path]:
    """Make a certificate and its key, or give those of before."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    if not certificate.exists():
        shown, secret = trust.make(uri, socket.gethostname(), at)
        certificate.write_bytes(shown)
        key.write_bytes(secret)
    return certificate, key


def secured(folder: Path, **more: Any) -> dict[str, Any]:
    certificate, key = pair(folder, "ours", OUR_URI, datetime.now(UTC))
    return {"certificate": str(certificate), "key": str(key), "trust": str(folder / "server.pem"), **more}


async def read(ground: OpcuaGround, now: datetime | None = None) -> tuple[list[Reading], tuple[str, ...]]:
    assert isinstance(ground.line, OpcuaLine)
    ground.show(SHOWN)
    await ground.start()
    driver = OpcuaDriver(ground.line, lambda: now or datetime.now(UTC))
    try:
        readings = await driver.station(ground.device).read()
        await driver.station(ground.device).read()
    finally:
        await driver.close()
        await ground.stop()
    return readings, driver.cautions


def good(readings: list[Reading]) -> bool:
    return [r.value for r in readings] == list(SHOWN.values()) and {r.quality for r in readings} == {Quality.GOOD}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", MODES)
async def test_every_policy_is_spoken(tmp_path: Path, policy: str, mode: str) -> None:
    readings, cautions = await read(SecureGround(tmp_path, SAFE, **secured(tmp_path, security=policy, mode=mode)))
    assert good(readings)
    assert cautions == ()


async def test_a_folder_of_trusted_certificates_will_do(tmp_path: Path) -> None:
    certificate, _ = pair(tmp_path, "server", SERVER_URI, datetime.now(UTC))
    folder = tmp_path / "trusted"
    folder.mkdir()
    pair(folder, "another", "urn:another", datetime.now(UTC))
    (folder / "another-key.pem").unlink()
    (folder / "readme.txt").write_text("no certificate")
    shown = x509.load_pem_x509_certificate(certificate.read_bytes())
    (folder / "plant.der").write_bytes(shown.public_bytes(Encoding.DER))
    more = secured(tmp_path, security=POLICIES[0]) | {"trust": str(folder)}
    assert good((await read(SecureGround(tmp_path, SAFE, **more)))[0])


async def test_a_server_that_is_not_trusted_is_refused_with_its_fingerprint_and_gets_no_session(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "trusted"
    folder.mkdir()
    more = secured(tmp_path, security=POLICIES[0]) | {"trust": str(folder)}
    ground = SecureGround(tmp_path, SAFE, **more)
    readings, _ = await read(ground)
    shown = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    mark = trust.fingerprint(shown.public_bytes(Encoding.DER))
    for reading in readings:
        assert (reading.value, reading.quality) == (None, Quality.BAD)
        assert f"shows a certificate that is not trusted (SHA-256 {mark})" in reading.error
        assert str(folder) in reading.error
    assert ground.sessions <= 1  # the server's own


async def test_a_server_with_another_s_certificate_is_refused_though_it_was_trusted_before(tmp_path: Path) -> None:
    ground = SecureGround(tmp_path, SAFE, **secured(tmp_path, security=POLICIES[0]))
    assert good((await read(ground))[0])
    kept = tmp_path / "kept.pem"
    kept.write_bytes((tmp_path / "server.pem").read_bytes())
    (tmp_path / "server.pem").unlink()
    assert isinstance(ground.line, OpcuaLine)
    ground.line = ground.line.model_copy(update={"trust": str(kept)})
    assert "is not trusted" in (await read(ground))[0][0].error


async def test_what_is_not_offered_is_said_with_what_is(tmp_path: Path) -> None:
    ground = SecureGround(tmp_path, SAFE[:2], **secured(tmp_path, security=POLICIES[2]))
    error = (await read(ground))[0][0].error
    assert "does not offer Aes256Sha256RsaPss/sign_and_encrypt" in error
    assert "Basic256Sha256/Sign" in error


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certificate": None}, "needs certificate, key and trust"),
        ({"trust": None}, "needs certificate, key and trust"),
        ({"key": "nowhere.pem"}, "nowhere.pem cannot be read"),
        ({"trust": "nowhere"}, "nowhere cannot be read"),
        ({"key": "server.pem"}, "no RSA key"),
        ({"key": "server-key.pem"}, "is not the key of the certificate"),
        ({"certificate": "server-key.pem"}, "is no certificate"),
        ({"certificate": "plain.pem", "key": "plain-key.pem"}, "names no application URI"),
    ],
)
async def test_files_that_do_not_fit_are_said(tmp_path: Path, change: dict[str, str | None], said: str) -> None:
    pair(tmp_path, "server", SERVER_URI, datetime.now(UTC))
    plain(tmp_path)
    paths = {name: value and str(tmp_path / value) for name, value in change.items()}
    ground = SecureGround(tmp_path, SAFE, **(secured(tmp_path, security=POLICIES[0]) | paths))
    assert said in (await read(ground))[0][0].error


def plain(folder: Path) -> None:
    """Make a certificate without an application URI."""
    _, secret = trust.make("urn:x", "host", datetime.now(UTC))
    key = load_pem_private_key(secret, None)
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())  # type: ignore[arg-type]
    builder = builder.serial_number(1).not_valid_before(datetime.now(UTC)).not_valid_after(
        datetime.now(UTC) + timedelta(days=1)
    )  # fmt: skip
    (folder / "plain.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))  # type: ignore[arg-type]
    (folder / "plain-key.pem").write_bytes(secret)


async def test_certificates_that_end_soon_are_said_once_and_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ground = SecureGround(tmp_path, SAFE, **secured(tmp_path, security=POLICIES[0]))
    now = datetime.now(UTC) + trust.VALID - timedelta(days=20)
    with caplog.at_level(logging.WARNING):
        readings, cautions = await read(ground, now)
    assert [r.value for r in readings] == list(SHOWN.values())
    assert len(cautions) == 2
    assert "our certificate" in cautions[0]
    assert "in 19 days" in cautions[0]
    assert "the certificate of opc.tcp://" in cautions[1]
    assert len([record for record in caplog.records if "ends on" in record.getMessage()]) == 2


async def test_a_trusted_server_whose_certificate_has_ended_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ground = SecureGround(tmp_path, SAFE, **secured(tmp_path, security=POLICIES[0]))
    ground.made = datetime.now(UTC) - trust.VALID - timedelta(days=10)
    with caplog.at_level(logging.WARNING):
        readings, cautions = await read(ground)
    assert good(readings)
    assert len(cautions) == 1
    assert "ended on" in cautions[0]


@pytest.fixture
def password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "opcua-L-password").write_text(f"{WORD}\n")
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(folder))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    def write(word: str | None) -> None:
        """Keep another password; None: none."""
        (folder / "opcua-L-password").unlink()
        if word is not None:
            (folder / "opcua-L-password").write_text(word)

    return write


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("mode", MODES)
async def test_user_and_password_are_those_of_the_line(tmp_path: Path, mode: str) -> None:
    users = Users()
    more = secured(tmp_path, security=POLICIES[0], mode=mode, user=NAME)
    assert good((await read(SecureGround(tmp_path, SAFE, users, **more)))[0])
    assert users.came == [(NAME, WORD)]


async def test_a_wrong_password_is_said_and_not_tried_again_and_again(
    tmp_path: Path, password: Callable[[str | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    password("wrong words")
    users = Users()
    more = secured(tmp_path, security=POLICIES[0], user=NAME)
    with caplog.at_level(logging.DEBUG):
        readings, _ = await read(SecureGround(tmp_path, SAFE, users, **more))
    assert "does not let us in: BadUserAccessDenied" in readings[0].error
    assert len(users.came) == 1  # of two readings
    assert "wrong words" not in caplog.text


async def test_a_user_without_a_password_is_said(tmp_path: Path, password: Callable[[str | None], None]) -> None:
    password(None)
    more = secured(tmp_path, security=POLICIES[0], user=NAME)
    assert "the credential opcua-L-password" in (await read(SecureGround(tmp_path, SAFE, Users(), **more)))[0][0].error


@pytest.mark.usefixtures("password")
async def test_a_password_never_goes_in_clear(tmp_path: Path) -> None:
    users = Users()
    ground = SecureGround(tmp_path, [ua.SecurityPolicyType.NoSecurity], users, user=NAME)
    assert f"wants the password of '{NAME}' in clear" in (await read(ground))[0][0].error
    assert users.came == []


@pytest.mark.usefixtures("password")
async def test_without_security_a_password_goes_sealed_and_to_a_trusted_server_only(tmp_path: Path) -> None:
    users = Users()
    policies = [ua.SecurityPolicyType.NoSecurity, *SAFE]
    strange = SecureGround(tmp_path, policies, users, user=NAME)
    assert "to any server" in (await read(strange))[0][0].error
    (tmp_path / "none").mkdir()
    strange = SecureGround(tmp_path, policies, users, user=NAME, trust=str(tmp_path / "none"))
    assert "is not trusted" in (await read(strange))[0][0].error
    assert users.came == []
    known = SecureGround(tmp_path, policies, users, user=NAME, trust=str(tmp_path / "server.pem"))
    assert good((await read(known))[0])
    assert users.came == [(NAME, WORD)]


async def test_the_channel_of_a_secured_line_comes_back_after_a_restart(tmp_path: Path) -> None:
    ground = SecureGround(tmp_path, SAFE, **secured(tmp_path, security=POLICIES[0]))
    assert isinstance(ground.line, OpcuaLine)
    driver = OpcuaDriver(ground.line, lambda: datetime.now(UTC))
    station = driver.station(ground.device)
    try:
        for number in range(5):
            await ground.start()
            ground.show({GAUGE: float(number)})
            for _ in range(3):
                try:
                    readings = await station.read()
                    break
                except UnreachableError:
                    continue
            assert readings[1].value == float(number)
            await ground.stop()
    finally:
        await driver.close()
        await ground.stop()


def test_the_files_of_a_certificate_are_read_in_bounds(tmp_path: Path) -> None:
    big = tmp_path / "big.pem"
    big.write_bytes(b"-----BEGIN CERTIFICATE-----\n" + b"A" * 1_000_000)
    with pytest.raises(MisconfiguredError, match="is no certificate"):
        trust.trusted(str(big))
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(trust.TRUSTED_MAX + 1):
        (folder / f"{number}.pem").touch()
    with pytest.raises(MisconfiguredError, match="more than 500"):
        trust.trusted(str(folder))


async def test_a_look_at_the_site_says_that_a_certificate_ends(tmp_path: Path) -> None:
    more = secured(tmp_path, security=POLICIES[0])
    ground = SecureGround(tmp_path, SAFE, **more)
    ground.made = datetime.now(UTC) - trust.VALID + timedelta(days=10)
    await ground.start()
    head = site_text(502).partition("[[line]]")[0]
    words = "\n".join(f'{name} = "{value}"' for name, value in more.items())
    assert isinstance(ground.line, OpcuaLine)
    path = write_site(tmp_path, f'{head}[[line]]\ncode = "L"\ngateway = "GW-1"\ndriver = "opcua"\npoll_s = 5\n'
                      f'url = "{ground.line.url}"\n{words}\n{DEVICE}')  # fmt: skip
    try:
        report = await check.check(path)
    finally:
        await ground.stop()
    assert "the certificate of opc.tcp://" in report.lines[-1]
    assert "in 9 days" in report.lines[-1]
    assert all("D1.s" in problem or "D1.r" in problem for problem in report.problems)  # diagnostics are off there
