"""Commands over a real broker to a real Modbus device: what may be done is done once, and told truthfully."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent.agent import run
from edge_agent.config import load
from edge_agent.publisher import Broker
from rules.control.command import Outcome
from rules.wire.sparkplug import Metric
from tests.commanding import POINT, SETPOINT, Host, Plant, command, park_text
from tests.field import device_text, free_port, serving, until, write_site


@pytest.fixture
def host(broker: EmbeddedBroker) -> Iterator[Host]:
    host = Host(broker.host, broker.port, broker.username, broker.password)
    host.start()
    yield host
    host.stop()


@asynccontextmanager
async def gateway(
    folder: Path, broker: EmbeddedBroker, plant: Plant, text: str = "", port: int = 0
) -> AsyncIterator[None]:
    """Run a gateway until its device has been read once; kill it at the end."""
    port = port or free_port()
    config = load(write_site(folder, text.replace("PORT", str(port)) or park_text(port)))
    account = Broker(broker.host, broker.port, broker.username, broker.password)
    async with serving(port, plant):
        task = asyncio.create_task(run(config, account, folder))
        try:
            seen = len(plant.asked)
            if not plant.silent:
                await until(lambda: len(plant.asked) > seen)
            await asyncio.sleep(0.3)  # connected
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_command_is_carried_out_read_back_and_answered(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant = Plant(1)
    async with gateway(tmp_path, broker, plant):
        answer = await host.ask(command(21.5))
        assert (answer.outcome, answer.shown, answer.reason) == (Outcome.DONE, 21.5, "")
        assert plant.registers[SETPOINT] == 215


async def test_a_replayed_command_does_nothing_and_gets_its_answer_again_even_after_a_restart(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant = Plant(1)
    async with gateway(tmp_path, broker, plant):
        first = command(20.0)
        answer = await host.ask(first)
        host.send(first, first)
        assert await host.told(first.id, 3) == [answer] * 3
    async with gateway(tmp_path, broker, plant):
        host.send(first)
        assert (await host.told(first.id, 4))[-1] == answer
    assert plant.writes == [200]


async def test_what_may_not_be_done_is_refused_with_its_reason_and_touches_no_device(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant, now = Plant(1), datetime.now(UTC)
    refusals = {
        "not to 25": command(25.0),
        "not among the points": command(20.0, "AHU-1.fan_command"),
        "not among": command(20.0, "AHU-9.supply_setpoint"),
        "ended at": command(issued_at=now - timedelta(minutes=2), expires_at=now - timedelta(minutes=1)),
        "to come": command(issued_at=now + timedelta(minutes=2), expires_at=now + timedelta(minutes=3)),
        "life": command(expires_at=now + timedelta(hours=1)),
        "not to nan": command(float("nan")),
    }
    async with gateway(tmp_path, broker, plant):
        for reason, asked in refusals.items():
            answer = await host.ask(asked)
            assert answer.outcome is Outcome.REFUSED
            assert reason in answer.reason
    assert plant.writes == []


async def test_a_critical_point_wants_two_people(tmp_path: Path, broker: EmbeddedBroker, host: Host) -> None:
    plant, port = Plant(1), free_port()
    async with gateway(tmp_path, broker, plant, park_text(port, critical=True), port):
        assert "second person" in (await host.ask(command(20.0))).reason
        assert (await host.ask(command(20.0, seconded=True))).outcome is Outcome.DONE


async def test_a_point_is_not_set_more_often_than_allowed_whatever_the_restarts(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant, port = Plant(1), free_port()
    text = park_text(port, every_s=3600)
    async with gateway(tmp_path, broker, plant, text, port):
        assert (await host.ask(command(20.0))).outcome is Outcome.DONE
        assert "a moment ago" in (await host.ask(command(21.0))).reason
    async with gateway(tmp_path, broker, plant, text, port):
        assert "a moment ago" in (await host.ask(command(21.0))).reason
    assert plant.writes == [200]


async def test_an_interlock_has_the_last_word(tmp_path: Path, broker: EmbeddedBroker, host: Host) -> None:
    plant, port = Plant(1), free_port()
    lock = f"[[interlock]]\ncode = 'fan_off'\npoint = '{POINT}'\nwhen = \"'AHU-1.fan_running' == 0\"\nonly = 18\n"
    async with gateway(tmp_path, broker, plant, park_text(port) + lock, port):
        answer = await host.ask(command(20.0))
        assert answer.outcome is Outcome.REFUSED
        assert "interlock 'fan_off'" in answer.reason
        assert "may be set to 18 only now" in answer.reason
    assert plant.writes == []


async def test_a_local_rule_has_the_last_word_until_it_is_reset_from_the_centre(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant, port = Plant(1), free_port()
    rule = (
        f"[[local_rule]]\ncode = 'hot'\npoint = '{POINT}'\nwhen = \"'AHU-1.supply_temp' > 40\"\nto = 15\nlatch = true\n"
    )
    may = "[[allowed]]\npoint = 'AHU-1.hot'\nlow = 0\nhigh = 0\n"
    plant.registers[0] = 500
    async with gateway(tmp_path, broker, plant, park_text(port) + rule + may, port):
        await until(lambda: plant.writes == [150])
        answer = await host.ask(command(20.0))
        assert answer.outcome is Outcome.REFUSED
        assert "local rule 'hot' holds" in answer.reason
        reset = replace(command(0.0), point="AHU-1.hot")
        assert "cannot be reset while" in (await host.ask(reset)).reason
        plant.registers[0] = 200
        await asyncio.sleep(1.1)
        assert (await host.ask(replace(command(0.0), point="AHU-1.hot"))).outcome is Outcome.DONE
        await asyncio.sleep(0.3)
        assert (await host.ask(command(20.0))).outcome is Outcome.DONE
    assert plant.writes == [150, 200]


async def test_a_device_that_takes_another_value_is_told(tmp_path: Path, broker: EmbeddedBroker, host: Host) -> None:
    plant = Plant(1, takes=180)
    async with gateway(tmp_path, broker, plant):
        answer = await host.ask(command(22.0))
        assert (answer.outcome, answer.shown) == (Outcome.FAILED, 18.0)
        assert "holds 18" in answer.reason


@pytest.mark.parametrize(("trouble", "done"), [("silent", []), ("deaf", [220])])
async def test_of_a_device_that_does_not_answer_nothing_is_claimed(
    tmp_path: Path, broker: EmbeddedBroker, host: Host, trouble: str, done: list[int]
) -> None:
    plant = Plant(1)
    async with gateway(tmp_path, broker, plant):
        setattr(plant, trouble, True)
        answer = await host.ask(command(22.0))
        assert (answer.outcome, answer.shown) == (Outcome.UNCERTAIN, None)
        assert "no answer" in answer.reason
        assert plant.writes == done  # not repeated


async def test_a_line_that_is_dead_is_told_at_once(tmp_path: Path, broker: EmbeddedBroker, host: Host) -> None:
    port = free_port()
    text = park_text(free_port()).replace('code = "L1"', 'code = "L0"', 1).replace('line = "L1"', 'line = "L0"', 1)
    text += f"""
[[line]]
code = "L1"
gateway = "GW-1"
driver = "modbus"
host = "127.0.0.1"
port = {port}
poll_s = 0.2
{device_text("EM-1", 1)}
"""
    async with gateway(tmp_path, broker, Plant(1), text, port):
        answer = await host.ask(command(22.0))
        assert answer.outcome is Outcome.FAILED
        assert "refused the connection" in answer.reason


async def test_a_command_of_another_host_is_refused(
    tmp_path: Path, broker: EmbeddedBroker, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    plant = Plant(1)
    async with gateway(tmp_path, broker, plant):
        host.publish("AHU-1", Metric(name="supply_setpoint", value=20.0))
        await until(lambda: "only Plantroom's hub may set points" in caplog.text)
        assert (await host.ask(command(20.0))).outcome is Outcome.DONE  # and the next is served
    assert plant.writes == [200]


async def test_an_answer_is_said_again_until_the_hub_has_heard_it(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant = Plant(1)
    host.polite = False
    async with gateway(tmp_path, broker, plant):
        first = command(20.0)
        answer = await host.ask(first)
    async with gateway(tmp_path, broker, plant):
        assert await host.told(first.id, 2) == [answer] * 2
        host.hear(first.id)
        await asyncio.sleep(1)  # the point may be set again
    async with gateway(tmp_path, broker, plant):
        assert (await host.ask(command(21.0))).outcome is Outcome.DONE
    assert len([answer for answer in host.answers if answer.id == first.id]) == 2
    assert plant.writes == [200, 210]


async def test_a_gateway_killed_between_write_and_answer_says_that_it_does_not_know_and_what_it_sees(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant = Plant(1, slow_s=0.25)
    async with gateway(tmp_path, broker, plant):
        first = command(20.0)
        host.send(first)
        await until(lambda: plant.writes == [200])
    assert host.answers == []
    plant.slow_s = 0.0
    async with gateway(tmp_path, broker, plant):
        (answer,) = await host.told(first.id)
        assert (answer.outcome, answer.shown) == (Outcome.UNCERTAIN, 20.0)
        host.send(first)
        assert (await host.told(first.id, 2))[-1] == answer
    assert plant.writes == [200]


async def test_writes_and_polls_never_meet_on_the_line_and_writes_do_not_wait_for_a_cycle(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant, port = Plant(1), free_port()
    more = "".join(device_text(f"AHU-{n}", n, "rs-ahu1") for n in range(2, 40))  # dead ones: a cycle of many seconds
    async with gateway(tmp_path, broker, plant, park_text(port, more=more), port):
        for value in (17.0, 18.0, 19.0):
            answer = await asyncio.wait_for(host.ask(command(value)), 3)
            assert (answer.outcome, answer.shown) == (Outcome.DONE, value)
            await asyncio.sleep(1)
    assert plant.most == 1


async def test_a_command_that_cannot_be_remembered_is_not_carried_out(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant = Plant(1)
    async with gateway(tmp_path, broker, plant):
        with sqlite3.connect(tmp_path / "edge-GW-1.commands.sqlite") as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON commands BEGIN SELECT RAISE(FAIL, 'disk full'); END")
        other.close()
        answer = await host.ask(command(20.0))
        assert answer.outcome is Outcome.REFUSED
        assert "disk full" in answer.reason
    assert plant.writes == []


async def test_what_was_given_before_the_journal_began_is_not_carried_out(
    tmp_path: Path, broker: EmbeddedBroker, host: Host
) -> None:
    plant, before = Plant(1), command(20.0)
    async with gateway(tmp_path, broker, plant):
        answer = await host.ask(before)
        assert answer.outcome is Outcome.REFUSED
        assert "older than what this gateway remembers" in answer.reason
    assert plant.writes == []
