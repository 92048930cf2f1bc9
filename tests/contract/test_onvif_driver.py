"""ONVIF in particular: hostile answers, clocks, pull points, passwords, stills."""

import asyncio
import io
import re
import resource
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

from drivers.driver import Device
from drivers.errors import DriverError, MisconfiguredError, UnreachableError
from drivers.onvif.line import STILL_EVERY_S, OnvifDriver, OnvifStation
from drivers.onvif.soap import warm
from rules.model.event import STILL_BYTES_MAX, BadgeEvent, Still
from rules.model.line import OnvifLine
from rules.model.quality import Quality
from rules.model.reading import Reading
from simulators.http_server import HttpServer, Request, Response
from simulators.onvif_device import MOTION, OnvifDevice
from simulators.onvif_soap import DeniedError, denial
from tests.contract.event_ground import shipped, written
from tests.field import HOST, free_port

USER, PASSWORD = "plantroom", "door-opener"
TIMEOUT_S = 3.0  # nothing here waits for it but the drip
DRIP_S = 0.5
HUGE_KB = 60_000
BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">%s]><s:Envelope
xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><b>&z;</b></s:Body></s:Envelope>"""
ENTITIES = b"".join(b'<!ENTITY %c "%s">' % (n, b"&%c;" % (n - 1) * 10) for n in range(98, 123))
SOAP = "application/soap+xml"


class World:
    """A device, a driver, and a monotonic clock that can be set forward."""

    def __init__(self, port: int, user: str | None = USER, timeout_s: float = TIMEOUT_S) -> None:
        self.ahead_s = 0.0
        self.server = OnvifDevice(port, user=USER, password=PASSWORD, doors=("D1", "D2"))
        line = OnvifLine(
            driver="onvif", code="L1", gateway="G", url=f"http://{HOST}:{port}/onvif/device_service", user=user,
            poll_s=1, timeout_s=timeout_s,
        )  # fmt: skip
        self.driver = OnvifDriver(line, lambda: datetime.now(UTC), monotonic_s=lambda: time.monotonic() + self.ahead_s)

    def station(self, device: Device) -> OnvifStation:
        return self.driver.station(device)

    @property
    def camera(self) -> OnvifStation:
        return self.station(shipped("onvif-camera", "CAM", ""))


def credentials(folder: Path, patch: pytest.MonkeyPatch, password: str = PASSWORD) -> None:
    patch.setenv("PLANTROOM_CREDENTIALS", str(folder))
    (folder / "onvif-L1-password").write_text(password, "utf-8")


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    credentials(tmp_path, monkeypatch)
    made = World(free_port())
    await made.server.start()
    yield made
    await made.driver.close()
    await made.server.stop()


def last(readings: list[Reading]) -> dict[str, Reading]:
    return {reading.point.partition(".")[2]: reading for reading in readings}


Answer = Callable[[Request], bytes]


def raw(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def soap(body: bytes, kind: str = SOAP) -> bytes:
    return Response(200, kind, body).written()


def told(reason: DeniedError) -> Answer:
    return lambda _request: denial(reason).written()


ELSEWHERE = "http://192.0.2.1/onvif/device_service"
HOSTILE: dict[str, Answer] = {
    "redirect": lambda _r: raw("302 Found", f"Location: {ELSEWHERE}", "Content-Length: 0"),
    "redirect-kept": lambda _r: raw("307 Temporary", f"Location: {ELSEWHERE}", "Content-Length: 0"),
    "bomb": lambda _r: soap(BOMB % ENTITIES),
    "bomb-utf16": lambda _r: soap((BOMB % ENTITIES).decode().encode("utf-16")),
    "file-entity": lambda _r: soap(b'<!DOCTYPE a [<!ENTITY z SYSTEM "file:///etc/passwd">]><a>&z;</a>'),
    "deep": lambda _r: soap(b"<a>" * 100_000),
    "wide": lambda _r: soap(b"<a>" + b"<b/>" * 200_000 + b"</a>"),
    "many-attributes": lambda _r: soap(b"<a " + b" ".join(b'a%d="1"' % n for n in range(50_000)) + b"/>"),
    "gzip": lambda _r: raw("200 OK", "Content-Encoding: gzip", f"Content-Type: {SOAP}", body=b"\x1f\x8b" + b"\0" * 99),
    "claims-100-MB": lambda _r: raw("200 OK", "Content-Length: 100000000", f"Content-Type: {SOAP}", body=b"<a>" * 99),
    "html": lambda _r: soap(b"<html><body>Login</body></html>", "text/html"),
    "picture": lambda _r: soap(b"\xff\xd8\xff", "image/jpeg"),
    "empty": lambda _r: soap(b""),
    "no-soap": lambda _r: soap(b"<hello/>"),
    "no-body": lambda _r: soap(b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>'),
    "no-http": lambda _r: b"\x00\x01\x02 hello\r\n\r\n",
    "endless-header": lambda _r: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000,
    "bad-length": lambda _r: raw("200 OK", "Content-Length: -5", f"Content-Type: {SOAP}", body=b"<a/>"),
    "silly-status": lambda _r: raw("999 What", "Content-Length: 0"),
    "basic-asked": lambda _r: raw("401 No", 'WWW-Authenticate: Basic realm="x"', "Content-Length: 0"),
    "digest-asked-badly": lambda _r: raw("401 No", 'WWW-Authenticate: Digest nonce="', "Content-Length: 0"),
    "fault": told(DeniedError("ter:Action", "Action Failed", code="Receiver", status=500)),
    "fault-unsigned": told(DeniedError("ter:NotAuthorized", "Sender not Authorized")),
    "fault-long": told(DeniedError("ter:Action", "no " * 100_000, code="Receiver", status=500)),
    "fault-11": lambda _r: soap(
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>e:Server'
        b"</faultcode><faultstring>old\x07 firmware</faultstring></e:Fault></e:Body></e:Envelope>".replace(b"\x07", b"")
    ),
    "wrong-clock": lambda _r: soap(
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><R><SystemDateAndTime><UTCDateTime>'
        b"<Time><Hour>99</Hour></Time><Date><Year>-1</Year></Date></UTCDateTime></SystemDateAndTime></R></s:Body>"
        b"</s:Envelope>"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_device_gives_one_sentence_in_bounded_time_and_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(tmp_path, monkeypatch)
    port = free_port()
    world = World(port)
    station = world.camera
    await world.server.start()
    await station.read()
    await world.server.stop()
    asked: list[Request] = []

    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        asked.append(request)
        writer.write(HOSTILE[name](request))

    hostile = HttpServer(serve, port)
    await hostile.start()
    memory_kb, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    sentences = set()
    for _ in range(3):
        try:
            readings = await station.read()
        except DriverError as error:
            sentences.add(str(error))
        else:
            assert all(r.value is None and r.quality is Quality.BAD for r in readings)
            sentences |= {reading.error for reading in readings}
    await hostile.stop()
    assert time.monotonic() - begun < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < HUGE_KB
    assert len(sentences) == 1
    assert all(len(said) < 300 and "\n" not in said and PASSWORD not in said for said in sentences), sentences
    assert not [request for request in asked if "authorization" in request.headers and "Basic" in str(request.headers)]
    await world.server.start()
    assert last(await station.read())["motion"].value == 0
    await world.driver.close()
    await world.server.stop()


async def test_a_slow_drip_ends_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(tmp_path, monkeypatch)
    port = free_port()

    async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw("200 OK", f"Content-Type: {SOAP}"))
        while True:
            writer.write(b"<a>")
            await writer.drain()
            await asyncio.sleep(0.05)

    server = HttpServer(drip, port)
    await server.start()
    station, begun = World(port, timeout_s=DRIP_S).camera, time.monotonic()
    with pytest.raises(UnreachableError, match="no whole answer"):
        await station.read()
    assert time.monotonic() - begun < 8 * DRIP_S
    await server.stop()


async def test_a_clock_that_is_hours_off_is_told_and_borne_with(world: World) -> None:
    station = world.camera
    for skew in (timedelta(hours=-3), timedelta(days=400), timedelta(minutes=2)):
        world.server.skew = skew  # signatures are refused beyond a minute
        assert abs((last(await station.read())["clock_skew"].value or 0) - skew.total_seconds()) <= 1
        world.server.show(MOTION, on=True)
        changes = [r for r in await station.read() if r.point == "CAM.motion"]
        assert [r.value for r in changes] == [1.0, 1.0]
        assert timedelta(seconds=-2) < datetime.now(UTC) - changes[0].at < timedelta(seconds=3)
        assert changes[0].at < changes[1].at
        world.server.show(MOTION, on=False)
        await station.read()


async def test_a_pull_point_is_renewed_in_time_and_made_anew_when_it_is_gone(world: World) -> None:
    station = world.camera
    await station.read()
    world.ahead_s += 45  # the device grants 60 s: half of it is over
    world.server.asked.clear()
    await station.read()
    assert "Renew" in world.server.asked
    assert "CreatePullPointSubscription" not in world.server.asked
    world.server._subscriptions.clear()
    world.server.asked.clear()
    assert last(await station.read())["motion"].value == 0
    assert world.server.asked.count("CreatePullPointSubscription") == 1
    await world.driver.close()
    assert world.server._subscriptions == {}


async def test_a_hundred_restarts_are_found_again(world: World) -> None:
    station = world.camera
    for number in range(100):
        await world.server.stop()
        await world.server.start()
        world.server._states[MOTION] = bool(number % 2)
        assert last(await station.read())["motion"].value == number % 2


async def test_unknown_topics_and_words_do_no_harm(world: World) -> None:
    station = world.camera
    await station.read()
    for topic, data in (("Unknown/Thing", {"A": "1"}), (MOTION[0], {"Other": "1"}), (MOTION[0], {MOTION[1]: "maybe"})):
        world.server._tell(topic, "Changed", {"Source": "x" * 5000}, data)
    readings = last(await station.read())
    assert readings["motion"].value is None
    assert "maybe" in readings["motion"].error
    assert readings["tamper"].value == 0
    world.server.show(MOTION, on=True)
    assert last(await station.read())["motion"].value == 1


async def test_more_events_than_anybody_wants_are_bounded_and_the_newest_are_kept(world: World) -> None:
    door = world.station(shipped("onvif-door", "DOOR", "D1"))
    await door.read()
    for number in range(1000):
        world.server.badge("D1", str(number), granted=False)
    await door.read()
    events = door.take_events()
    assert len(events) == 500
    assert isinstance(events[-1], BadgeEvent)
    assert events[-1].badge == "999"


async def test_each_door_tells_its_own_events(world: World) -> None:
    camera = world.camera
    doors = {token: world.station(shipped("onvif-door", f"DOOR-{token}", token)) for token in ("D1", "D2")}
    for station in (camera, *doors.values()):
        await station.read()
    world.server.badge("D1", "1", granted=False)
    world.server.badge("D2", "2", granted=True)
    world.server.alarm("D2", "DoorOpenTooLong")
    for station in (camera, *doors.values()):
        await station.read()
    assert camera.take_events() == []
    found = {
        token: [(e.result, e.badge) for e in door.take_events() if isinstance(e, BadgeEvent)]
        for token, door in doors.items()
    }
    assert found == {"D1": [("denied", "1")], "D2": [("granted", "2"), ("held", None)]}


async def test_a_door_that_there_is_not_is_bad_and_the_others_go_on(world: World) -> None:
    missing, door = (world.station(shipped("onvif-door", code, token)) for code, token in (("X", "NO"), ("Y", "D1")))
    assert {r.error for r in await missing.read()} == {f"{world.driver.device.place} says no: There is no such door"}
    assert last(await door.read())["locked"].value == 1


async def test_a_wrong_password_and_a_missing_one_are_told_in_one_sentence(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(world.driver.device.place.rpartition(":")[2])
    credentials(tmp_path, monkeypatch, "wrong")
    [said] = {reading.error for reading in await World(port).camera.read()}
    assert "not Authorized" in said or "refuses user" in said
    (tmp_path / "onvif-L1-password").unlink()
    [said] = {reading.error for reading in await World(port).camera.read()}
    assert "credential onvif-L1-password" in said


async def test_a_device_without_an_access_service_still_tells_who_came_to_which_access_point(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_service() -> str:
        raise DeniedError("ter:ActionNotSupported", "Optional Action Not Implemented", code="Receiver", status=500)

    monkeypatch.setattr(world.server, "_access_points", no_service)
    doors = [world.station(shipped("onvif-door", code, token)) for code, token in (("A", "D1"), ("B", "AP-D1"))]
    for station in doors:
        await station.read()
    world.server.badge("D1", "7", granted=False)
    assert last(await doors[0].read())["locked"].value == 1
    await doors[1].read()
    assert [len(station.take_events()) for station in doors] == [0, 1]


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Make a camera's own certificate, as cameras come with: for another name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "camera.pem").write_bytes(pem + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "camera.pem")
    return context, pem.decode()


async def test_a_secured_device_is_asked_only_when_its_certificate_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(tmp_path, monkeypatch)
    (context, pem), port = certificate(tmp_path), free_port()
    server = OnvifDevice(port, user=USER, password=PASSWORD, secured=context)
    await server.start()
    made = OnvifLine(driver="onvif", code="L1", gateway="G", url=f"https://{HOST}:{port}/x", user=USER, poll_s=1)
    for known, value in ((None, None), ("no certificate", None), (pem, 0.0)):
        if known is not None:
            (tmp_path / "onvif-L1-certificate").write_text(known, "utf-8")
        driver = OnvifDriver(made, lambda: datetime.now(UTC))
        station = driver.station(shipped("onvif-camera", "CAM", ""))
        found = last(await station.read())["motion"]
        assert found.value == value
        assert (value == 0.0) or "onvif-L1-certificate" in found.error
        if value == 0.0:  # the picture too, though the device names it with http
            assert (await station.write("snapshot", 1)).value == 1
        await driver.close()
    await server.stop()


async def test_a_still_is_taken_at_a_motion_and_at_most_every_ten_seconds(world: World) -> None:
    station = world.camera
    await station.read()
    for wait_s, expected in ((0, 1), (0, 0), (STILL_EVERY_S + 1, 1)):
        world.ahead_s += wait_s
        for on in (False, True):
            world.server.show(MOTION, on=on)
        await station.read()
        stills = [event for event in station.take_events() if isinstance(event, Still)]
        assert len(stills) == expected
    assert Image.open(io.BytesIO(stills[0].jpeg)).format == "JPEG"


@pytest.mark.parametrize("kind", ["noise", "bomb", "text", "missing", "redirect"])
async def test_a_picture_is_made_small_and_what_is_none_is_refused(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise, black = io.BytesIO(), io.BytesIO()
    Image.effect_noise((1600, 1200), 100).convert("RGB").save(noise, "JPEG", quality=100)
    Image.new("1", (12_000, 12_000)).save(black, "PNG")
    answers = {
        "noise": Response(200, "image/jpeg", noise.getvalue()), "bomb": Response(200, "image/jpeg", black.getvalue()),
        "text": Response(200, "image/jpeg", b"no picture"), "missing": Response(404, "text/plain", b""),
        "redirect": Response(302, "text/plain", b"", {"Location": ELSEWHERE}),
    }  # fmt: skip
    whole = world.server.respond
    monkeypatch.setattr(
        world.server, "respond", lambda r: answers[kind] if r.path.startswith("/snapshot") else whole(r)
    )
    station = world.camera
    if kind == "noise":
        assert (await station.write("snapshot", 1)).value == 1
        [still] = station.take_events()
        assert isinstance(still, Still)
        assert len(noise.getvalue()) > STILL_BYTES_MAX >= len(still.jpeg)
        assert still.cause == "asked"
        return
    with pytest.raises(DriverError) as caught:
        await station.write("snapshot", 1)
    assert re.fullmatch(r"[^\n]{10,200}", str(caught.value))
    assert station.take_events() == []
    assert last(await station.read())["motion"].value == 0


async def test_a_door_needs_its_token(world: World) -> None:
    with pytest.raises(MisconfiguredError, match="token"):
        world.station(shipped("onvif-door", "DOOR", ""))


async def test_a_momentary_access_may_say_how_long(world: World) -> None:
    text = """
code = "x"
title = "x"
protocol = "onvif"
[[measure]]
name = "let_in"
kind = "state"
unit = ""
from = "door"
item = "DoorMode"
values = { Accessed = 1, Locked = 0 }
writes = { 1 = "AccessDoor" }
access_s = 7
"""
    station = world.station(written(text, "x", "DOOR", "D1"))
    assert (await station.write("let_in", 1)).value == 1


def test_the_package_of_the_wsdls_is_never_imported_for_it_sets_up_logging() -> None:
    warm()
    assert "onvif" not in sys.modules
