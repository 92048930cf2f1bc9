"""Doors and cameras of a simulated site, and what happens before them when somebody says so on the control socket.

{"do": "badge", "device": "DOOR-1", "card": "4711", "granted": false}
{"do": "door", "device": "DOOR-1", "state": "forced"}        open, closed, forced or held
{"do": "show", "device": "CAM-1", "what": "motion", "on": true}   motion, tamper or input
{"do": "skew", "device": "CAM-1", "seconds": 90}
{"do": "mute", "device": "DOOR-1", "on": true}
{"do": "power_cut", "device": "DOOR-1"}                      of the whole line, for a moment
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from rules.model.line import OnvifLine, OsdpLine
from rules.model.site import Device
from simulators import onvif_device
from simulators.faults import InvalidFaultError
from simulators.onvif_device import OnvifDevice
from simulators.osdp_reader import Converter, OsdpReader
from simulators.served import PortTakenError

VERBS = ("badge", "door", "show", "skew", "mute", "power_cut")
ALARMS = {"open": "Normal", "closed": "Normal", "forced": "DoorForcedOpen", "held": "DoorOpenTooLong"}
SHOWN = {"motion": onvif_device.MOTION, "tamper": onvif_device.TAMPER, "input": onvif_device.INPUT}
CARD_MAX = 2**32 - 1
SKEW_S_MAX = 86_400 * 366
CUT_S = 0.5

Credential = Callable[[str], str | None]
Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Player:
    """One device: an ONVIF box and the door in it (its token, '' for the camera), or a reader."""

    plays: OnvifDevice | OsdpReader
    token: str
    power: OnvifDevice | Converter


class Scene:
    """All doors and cameras of a site.  ``credential`` gives their passwords and keys, as the gateway has them."""

    def __init__(self, credential: Credential, clock: Callable[[], datetime]) -> None:
        self._credential = credential
        self._clock = clock
        self._players: dict[str, _Player] = {}
        self._cuts: set[asyncio.Task[None]] = set()

    async def serve(self, line: OnvifLine | OsdpLine, devices: Sequence[Device]) -> Callable[[], Awaitable[object]]:
        """Serve a line; gives what ends it.  Raises PortTakenError."""
        power = self._onvif(line, devices) if isinstance(line, OnvifLine) else self._osdp(line, devices)
        try:
            await power.start()
        except OSError:
            raise PortTakenError(
                f"line '{line.code}': {line.place} is taken; stop the program that listens there or name another"
            ) from None
        return power.stop

    async def close(self) -> None:
        """Let no power come back any more."""
        for cut in list(self._cuts):
            cut.cancel()
        await asyncio.gather(*self._cuts, return_exceptions=True)

    def plays(self) -> dict[str, str]:
        """Give what every one of them is: door or camera."""
        return {
            code: "door" if player.token or isinstance(player.plays, OsdpReader) else "camera"
            for code, player in self._players.items()
        }

    def act(self, request: Request) -> None:
        """Let something happen; raises InvalidFaultError with one sentence."""
        player = self._players.get(str(request.get("device")))
        if player is None:
            there = ", ".join(self._players) or "none"
            raise InvalidFaultError(f"there is no door or camera '{request.get('device')}'; there are {there}")
        match request.get("do"):
            case "badge":
                self._badge(player, str(request.get("card", "")), granted=bool(request.get("granted")))
            case "door":
                self._door(player, str(request.get("state")))
            case "show":
                self._show(player, str(request.get("what")), on=bool(request.get("on")))
            case "skew":
                self._skew(player, request.get("seconds"))
            case "mute":
                player.plays.silent = bool(request.get("on"))
            case _:
                self._cut(player)

    def _onvif(self, line: OnvifLine, devices: Sequence[Device]) -> OnvifDevice:
        tokens = [device.address for device in devices if device.address]
        password = self._credential(f"onvif-{line.code}-password") or ""
        box = OnvifDevice(
            urlsplit(line.url).port or 80, user=line.user, password=password, doors=tokens, clock=self._clock,
            name=devices[0].code if devices else line.code,
        )  # fmt: skip
        self._players.update({device.code: _Player(box, device.address, box) for device in devices})
        return box

    def _osdp(self, line: OsdpLine, devices: Sequence[Device]) -> Converter:
        readers: list[OsdpReader] = []
        converter = Converter(line.port or 0, readers)
        for device in devices:
            key = self._credential(f"osdp-{device.code}-key")
            reader = OsdpReader(int(device.address), bytes.fromhex(key) if key else None)
            readers.append(reader)
            self._players[device.code] = _Player(reader, "", converter)
        return converter

    def _badge(self, player: _Player, card: str, *, granted: bool) -> None:
        if isinstance(player.plays, OnvifDevice):
            if player.token not in player.plays.doors:
                raise InvalidFaultError("a camera has no card reader; name a door")
            player.plays.badge(player.token, card, granted=granted)
            return
        if not card.isdecimal() or int(card) > CARD_MAX:
            raise InvalidFaultError(
                f"a card at a reader is a number from 0 to {CARD_MAX}; who is let in is not its say"
            )
        player.plays.badge(int(card))

    def _door(self, player: _Player, state: str) -> None:
        if state not in ALARMS:
            raise InvalidFaultError(f"a door is {', '.join(ALARMS)}, not '{state}'")
        if isinstance(player.plays, OsdpReader):
            player.plays.open(on=state != "closed")
        elif player.token in player.plays.doors:
            player.plays.alarm(player.token, ALARMS[state])
            player.plays.doors[player.token].physical = "Closed" if state == "closed" else "Open"
        else:
            raise InvalidFaultError("a camera has no door; name a door")

    def _show(self, player: _Player, what: str, *, on: bool) -> None:
        if what == "tamper" and (player.token or isinstance(player.plays, OsdpReader)):
            if isinstance(player.plays, OsdpReader):
                player.plays.tamper(on=on)
            else:
                player.plays.tamper(player.token, on=on)
        elif what in SHOWN and isinstance(player.plays, OnvifDevice):
            player.plays.show(SHOWN[what], on=on)
        else:
            raise InvalidFaultError(f"'what' is {', '.join(SHOWN)}, and only cameras see more than tampering")

    def _skew(self, player: _Player, seconds: object) -> None:
        if not isinstance(player.plays, OnvifDevice) or not isinstance(seconds, int | float):
            raise InvalidFaultError("only an ONVIF device has a clock; 'seconds' is how far it is ahead")
        if abs(seconds) > SKEW_S_MAX:
            raise InvalidFaultError(f"a clock is off by at most {SKEW_S_MAX} s")
        player.plays.skew = timedelta(seconds=seconds)

    def _cut(self, player: _Player) -> None:
        task = asyncio.get_running_loop().create_task(_off_and_on(player.power))
        self._cuts.add(task)
        task.add_done_callback(self._cuts.discard)


async def _off_and_on(power: OnvifDevice | Converter) -> None:
    await power.stop()
    await asyncio.sleep(CUT_S)
    await power.start()
