"""The gateway's own judgement on real Modbus devices, with no hub and a broker that is not there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_agent import agent
from edge_agent.config import load
from edge_agent.link import Broker
from edge_agent.spool import Spool
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.field import HOST, device_text, free_port, serving, site_text, until, write_site
from tests.leak import FLOW, VALVE, WET, Board, board, known_profile

LEAK = """
[[local_rule]]
code = "leak"
when = "'LEAK.wet' == 1"
point = "VALVE.valve"
to = 0
life_safety = true
"""


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with known_profile(monkeypatch):
        yield


def site(port: int, more: str) -> str:
    devices = device_text("LEAK", 1, "water-board") + device_text("VALVE", 2, "water-board")
    return site_text(port, devices) + more


class Running:
    """An edge with a broker that does not answer, and what it has spooled."""

    def __init__(self) -> None:
        self.spool: Spool | None = None

    def spooled(self, point: str) -> list[Reading]:
        frames = self.spool.pending(0, 1000) if self.spool else []
        return [reading for frame in frames for reading in frame.readings if reading.point == point]


@asynccontextmanager
async def gateway(folder: Path, port: int, more: str) -> AsyncIterator[Running]:
    path, edge = write_site(folder, site(port, more)), Running()

    def opened(path: Path, *, max_mb: int) -> Spool:
        edge.spool = Spool(path, max_mb=max_mb)
        return edge.spool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "Spool", opened)
        task = asyncio.create_task(agent.run(load(path), Broker(HOST, free_port()), folder, site=path))
        try:
            yield edge
        finally:
            task.cancel()
            async with asyncio.timeout(3):
                await asyncio.gather(task, return_exceptions=True)


def cycles(one: Board) -> int:
    return sum(asked[0] == 0 for asked in one.asked)


async def test_a_leak_closes_the_valve_within_two_cycles_without_hub_and_broker(tmp_path: Path) -> None:
    port, leak, valve = free_port(), board(1), board(2)
    async with serving(port, leak, valve), gateway(tmp_path, port, LEAK) as edge:
        await until(lambda: cycles(leak) >= 2 and cycles(valve) >= 2)
        assert valve.written == []
        leak.registers[WET] = 1
        before = cycles(leak)
        await until(lambda: bool(valve.written))
        assert cycles(leak) - before <= 2
        assert valve.registers[VALVE] == 0
        await until(lambda: valve.asked.count((VALVE, 1)) >= 1)
        await asyncio.sleep(0.3)
        assert valve.written == [(VALVE, 0)]  # read back: it is not written again
        shown = edge.spooled("VALVE.leak")
    assert [reading.value for reading in shown][-1] == 1
    assert shown[0].value == 0


async def test_a_stuck_valve_is_written_again_until_it_is_closed(tmp_path: Path) -> None:
    port, leak, valve = free_port(), board(1), board(2)
    leak.registers[WET], valve.stuck = 1, True
    async with serving(port, leak, valve), gateway(tmp_path, port, LEAK) as edge:
        await until(lambda: len(valve.written) >= 2)
        valve.stuck = False
        await until(lambda: valve.registers[VALVE] == 0)
        await until(lambda: True)
        valve.registers[VALVE] = 60  # somebody opens it by hand
        await until(lambda: valve.registers[VALVE] == 0)
        assert 2.0 in {reading.value for reading in edge.spooled("VALVE.leak")}


@pytest.mark.parametrize(("policy", "written"), [("hold", False), ("act", True)])
async def test_a_lost_sensor_means_what_the_rule_says(tmp_path: Path, policy: str, written: bool) -> None:
    port, leak, valve = free_port(), board(1), board(2)
    async with serving(port, leak, valve), gateway(tmp_path, port, f'{LEAK}unknown = "{policy}"\n') as edge:
        await until(lambda: cycles(leak) >= 2 and cycles(valve) >= 2)
        assert valve.written == []
        leak.silent = True
        await until(lambda: any(r.quality is Quality.BAD for r in edge.spooled("LEAK.wet")))
        await until(lambda: any(r.quality is Quality.UNCERTAIN for r in edge.spooled("VALVE.leak")))
        await asyncio.sleep(0.3)
        assert bool(valve.written) is written


async def test_a_latched_rule_outlives_a_restart_and_ends_by_its_reset(tmp_path: Path) -> None:
    port, leak, valve = free_port(), board(1), board(2)
    rule = LEAK + "latch = true\nreset = \"'LEAK.flow' > 90\"\n"
    async with serving(port, leak, valve):
        leak.registers[WET] = 1
        async with gateway(tmp_path, port, rule) as edge:
            await until(lambda: valve.registers[VALVE] == 0)
            leak.registers[WET] = 0
            await until((tmp_path / "edge-GW-1.latched.json").exists)
            await asyncio.sleep(0.5)
        valve.registers[VALVE] = 100
        async with gateway(tmp_path, port, rule) as edge:
            await until(lambda: valve.registers[VALVE] == 0)
            leak.registers[FLOW] = 1000
            await until(lambda: edge.spooled("VALVE.leak")[-1].value == 0)
            valve.registers[VALVE] = 100
            await asyncio.sleep(0.5)
            assert valve.registers[VALVE] == 100


async def test_an_interlock_holds_back_an_ordinary_rule_and_what_comes_after_is_set_once(tmp_path: Path) -> None:
    port, leak, valve = free_port(), board(1), board(2)
    more = """
[[local_rule]]
code = "half"
when = "'LEAK.wet' == 1"
point = "VALVE.valve"
to = 50
after = 100
[[interlock]]
code = "dry"
point = "VALVE.valve"
when = "'LEAK.flow' > 10"
only = 0
"""
    leak.registers[FLOW] = 200
    async with serving(port, leak, valve), gateway(tmp_path, port, more) as edge:
        leak.registers[WET] = 1
        await until(lambda: 2.0 in {r.value for r in edge.spooled("VALVE.half")})
        assert valve.written == []
        leak.registers[FLOW] = 0
        await until(lambda: valve.registers[VALVE] == 50)
        leak.registers[WET] = 0
        await until(lambda: valve.registers[VALVE] == 100)
        await asyncio.sleep(0.5)
    assert valve.written == [(VALVE, 50), (VALVE, 100)]


async def test_a_derived_point_is_spooled_like_others_and_missing_when_an_input_is(tmp_path: Path) -> None:
    port, leak, valve = free_port(), board(1), board(2)
    more = """
[[derived]]
device = "LEAK"
measure = "heat"
unit = "kW"
expression = "'LEAK.flow' * 'LEAK.spread' * unit(1.163, 'kWh/m³/K')"
[[derived]]
device = "LEAK"
measure = "spread"
unit = "K"
expression = "'VALVE.return' - 'LEAK.supply'"
"""
    async with serving(port, leak, valve), gateway(tmp_path, port, more) as edge:
        await until(lambda: bool(edge.spooled("LEAK.heat")))
        valve.silent = True
        await until(lambda: edge.spooled("LEAK.heat")[-1].quality is Quality.BAD)
        heat = edge.spooled("LEAK.heat")
        read_at = {reading.at for point in ("LEAK.flow", "VALVE.return") for reading in edge.spooled(point)}
        assert heat[0].value == pytest.approx(5.0 * 5.0 * 1.163)
    assert heat[0].quality is Quality.GOOD
    assert heat[-1].value is None
    times = [reading.at for reading in heat]
    assert len(set(times)) == len(times)
    assert heat[0].at in read_at
