"""An ONVIF device: a camera that is told what it sees, and a controller of doors (Profile C) where people come and go.

It believes itself at ``believed``, as devices behind NAT do; its clock is ``skew`` off.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import cast

from simulators import camera
from simulators.http_server import HttpServer, Request, Response
from simulators.onvif_soap import SPACES, DeniedError, Guard, Question, answer, date_and_time, denial, question, stamp
from simulators.onvif_soap import notification as written

SUBSCRIPTIONS_MAX = 10
MESSAGES_MAX = 1000
ACCESS_S = 3.0
BELIEVED = "192.168.0.90"
MOTION = ("RuleEngine/CellMotionDetector/Motion", "IsMotion")
TAMPER = ("RuleEngine/TamperDetector/Tamper", "IsTamper")
INPUT = ("Device/Trigger/DigitalInput", "LogicalState")
UNSIGNED = ("GetSystemDateAndTime",)
ACTS = {"AccessDoor": "Accessed", "LockDoor": "Locked", "UnlockDoor": "Unlocked", "BlockDoor": "Blocked"}


@dataclass(slots=True)
class Door:
    """One door as its controller sees it; words are those of the standard."""

    token: str
    physical: str = "Closed"
    mode: str = "Locked"
    alarm: str = "Normal"
    tamper: str = "NotInTamper"
    accessed_until: datetime | None = None

    def settle(self, now: datetime) -> None:
        """Lock again when the moment of access is over."""
        if self.accessed_until is not None and now >= self.accessed_until:
            self.accessed_until, self.mode = None, "Locked"

    @property
    def lock(self) -> str:
        """What the bolt does."""
        return "Unlocked" if self.mode in ("Accessed", "Unlocked") else "Locked"


@dataclass(slots=True)
class _Subscription:
    ends: datetime
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=MESSAGES_MAX))


class OnvifDevice:
    """One device on one port."""

    def __init__(
        self,
        port: int,
        *,
        user: str | None = None,
        password: str = "",
        doors: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        name: str = "CAM",
        seed: int = 1,
        secured: ssl.SSLContext | None = None,
    ) -> None:
        self.skew = timedelta(0)
        self.doors = {token: Door(token) for token in doors}
        self.silent = False
        self.people = 0
        self.asked: list[str] = []
        self._clock = clock
        self._name, self._seed = name, seed
        self._user, self._password = user, password
        self._states: dict[tuple[str, str], bool] = {MOTION: False, TAMPER: False, INPUT: False}
        self._server = HttpServer(self._serve, port, secured=secured)
        self._believed = f"http://{BELIEVED}"
        self._boot()

    def _boot(self) -> None:
        self._guard = Guard(self._user, self._password) if self._user is not None else None
        self._subscriptions: dict[str, _Subscription] = {}
        self._numbers = count(1)

    @property
    def now(self) -> datetime:
        """What the device's clock shows."""
        return self._clock() + self.skew

    async def start(self) -> None:
        """Serve; raises OSError where the port is taken."""
        await self._server.start()

    async def stop(self) -> None:
        """Cut the power: pull points are gone."""
        await self._server.stop()
        self._boot()

    # --- what happens in front of it

    def show(self, what: tuple[str, str], *, on: bool) -> None:
        """Begin or end a motion, a tampering, an input."""
        self._states[what] = on
        self._tell(*self._state_message(what, "Changed"))

    def badge(self, door: str, card: str, *, granted: bool) -> None:
        """Hold a card before a door's reader."""
        source = {"AccessPointToken": f"AP-{door}"}
        if granted:
            self._tell("AccessControl/AccessGranted/Credential", "", source, {"CredentialToken": card})
            self._act("AccessDoor", self.doors[door], ACCESS_S)
        else:
            data = {"CredentialToken": card, "Reason": "CredentialNotEnabled"}
            self._tell("AccessControl/Denied/Credential", "", source, data)

    def alarm(self, door: str, how: str) -> None:
        """Force a door (DoorForcedOpen), hold it open (DoorOpenTooLong), or close it again (Normal)."""
        found = self.doors[door]
        found.alarm, found.physical = how, "Closed" if how == "Normal" else "Open"
        self._tell("Door/State/DoorAlarm", "Changed", {"DoorToken": door}, {"State": how})

    def tamper(self, door: str, *, on: bool) -> None:
        """Open a door controller's box, or close it."""
        self.doors[door].tamper = "TamperDetected" if on else "NotInTamper"

    def _tell(self, topic: str, operation: str, source: Mapping[str, str], data: Mapping[str, str]) -> None:
        for subscription in self._subscriptions.values():
            subscription.messages.append(written(topic, self.now, operation, source, data))

    def _state_message(self, what: tuple[str, str], operation: str) -> tuple[str, str, dict[str, str], dict[str, str]]:
        value = "true" if self._states[what] else "false"
        return what[0], operation, {"VideoSourceConfigurationToken": "VS-1"}, {what[1]: value}

    # --- what it answers

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.silent:
            await asyncio.Event().wait()
        writer.write(self.respond(request).written())

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == "/snapshot.jpg":
            if self._guard is not None and not self._guard.check_http(request):
                return self._guard.challenge()
            return Response(200, "image/jpeg", camera.still(self._name, self._seed, self.now, self.people))
        try:
            asked = question(request.body)
            self.asked.append(asked.operation)
            if self._guard is not None and asked.operation not in UNSIGNED:
                self._guard.check(asked, self.now)
            said = self._operate(asked, request.path.rpartition("/")[2])
        except DeniedError as error:
            return denial(error)
        return answer(said)

    def _operate(self, asked: Question, place: str) -> str:
        match asked.operation:
            case "PullMessages" | "Renew" | "Unsubscribe" | "CreatePullPointSubscription":
                return self._events(asked, place)
            case "GetDoorState" | "AccessDoor" | "LockDoor" | "UnlockDoor" | "BlockDoor":
                return self._door(asked)
            case "GetAccessPointInfoList":
                return self._access_points()
            case "GetDoorInfoList":
                doors = "".join(
                    f'<tdc:DoorInfo token="{token}"><tdc:Name>{token}</tdc:Name><tdc:Capabilities/></tdc:DoorInfo>'
                    for token in self.doors
                )
                return f"<tdc:GetDoorInfoListResponse>{doors}</tdc:GetDoorInfoListResponse>"
        return self._device(asked)

    def _device(self, asked: Question) -> str:
        said = {
            "GetSystemDateAndTime": f"<tds:SystemDateAndTime>{date_and_time(self.now)}</tds:SystemDateAndTime>",
            "GetDeviceInformation": "<tds:Manufacturer>Plantroom</tds:Manufacturer><tds:Model>Simulated</tds:Model>"
            "<tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber>"
            "<tds:HardwareId>1</tds:HardwareId>",
            "GetServices": "".join(
                f"<tds:Service><tds:Namespace>{SPACES[prefix]}</tds:Namespace>"
                f"<tds:XAddr>{self._believed}/onvif/{prefix}</tds:XAddr></tds:Service>"
                for prefix in ("tds", "trt", "tev", *(("tdc", "tac") if self.doors else ()))
            ),
            "GetCapabilities": f"<tds:Capabilities><tt:Device><tt:XAddr>{self._believed}/onvif/tds</tt:XAddr>"
            f"</tt:Device><tt:Events><tt:XAddr>{self._believed}/onvif/tev</tt:XAddr></tt:Events><tt:Media><tt:XAddr>"
            f"{self._believed}/onvif/trt</tt:XAddr></tt:Media></tds:Capabilities>",
            "GetProfiles": '<trt:Profiles token="P-1" fixed="true"><tt:Name>main</tt:Name></trt:Profiles>',
            "GetSnapshotUri": f"<trt:MediaUri><tt:Uri>{self._believed}/snapshot.jpg</tt:Uri></trt:MediaUri>",
            "GetStreamUri": f"<trt:MediaUri><tt:Uri>rtsp://{BELIEVED}/stream1</tt:Uri></trt:MediaUri>",
        }
        if asked.operation not in said:
            raise DeniedError("ter:ActionNotSupported", "Optional Action Not Implemented", code="Receiver", status=500)
        prefix = "trt" if "Profile" in asked.operation or "Uri" in asked.operation else "tds"
        return f"<{prefix}:{asked.operation}Response>{said[asked.operation]}</{prefix}:{asked.operation}Response>"

    def _events(self, asked: Question, place: str) -> str:
        self._subscriptions = {key: kept for key, kept in self._subscriptions.items() if kept.ends > self.now}
        ends = self.now + timedelta(seconds=60)
        times = f"<wsnt:CurrentTime>{stamp(self.now)}</wsnt:CurrentTime><wsnt:TerminationTime>{stamp(ends)}"
        times += "</wsnt:TerminationTime>"
        if asked.operation == "CreatePullPointSubscription":
            if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
                raise DeniedError("ter:MaxSubscriptions", "No more pull points", code="Receiver", status=500)
            key = f"pull-{next(self._numbers)}-{self._seed}"
            self._subscriptions[key] = made = _Subscription(ends)
            made.messages.extend(
                written(topic, self.now, operation, source, data)
                for topic, operation, source, data in (self._state_message(w, "Initialized") for w in self._states)
            )
            return (
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>"
                f"{self._believed}/onvif/{key}</wsa:Address></tev:SubscriptionReference>{times}"
                "</tev:CreatePullPointSubscriptionResponse>"
            )
        kept = self._subscriptions.get(place)
        if kept is None:
            detail = "<wsrf:ResourceUnknownFault/>"
            raise DeniedError("ter:InvalidArgVal", "Resource unknown", detail=detail)
        if asked.operation == "Unsubscribe":
            del self._subscriptions[place]
            return "<wsnt:UnsubscribeResponse/>"
        if asked.operation == "Renew":
            kept.ends = ends
            return f"<wsnt:RenewResponse>{times}</wsnt:RenewResponse>"
        most = int(asked.arguments.get("MessageLimit", "1"))
        pulled = "".join(kept.messages.popleft() for _ in range(min(most, len(kept.messages))))
        times = times.replace("wsnt:", "tev:")
        return f"<tev:PullMessagesResponse>{times}{pulled}</tev:PullMessagesResponse>"

    def _door(self, asked: Question) -> str:
        door = self.doors.get(asked.arguments.get("Token", ""))
        if door is None:
            raise DeniedError("ter:NotFound", "There is no such door")
        door.settle(self._clock())
        if asked.operation in ACTS:
            self._act(asked.operation, door, ACCESS_S)
            return f"<tdc:{asked.operation}Response/>"
        return (
            "<tdc:GetDoorStateResponse><tdc:DoorState>"
            f"<tdc:DoorPhysicalState>{door.physical}</tdc:DoorPhysicalState>"
            f"<tdc:LockPhysicalState>{door.lock}</tdc:LockPhysicalState><tdc:Alarm>{door.alarm}</tdc:Alarm>"
            f"<tdc:Tamper><tdc:State>{door.tamper}</tdc:State></tdc:Tamper><tdc:DoorMode>{door.mode}</tdc:DoorMode>"
            "</tdc:DoorState></tdc:GetDoorStateResponse>"
        )

    def _act(self, operation: str, door: Door, access_s: float) -> None:
        door.mode = ACTS[operation]
        access = operation == "AccessDoor"
        door.accessed_until = self._clock() + timedelta(seconds=access_s) if access else None

    def _access_points(self) -> str:
        points = "".join(
            f'<tac:AccessPointInfo token="AP-{token}"><tac:Name>{token}</tac:Name><tac:Entity>{token}</tac:Entity>'
            "<tac:Capabilities/></tac:AccessPointInfo>"
            for token in self.doors
        )
        return f"<tac:GetAccessPointInfoListResponse>{points}</tac:GetAccessPointInfoListResponse>"


class Discoverable(asyncio.DatagramProtocol):
    """Answers probes (WS-Discovery 1.0) for a device at ``port``, which says that it is somewhere else."""

    def __init__(self, port: int) -> None:
        self._address = f"http://{BELIEVED}:{port}/onvif/device_service"
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a probe."""
        if b"Probe>" in data and self._transport is not None:
            space = 'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
            said = answer(
                f"<d:ProbeMatches {space}><d:ProbeMatch><d:Scopes>onvif://www.onvif.org/name/Simulated%20camera "
                f"onvif://www.onvif.org/hardware/SIM</d:Scopes><d:XAddrs>{self._address}</d:XAddrs></d:ProbeMatch>"
                "</d:ProbeMatches>"
            )
            self._transport.sendto(said.body, addr)
