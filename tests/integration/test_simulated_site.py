"""A simulated site as a Modbus client meets it: decoded by hand from the data sheets."""

import asyncio
import contextlib
import json
import socket
import struct
import tomllib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from rules.model.site import SiteFile, parse
from simulators import site_run
from simulators.control import NoAnswerError, ask, ask_async
from simulators.faults import InvalidFaultError
from simulators.served import PortTakenError
from simulators.truth import UnwritableTruthError
from simulators.world import World

SITE_PATH = Path(__file__).parents[2] / "deploy" / "sites" / "riverside.toml"
SEED = 7
NOW = datetime(2026, 11, 17, 3, 7, 12, 345000, tzinfo=UTC)
RESTAURANT, OFFICE, MAIN = 12, 13, 1  # addresses on LINE-A
WATER = 33


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]


def site_on(ports: list[int]) -> SiteFile:
    data = tomllib.loads(SITE_PATH.read_text(encoding="utf-8"))
    for line, port in zip(data["line"], ports, strict=True):
        line["port"] = port
    return parse(data)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Running:
    site: SiteFile
    world: World
    clock: Clock
    control: int
    truth: Path
    line_a: AsyncModbusTcpClient
    ahu: AsyncModbusTcpClient

    async def inject(self, **fault: Any) -> str:
        reply = await ask_async(self.control, {"do": "inject", **fault})
        assert reply["ok"], reply
        return reply["id"]

    async def holding(self, address: int, count: int, unit: int) -> list[int]:
        reply = await self.line_a.read_holding_registers(address, count=count, device_id=unit)
        assert not reply.isError(), reply
        return reply.registers

    async def exception(self, address: int, count: int, unit: int) -> int:
        reply = await self.line_a.read_holding_registers(address, count=count, device_id=unit)
        assert reply.isError()
        return reply.exception_code

    async def ahu_temperature(self) -> float:
        reply = await self.ahu.read_holding_registers(0, count=1, device_id=1)
        return struct.unpack(">h", struct.pack(">H", reply.registers[0]))[0] / 10

    def truth_rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.truth.read_text().splitlines()]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    *ports, control = free_ports(4)
    site = site_on(ports)
    clock = Clock()
    truth = tmp_path / "truth.jsonl"
    ready = asyncio.Event()
    run = site_run.run(site, seed=SEED, truth=truth, control_port=control, ready=ready.set, clock=clock)
    task = asyncio.create_task(run)
    await asyncio.wait_for(ready.wait(), 10)
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.5, retries=0) for port in (ports[0], ports[2])]
    for client in clients:
        assert await client.connect()
    yield Running(site, World(site, SEED), clock, control, truth, *clients)
    for client in clients:
        client.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def high_first(words: list[int]) -> int:
    return words[0] << 16 | words[1]


async def test_a_three_phase_meter_answers_as_its_data_sheet_says(running: Running):
    words = await running.holding(0, 12, MAIN)
    levels = running.world.values("EM-A-MAIN", NOW)
    assert high_first(words[0:2]) == running.world.face("EM-A-MAIN", NOW)
    assert high_first(words[2:4]) / 1000 == pytest.approx(levels["power"], abs=0.001)
    assert [w / 10 for w in words[4:7]] == pytest.approx([230, 230, 230], abs=3)
    watts = sum(volt / 10 * amp / 100 for volt, amp in zip(words[4:7], words[7:10], strict=True))
    assert watts * words[10] / 1000 == pytest.approx(levels["power"] * 1000, rel=0.01)
    assert words[11] / 100 == pytest.approx(50, abs=0.1)
    assert high_first(await running.holding(20, 2, MAIN)) >= 100_000


async def test_the_old_meter_counts_tenths_and_the_water_meter_puts_the_low_word_first(running: Running):
    words = await running.holding(0, 4, RESTAURANT)
    assert high_first(words[:2]) == running.world.face("EM-A-103", NOW) < 100_000
    reply = await running.line_a.read_input_registers(0, count=5, device_id=WATER)
    low, high, flow_low, flow_high, status = reply.registers
    assert (high << 16 | low) == running.world.face("WM-A-201", NOW)
    flow = struct.unpack(">f", struct.pack(">HH", flow_high, flow_low))[0]
    assert flow == pytest.approx(running.world.values("WM-A-201", NOW)["flow"], rel=1e-6)
    assert status == 0


async def test_what_does_not_exist_is_refused_with_the_right_exception(running: Running):
    assert await running.exception(10, 4, MAIN) == 2  # 12 and 13 do not exist
    assert await running.exception(19, 2, MAIN) == 2
    assert await running.exception(0, 2, WATER) == 2  # has input registers only
    assert await running.exception(0, 2, 99) == 11
    assert await running.exception(500, 2, 99) == 11
    reply = await running.line_a.write_register(0, 1, device_id=MAIN)
    assert reply.exception_code == 2
    reply = await running.line_a.read_coils(0, count=1, device_id=MAIN)
    assert reply.exception_code == 1


async def test_a_set_point_is_taken_within_its_limits_and_the_air_follows(running: Running):
    assert (await running.ahu.write_register(1, 311, device_id=1)).exception_code == 3
    assert not (await running.ahu.write_register(1, 220, device_id=1)).isError()
    assert (await running.ahu.read_holding_registers(1, count=1, device_id=1)).registers == [220]
    assert await running.ahu_temperature() == pytest.approx(18.0, abs=0.3)
    running.clock.now += timedelta(minutes=10)
    assert await running.ahu_temperature() == pytest.approx(22.0, abs=0.3)
    assert not (await running.ahu.write_registers(1, [180], device_id=1)).isError()


async def test_the_truth_log_has_each_counter_that_was_told_and_nothing_else(running: Running):
    await running.holding(0, 12, MAIN)
    await running.holding(2, 2, MAIN)
    await running.holding(1, 1, MAIN)
    await running.exception(0, 13, MAIN)
    await running.line_a.read_input_registers(0, count=5, device_id=WATER)
    assert running.truth_rows() == [
        {
            "at": "2026-11-17T03:07:12.345+00:00",
            "device": device,
            "measure": measure,
            "count": running.world.face(device, NOW),
        }
        for device, measure in (("EM-A-MAIN", "energy"), ("WM-A-201", "volume"))
    ]


async def test_a_counter_stands_still_while_the_clock_is_set_back(running: Running):
    before = high_first(await running.holding(0, 2, MAIN))
    running.clock.now -= timedelta(hours=1)
    assert high_first(await running.holding(0, 2, MAIN)) == before
    running.clock.now += timedelta(hours=2)
    assert high_first(await running.holding(0, 2, MAIN)) > before


async def test_an_offset_of_the_supply_air_comes_on_time_and_goes_when_cleared(running: Running):
    number = await running.inject(kind="offset", device="AHU-A", measure="supply_temp", amount=6.0, start_s=30)
    assert await running.ahu_temperature() == pytest.approx(18.0, abs=0.3)
    running.clock.now += timedelta(seconds=30)
    assert await running.ahu_temperature() == pytest.approx(24.0, abs=0.3)
    listed = await ask_async(running.control, {"do": "list"})
    assert [(f["id"], f["kind"], f["active"]) for f in listed["faults"]] == [(number, "offset", True)]
    assert (await ask_async(running.control, {"do": "clear", "id": number})) == {"ok": True}
    assert await running.ahu_temperature() == pytest.approx(18.0, abs=0.3)


async def test_a_frozen_meter_repeats_itself_until_the_fault_ends(running: Running):
    await running.inject(kind="freeze", device="EM-A-MAIN", duration_s=3600)
    frozen = await running.holding(0, 12, MAIN)
    running.clock.now += timedelta(minutes=59)
    assert await running.holding(0, 12, MAIN) == frozen
    running.clock.now += timedelta(minutes=1)
    assert high_first((await running.holding(0, 12, MAIN))[:2]) > high_first(frozen[:2])


async def test_a_silent_device_lets_the_client_wait_and_its_neighbour_answer_afterwards(running: Running):
    number = await running.inject(kind="silent", device="EM-A-201")
    with pytest.raises(ModbusIOException):
        await running.holding(0, 2, OFFICE)
    assert await running.line_a.connect()
    assert await running.holding(0, 2, MAIN)
    await ask_async(running.control, {"do": "clear", "id": number})
    assert await running.holding(0, 2, OFFICE)


async def test_a_busy_device_says_so(running: Running):
    await running.inject(kind="busy", device="EM-A-201", duration_s=5)
    assert await running.exception(0, 2, OFFICE) == 6
    running.clock.now += timedelta(seconds=5)
    assert await running.holding(0, 2, OFFICE)


async def test_sentinels_are_those_of_the_data_sheet_and_are_no_truth(running: Running):
    for measure in ("energy", "power", "voltage_l1", "power_factor"):
        await running.inject(kind="sentinel", device="EM-A-201", measure=measure)
    await running.inject(kind="sentinel", device="WM-A-201", measure="flow")
    words = await running.holding(0, 12, OFFICE)
    assert (words[0:2], words[2:4], words[4], words[10]) == ([0xFFFF] * 2, [0x8000, 0], 0xFFFF, 0x8000)
    assert running.truth_rows() == []
    reply = await running.line_a.read_input_registers(2, count=2, device_id=WATER)
    assert reply.registers == [0x0000, 0x7FC0]


async def test_a_spike_shows_once_and_extra_load_raises_power_only(running: Running):
    clean = await running.holding(0, 4, OFFICE)
    await running.inject(kind="spike", device="EM-A-201", measure="energy", amount=500.0)
    await running.holding(2, 2, OFFICE)  # does not touch the counter, so the spike waits
    assert high_first(await running.holding(0, 2, OFFICE)) - high_first(clean[:2]) == 50_000
    assert await running.holding(0, 4, OFFICE) == clean
    await running.inject(kind="extra_load", device="EM-A-201", amount=12.5)
    loaded = await running.holding(0, 4, OFFICE)
    assert loaded[:2] == clean[:2]
    assert high_first(loaded[2:]) - high_first(clean[2:]) == pytest.approx(12_500, abs=1)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"do": "inject", "kind": "offset", "device": "EM-X", "measure": "energy", "amount": 1}, "no device 'EM-X'"),
        ({"do": "inject", "kind": "offset", "device": "AHU-A", "measure": "power", "amount": 1}, "no measure 'power'"),
        ({"do": "inject", "kind": "offset", "device": "AHU-A", "amount": 1}, "needs a measure"),
        ({"do": "inject", "kind": "extra_load", "device": "EM-A-101"}, "needs an amount"),
        ({"do": "inject", "kind": "melt", "device": "AHU-A"}, "'kind'"),
        ({"do": "clear", "id": "77"}, "no fault '77'"),
        ({"do": "dance"}, "'do' must be"),
        (["list"], "not a JSON object"),
    ],
)
async def test_a_request_that_makes_no_sense_gets_a_sentence(running: Running, request_: Any, sentence: str):
    reply = await ask_async(running.control, request_)
    assert reply["ok"] is False
    assert sentence in reply["error"]


async def test_rubbish_on_the_control_socket_does_no_harm(running: Running):
    for rubbish in (b"\xff\xfe{\n", b"x" * 20_000 + b"\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.control)
        writer.write(rubbish)
        assert json.loads(await reader.readline())["ok"] is False
        writer.close()
    assert (await ask_async(running.control, {"do": "list"}))["ok"]


async def test_a_form_of_a_web_page_does_nothing_at_the_control_socket(running: Running):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.control)
    body = json.dumps({"do": "inject", "kind": "silent", "device": "EM-1"})
    writer.write(f"POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n{body}\n".encode())
    assert json.loads(await reader.readline())["ok"] is False
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert (await ask_async(running.control, {"do": "list"}))["faults"] == []


async def refusal(start: Callable[[], Any]) -> BaseException:
    with pytest.raises((PortTakenError, InvalidFaultError, UnwritableTruthError)) as caught:
        await asyncio.wait_for(start(), 10)
    return caught.value


async def test_a_taken_port_and_a_bad_faults_file_are_told_in_one_sentence(tmp_path: Path):
    *ports, control = free_ports(4)
    site = site_on(ports)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports[1]))
        holder.listen()
        said = await refusal(lambda: site_run.run(site, seed=1, control_port=control))
        assert f"port {ports[1]} of line 'LINE-B' on 127.0.0.1 is taken" in str(said)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", control))
        holder.listen()
        said = await refusal(lambda: site_run.run(site, seed=1, control_port=control))
        assert f"control port {control}" in str(said)
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "busy"\ndevice = "EM-Q"\n')
    said = await refusal(lambda: site_run.run(site, seed=1, control_port=control, faults=faults))
    assert "no device 'EM-Q'" in str(said)
    truth = tmp_path / "nowhere" / "truth.jsonl"
    said = await refusal(lambda: site_run.run(site, seed=1, control_port=control, truth=truth))
    assert "cannot be written (No such file or directory)" in str(said)


async def test_faults_of_a_file_come_at_their_time_after_the_start(tmp_path: Path):
    *ports, control = free_ports(4)
    faults = tmp_path / "faults.toml"
    faults.write_text(
        '[[fault]]\nkind = "offset"\ndevice = "AHU-A"\nmeasure = "supply_temp"\namount = 6.0\nstart_s = 30\n'
    )
    ready = asyncio.Event()
    run = site_run.run(site_on(ports), seed=1, control_port=control, faults=faults, ready=ready.set, clock=Clock())
    task = asyncio.create_task(run)
    await asyncio.wait_for(ready.wait(), 10)
    listed = await ask_async(control, {"do": "list"})
    assert [(f["kind"], f["active"], f["start_s"]) for f in listed["faults"]] == [("offset", False, 30.0)]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_asking_where_nobody_answers_is_told_in_a_sentence():
    (port,) = free_ports(1)
    with pytest.raises(NoAnswerError, match=f"does not answer on 127.0.0.1:{port}"):
        ask(port, {"do": "list"})
