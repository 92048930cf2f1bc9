"""Looking round on M-Bus lines: meters by primary and by secondary address, alone and several at once."""

import tomllib

import pytest

from deploy.commands import edge_scan_mbus
from drivers.catalogue import parse
from drivers.errors import UnreachableError
from drivers.mbus.profile import MbusProfile
from rules.model.line import MbusLine
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_mbus import ADDRESS, PROFILE, SECONDARY, MbusGround

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}


def profiles() -> list[MbusProfile]:
    profile = parse(PROFILE, "ground-mbus")
    assert isinstance(profile, MbusProfile)
    return [profile]


class Crowd(MbusGround):
    """Several meters on one line: who is selected together answers together, and that is garbled."""

    def __init__(self, *numbers: str) -> None:
        super().__init__()
        self.meters = [MbusGround() for _ in numbers]
        for meter, number in zip(self.meters, numbers, strict=True):
            meter.identity = bytes.fromhex(number)[::-1] + meter.identity[4:]
            meter.show(SHOWN)

    def answer(self, question: bytes) -> bytes:
        said = [told for meter in self.meters if question[2:3] != bytes([ADDRESS]) and (told := meter.answer(question))]
        if len(said) < 2 or said[0] == b"\xe5":
            return said[0] if said else b""
        return bytes(one | other for one, other in zip(said[0], said[1], strict=False))


async def test_a_meter_is_found_by_its_primary_address_with_maker_and_profile() -> None:
    ground = MbusGround()
    ground.show(SHOWN)
    await ground.start()
    (found,) = await edge_scan_mbus.look_round(ground.line, range(3, 8), profiles())
    await ground.stop()
    assert (found.address, found.secondary, found.maker, found.likely) == ("5", SECONDARY, "KAM", ("ground-mbus",))


async def test_meters_that_talk_at_once_are_told_apart_by_one_digit_more() -> None:
    ground = Crowd("12345678", "12345699", "88000001")
    await ground.start()
    found = await edge_scan_mbus.look_round(ground.line, None, profiles())
    await ground.stop()
    assert [one.secondary[:8] for one in found] == ["12345678", "12345699", "88000001"]
    assert all(one.likely == ("ground-mbus",) for one in found)


async def test_the_draft_names_line_and_meters() -> None:
    ground = MbusGround()
    ground.show(SHOWN)
    await ground.start()
    found = await edge_scan_mbus.look_round(ground.line, None, profiles())
    await ground.stop()
    assert isinstance(ground.line, MbusLine)
    written = tomllib.loads(edge_scan_mbus.HEAD + edge_scan_mbus.draft(ground.line, found))
    assert [one["address"] for one in written["device"]] == [SECONDARY]
    assert written["line"][0]["driver"] == "mbus"


async def test_a_dead_line_is_told_at_once() -> None:
    ground = MbusGround()
    with pytest.raises(UnreachableError):
        await edge_scan_mbus.look_round(ground.line, range(1, 250), profiles())
