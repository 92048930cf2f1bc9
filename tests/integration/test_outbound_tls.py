"""The way out on real sockets: the certificate is that of the name, at the address that was checked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub import outbound
from hub.outbound import Allowed, CheckedTransport, NoAnswerError, RefusedAddressError

NAME = "provider.example"


@dataclass
class Provider:
    port: int
    trust: ssl.SSLContext
    heads: list[str]
    names: list[str | None]


def certificate(folder: Path) -> Path:
    """A self-signed certificate for NAME with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "provider.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    pem = certificate(tmp_path)
    heads: list[str] = []
    names: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Provider(port, ssl.create_default_context(cafile=pem), heads, names)


async def at_home(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


async def test_the_name_stands_in_the_handshake_in_the_head_and_in_the_certificate(provider: Provider) -> None:
    transport = CheckedTransport(Allowed.parse(["127.0.0.0/8"]), resolve=at_home, trust=provider.trust)
    async with outbound.client(transport) as client:
        answer = await client.get(f"https://{NAME}:{provider.port}/keys")
        assert answer.text == "well"
        with pytest.raises(NoAnswerError):  # the same server, but its certificate is not for this name
            await client.get(f"https://other.example:{provider.port}/keys")
    assert provider.names == [NAME, "other.example"]
    (head,) = provider.heads
    assert f"host: {NAME}:{provider.port}" in head.lower()


async def test_a_certificate_that_nobody_vouches_for_is_refused(provider: Provider) -> None:
    transport = CheckedTransport(Allowed.parse([NAME]), resolve=at_home)
    async with outbound.client(transport) as client:
        with pytest.raises(NoAnswerError):
            await client.get(f"https://{NAME}:{provider.port}/")
    assert provider.heads == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"],
)
async def test_no_way_of_writing_this_machine_leads_to_it(provider: Provider, host: str) -> None:
    async with outbound.client(CheckedTransport(trust=provider.trust)) as client:
        with pytest.raises((RefusedAddressError, NoAnswerError)):
            await client.get(outbound.address(f"https://{host}:{provider.port}/"))
    assert (provider.heads, provider.names) == ([], [])
