"""Looking around on a BACnet network: who is there, what they have, and a draft that can be used."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bacpypes3.local.multistate import MultiStateValueObject
from typer.testing import CliRunner

from deploy.cli import app as commands
from drivers.bacnet import discovery
from drivers.bacnet.discovery import DEVICES_MAX, OBJECTS_MAX, Discovery
from drivers.bacnet.port import KNOWN_DEVICES_MAX, address
from drivers.errors import MisconfiguredError, UnreachableError
from edge_agent.check import check
from edge_agent.config import load
from rules.model.line import BacnetLine
from tests.contract.ground import Trouble
from tests.contract.ground_bacnet import INSTANCE, BacnetGround, free_udp_port
from tests.field import HOST

OBJECTS = [("accumulator,1", "energy"), ("analog-input,1", "power"), ("analog-value,1", "setpoint")]


@pytest.fixture
async def ground() -> AsyncIterator[BacnetGround]:
    made = BacnetGround()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def look(ground: BacnetGround) -> AsyncIterator[Discovery]:
    assert isinstance(ground.line, BacnetLine)
    opened = Discovery(ground.line)
    yield opened
    await opened.close()


def at(ground: BacnetGround) -> str:
    return f"{HOST}:{ground.outer}"


async def listed(look: Discovery, ground: BacnetGround) -> list[tuple[str, str]]:
    content = await look.content(INSTANCE, at(ground))
    return sorted((one.object, one.name) for one in content.objects)


async def test_a_host_says_who_it_is(look: Discovery, ground: BacnetGround) -> None:
    found = await look.devices(to=at(ground), wait_s=0.3)
    assert [(one.instance, one.at) for one in found] == [(INSTANCE, at(ground))]
    assert await look.devices(1, 10, to=at(ground), wait_s=0.1) == []


async def test_all_that_a_broadcast_reaches_through_a_bbmd_are_found() -> None:
    ground = BacnetGround()
    ground.more = ("--bbmd", f"{HOST}:{ground.inner}")
    await ground.start()
    line = BacnetLine(
        driver="bacnet", code="L", gateway="G", interface=f"{HOST}:{free_udp_port()}", poll_s=1, timeout_s=0.5,
        bbmd=f"{HOST}:{ground.inner}", bbmd_ttl_s=30,
    )  # fmt: skip
    look = Discovery(line)
    try:
        assert [one.instance for one in await look.devices(wait_s=0.5)] == [INSTANCE]
        assert await look.devices(1, 10, wait_s=0.2) == []
    finally:
        await look.close()
        await ground.stop()
    await asyncio.sleep(0.05)


async def test_without_a_broadcast_it_says_what_to_do(look: Discovery) -> None:
    with pytest.raises(MisconfiguredError, match="with its prefix"):
        await look.devices(wait_s=0.1)


async def test_objects_are_listed_with_names_and_units(look: Discovery, ground: BacnetGround) -> None:
    content = await look.content(INSTANCE, at(ground))
    assert sorted((one.object, one.name) for one in content.objects) == OBJECTS
    assert {one.object: one.units for one in content.objects}["accumulator,1"] == 19
    assert content.name == "controller"
    assert any("hold no number" in remark for remark in content.remarks)  # its network port


@pytest.mark.parametrize("lists", [100, 2, 0])
async def test_a_list_that_does_not_come_whole_is_read_entry_by_entry(
    look: Discovery, ground: BacnetGround, lists: int
) -> None:
    ground.app.whole_list, ground.app.rpm_max = False, lists
    assert await listed(look, ground) == OBJECTS


@pytest.mark.parametrize("claimed", [1_000_000, 4_294_967_295])
async def test_a_device_that_claims_a_million_objects_is_read_as_far_as_they_go(
    look: Discovery, ground: BacnetGround, claimed: int
) -> None:
    ground.app.whole_list, ground.app.claimed = False, claimed
    content = await look.content(INSTANCE, at(ground))
    assert sorted((one.object, one.name) for one in content.objects) == OBJECTS
    assert any(f"claims {claimed} objects; the first {OBJECTS_MAX}" in remark for remark in content.remarks)
    assert any("the object list ends after" in remark for remark in content.remarks)


async def test_a_device_that_never_ends_is_given_as_far_as_it_was_read(
    look: Discovery, ground: BacnetGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "SCAN_S_MAX", 0.2)
    ground.app.whole_list, ground.app.claimed, ground.app.rpm_max = False, 1_000_000, 0
    first = ground.app.device_object.objectIdentifier
    ground.app.device_object._property_list = None
    whole = ground.app.do_ReadPropertyRequest

    async def endless(apdu: Any) -> None:
        if apdu.propertyArrayIndex:
            apdu.propertyArrayIndex = 1
            apdu.objectIdentifier = first
            await asyncio.sleep(0.05)
        await whole(apdu)

    ground.app.do_ReadPropertyRequest = endless
    content = await look.content(INSTANCE, at(ground))
    assert any("not read to its end" in remark for remark in content.remarks)


async def test_a_silent_device_is_unreachable(look: Discovery, ground: BacnetGround) -> None:
    ground.trouble(Trouble.SILENT)
    with pytest.raises(UnreachableError):
        await look.content(INSTANCE, at(ground))


async def test_endless_i_ams_are_bounded_in_count_and_time(look: Discovery, ground: BacnetGround) -> None:
    assert await look.devices(to=at(ground), wait_s=0.2)
    stack = look._stack
    assert stack._app is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as shouting:
        shouting.bind((HOST, 0))
        there = address(f"{HOST}:{shouting.getsockname()[1]}")
        asking = asyncio.create_task(stack.who_is(0, 4_194_302, wait_s=2.0, most=50, to=there))
        for instance in range(5000):
            shouting.sendto(_i_am(instance), (HOST, int(stack._line.interface.rpartition(":")[2])))
            if instance % 100 == 0:
                await asyncio.sleep(0)
        assert len(await asking) == 50
        await asyncio.sleep(0.1)
    assert stack._seeking == []
    assert len(stack._app.device_info_cache.address_cache) <= KNOWN_DEVICES_MAX
    assert DEVICES_MAX <= KNOWN_DEVICES_MAX
    assert await listed(look, ground) == OBJECTS


def _i_am(instance: int) -> bytes:
    """An I-Am as octets: ASHRAE 135, clause 20.1.3 and 16.10."""
    body = bytes([0x10, 0x00, 0xC4]) + ((8 << 22) | instance).to_bytes(4, "big") + bytes([0x22, 4, 0, 0x91, 3, 0x21, 5])
    return b"\x81\x0a" + (len(body) + 6).to_bytes(2, "big") + b"\x01\x00" + body


async def test_a_draft_is_a_site_file_that_reads_the_device(ground: BacnetGround, tmp_path: Path) -> None:
    state = MultiStateValueObject(
        objectIdentifier="multi-state-value,7", objectName='Mode "A"\n\x1b[31m', presentValue=1, numberOfStates=3,
        statusFlags=[0, 0, 0, 0], eventState="normal", outOfService=False,
    )  # fmt: skip
    ground.app.add_object(state)
    out = tmp_path / "draft.toml"
    words = ["edge", "scan", "bacnet", f"{HOST}:{free_udp_port()}", "--to", at(ground), "--out", str(out)]
    result = await asyncio.to_thread(CliRunner().invoke, commands, [*words, "--device", str(INSTANCE)])
    assert result.exit_code == 0, result.output
    [line] = load(out).lines
    [device] = line.devices
    assert device.address == f"{INSTANCE}@{at(ground)}"
    assert [asked.measure for asked in device.points][:3] == ["energy", "power", "setpoint"]
    assert [asked.point.unit for asked in device.points][:3] == ["kWh", "kW", "kW"]
    assert "\x1b" not in out.read_text("utf-8") + (tmp_path / "profiles" / f"{device.profile.code}.toml").read_text(
        "utf-8"
    )
    report = await check(out)
    assert report.problems == []
    again = await asyncio.to_thread(CliRunner().invoke, commands, words)
    assert again.exit_code != 0


def test_a_scan_of_nothing_says_what_to_look_at() -> None:
    port = free_udp_port()
    words = ["edge", "scan", "bacnet", f"{HOST}:{free_udp_port()}", "--to", f"{HOST}:{port}", "--device", "7"]
    result = CliRunner().invoke(commands, words)
    assert result.exit_code != 0
    assert "No device was read" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([HOST, "--numbers", "9-1"], "no range of device numbers"),
        ([HOST, "--numbers", "a"], "no range of device numbers"),
        (["eth0"], "'eth0' with bbmd '' is no interface"),
        ([HOST, "--bbmd", "x"], "is no interface"),
        ([f"{HOST}/33"], "is no address"),
    ],
)
def test_a_scan_that_cannot_be_says_why(words: list[str], said: str) -> None:
    result = CliRunner().invoke(commands, ["edge", "scan", "bacnet", *words])
    assert said in str(result.exception)
