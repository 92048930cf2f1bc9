"""The web with a certificate of its own: TLS 1.2 and 1.3 with good ciphers, and nothing else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.assets.authority import establish
from hub.store.database import Database
from tests.builders import Park
from web.main import server
from web.settings import WebSettings


def server_files(folder: Path) -> tuple[Path, Path, Path]:
    """Certificate and key for localhost, and the authority that signed it."""
    now = datetime.now(UTC)
    authority, key = establish(now), ec.generate_private_key(ec.SECP256R1())
    files = folder / "certificate.pem", folder / "key.pem", folder / "ca.pem"
    files[0].write_bytes(authority.broker(key.public_key(), ["localhost"], now).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[2].write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return files


@pytest.fixture
async def https(database: Database, park: Park, tmp_path: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    certificate, key, ca = server_files(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = WebSettings(
            park.dsns.hub, public_address=f"https://localhost:{port}", certificate=(certificate, key), broadcast=False
        )
        web = server(database, settings, "127.0.0.1", port)
        task = asyncio.create_task(web.serve(sockets=[listener]))
        while not web.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
        yield port, ssl.create_default_context(cafile=str(ca))
        web.should_exit = True
        await task


async def test_pages_come_by_tls_and_browsers_are_told_to_stay_with_it(https: tuple[int, ssl.SSLContext]) -> None:
    port, trust = https
    async with httpx.AsyncClient(verify=trust, base_url=f"https://localhost:{port}") as client:
        answer = await client.get("/sign-in")
    assert answer.status_code == httpx.codes.OK
    assert "max-age=31536000; includeSubDomains" in answer.headers["strict-transport-security"]
    assert all("; secure" in cookie.lower() for cookie in answer.headers.get_list("set-cookie"))


async def test_who_speaks_plain_http_to_the_same_port_gets_nothing(https: tuple[int, ssl.SSLContext]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", https[0])
    writer.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with suppress(ConnectionError):
        assert b"HTTP/1.1 200" not in await asyncio.wait_for(reader.read(), 5)
    writer.close()


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA256:AES256-SHA:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_old_versions_and_weak_ciphers_are_refused(
    https: tuple[int, ssl.SSLContext], version: ssl.TLSVersion, ciphers: str
) -> None:
    port, trust = https
    trust.minimum_version = trust.maximum_version = version
    trust.set_ciphers(ciphers)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", port, ssl=trust)
