"""``plantroom edge scan``: what answers a probe becomes a draft that can be checked."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from deploy.commands.edge_scan import _onvif
from drivers.onvif import discovery
from edge_agent.config import load
from simulators.onvif_device import Discoverable, OnvifDevice
from tests.field import HOST, free_port, write_site

USER, PASSWORD = "admin", "sesame"


@pytest.fixture
async def probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    monkeypatch.setattr(discovery.probe, "__kwdefaults__", {"port": discovery.PORT, "patience_s": 0.3})
    (tmp_path / "onvif-scan-password").write_text(PASSWORD, "utf-8")
    port, probes = free_port(), free_port()
    device = OnvifDevice(port, user=USER, password=PASSWORD, doors=("D1", "D2"))
    await device.start()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Discoverable(port), local_addr=(HOST, probes)
    )
    yield probes
    transport.close()
    await device.stop()


async def test_a_device_and_its_doors_become_a_draft_that_is_a_site_file(probes: int, tmp_path: Path) -> None:
    text, count = await _onvif(HOST, USER, probes)
    assert count == 1
    [line] = load(write_site(tmp_path, text)).lines
    assert [device.code for device in line.devices] == ["CAM-1", "DOOR-1-1", "DOOR-1-2"]
    assert tomllib.loads(text)["line"][0]["url"].startswith(f"http://{HOST}:")  # not where it believes itself


async def test_without_a_user_the_draft_says_why_it_knows_no_more(probes: int, tmp_path: Path) -> None:
    text, _ = await _onvif(HOST, None, probes)
    assert "refuses anybody without a user" in text or "not Authorized" in text
    [line] = load(write_site(tmp_path, text)).lines
    assert [device.code for device in line.devices] == ["CAM-1"]
    assert "Simulated camera SIM" in text


async def test_a_host_that_does_not_answer_gives_nothing(probes: int) -> None:
    assert await _onvif(HOST, None, free_port()) != ("", 0)
    assert (await _onvif(HOST, None, free_port()))[1] == 0


class Hostile(asyncio.DatagramProtocol):
    """Answers with everything that a probe should not believe."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, _data: bytes, addr: tuple[str, int]) -> None:
        match = "<a><ProbeMatch><Scopes>onvif://www.onvif.org/name/%22%0A[[line]]</Scopes><XAddrs>{}</XAddrs></ProbeMatch></a>"
        for said in (
            "http://10.0.0.1:99999/x",
            "file:///etc/passwd",
            "http://[/x",
            "http://evil.example/onvif",
            "http://a/@b",
            "http://a/" + "x" * 999,
            "",
        ):
            self.transport.sendto(match.format(said).encode(), addr)
        self.transport.sendto(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', addr)
        for _ in range(1000):
            self.transport.sendto(b"\xff" * 100, addr)


async def test_what_a_hostile_answer_says_is_not_believed(probes: int) -> None:
    port = free_port()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Hostile, local_addr=(HOST, port))
    found = await discovery.probe(HOST, port=port, patience_s=0.3)
    transport.close()
    assert [one.url for one in found] == [f"http://{HOST}/onvif"]  # only ever the host that has answered
    assert "\n" not in found[0].name
