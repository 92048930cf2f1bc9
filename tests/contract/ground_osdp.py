"""A reader behind a TCP converter: libosdp's own device over its secure channel, with faults on request."""

from pathlib import Path
from types import MappingProxyType

from rules.model.line import OsdpLine
from simulators.osdp_reader import Converter, OsdpReader
from tests.contract.event_ground import written
from tests.contract.ground import Trouble
from tests.field import HOST, free_port

KEY = bytes(range(16))
ADDRESS = 5
TIMEOUT_S = 0.8
HUGE = b"\xff\x53" * 40_000
PROFILE = """
code = "ground-osdp"
title = "Reader with a door"
protocol = "osdp"
[door]
contact = "door_open"
lock = "strike"
held_s = 1
granted_s = 0.2
[[measure]]
name = "door_open"
kind = "state"
unit = ""
from = "input"
[[measure]]
name = "strike"
kind = "state"
unit = ""
from = "output"
momentary_s = 0.5
[[measure]]
name = "forced"
kind = "state"
unit = ""
from = "forced"
[[measure]]
name = "held"
kind = "state"
unit = ""
from = "held"
[[measure]]
name = "tamper"
kind = "state"
unit = ""
from = "tamper"
"""


class Misbehaving(OsdpReader):
    """Spoils what it sends; libosdp then takes it for gone."""

    how: Trouble | None = None

    def send(self, data: bytes) -> None:
        match self.how:
            case Trouble.SILENT:
                return
            case Trouble.MALFORMED:
                data = data[:-2] + bytes([data[-2] ^ 0x55, data[-1] ^ 0x55])
            case Trouble.HALF:
                data = data[: len(data) // 2]
            case Trouble.HUGE:
                data = HUGE
        super().send(data)


class OsdpGround:
    """Its device is a reader with a door contact and a strike."""

    troubles = frozenset({Trouble.SILENT, Trouble.MALFORMED, Trouble.HALF, Trouble.HUGE})
    shown = MappingProxyType({"door_open": 0.0, "forced": 0.0, "held": 0.0, "tamper": 0.0})
    opened = MappingProxyType({"door_open": 1.0, "forced": 1.0})
    lock = "strike"
    card = "32:00001267"

    def __init__(self) -> None:
        port = free_port()
        self.server = Misbehaving(ADDRESS, KEY)
        self.converter = Converter(port, [self.server])
        self.line = OsdpLine(driver="osdp", code="L1", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=TIMEOUT_S)
        self.device = written(PROFILE, "ground-osdp", "R1", str(ADDRESS))

    def prepare(self, credentials: Path) -> None:
        (credentials / "osdp-R1-key").write_text(KEY.hex(), "utf-8")

    async def start(self) -> None:
        await self.converter.start()

    async def stop(self) -> None:
        await self.converter.stop()

    def open(self, *, on: bool) -> None:
        self.server.open(on=on)

    def badge(self) -> None:
        self.server.badge(0x1267)

    def is_released(self) -> bool:
        return self.server.outputs[0]

    def trouble(self, how: Trouble | None) -> None:
        self.server.how = how
