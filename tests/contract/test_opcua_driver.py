"""What is OPC UA's own: namespaces that move, lists that shrink, statuses, source times, types, hostile answers."""

import asyncio
import copy
import resource
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.callback import CallbackType
from asyncua.server.address_space import AttributeValue
from asyncua.ua.status_codes import StatusCodes

from drivers.catalogue import load, parse
from drivers.driver import Asked
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.opcua.line import OpcuaDriver, OpcuaStation
from drivers.opcua.lists import TOO_LONG_RETRY_S
from drivers.opcua.profile import OpcuaMeasure, OpcuaProfile
from drivers.opcua.wire import CHANNEL_S, WireClient
from drivers.profile import InvalidProfileError
from rules.model.line import OpcuaLine
from rules.model.point import Point
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.ground_opcua import OTHER_URI, PROFILE, READ_LIMIT, URI, OpcuaGround

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
VALUES = [4711.25, 12.3, 21.5]
HUGE_KB = 60_000
RESTARTS = 100


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def ground() -> AsyncIterator[OpcuaGround]:
    made = OpcuaGround()
    made.show(SHOWN)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def driver(ground: OpcuaGround, clock: Clock) -> AsyncIterator[OpcuaDriver]:
    assert isinstance(ground.line, OpcuaLine)
    opened = OpcuaDriver(ground.line, lambda: datetime.now(UTC), monotonic_s=clock)
    yield opened
    await opened.close()


@pytest.fixture
def station(driver: OpcuaDriver, ground: OpcuaGround) -> OpcuaStation:
    return driver.station(ground.device)


async def shown(station: OpcuaStation) -> list[float | None]:
    return [reading.value for reading in await station.read()]


def power(readings: list[Reading]) -> Reading:
    return readings[1]


def measured(**more: Any) -> OpcuaMeasure:
    return OpcuaMeasure.model_validate({"name": "thing", "kind": "gauge", "unit": "kW", "node": "s=thing", **more})


def with_measure(ground: OpcuaGround, measure: OpcuaMeasure) -> Any:
    """The ground's device with one more measure."""
    profile = ground.device.profile.model_copy(update={"measure": (*ground.device.profile.measures, measure)})
    point = Point(f"M.{measure.name}", "M", measure.name, measure.kind, measure.unit, measure.step)
    return replace(ground.device, profile=profile, points=(*ground.device.points, Asked(point, measure.name)))


async def test_one_question_reads_all_points(station: OpcuaStation, ground: OpcuaGround) -> None:
    assert await shown(station) == VALUES
    ground.reads.clear()
    assert await shown(station) == VALUES
    assert ground.reads == [3]
    assert station.plan == ("s=M.energy, i=1001, s=M.setpoint",)


async def test_the_limit_that_a_server_names_is_kept(station: OpcuaStation, ground: OpcuaGround) -> None:
    assert ground.server is not None
    await ground.server.get_node(ua.NodeId(READ_LIMIT)).write_value(ua.Variant(2, ua.VariantType.UInt32))
    assert await shown(station) == VALUES
    assert ground.reads[-2:] == [2, 1]


@pytest.mark.parametrize("code", [StatusCodes.BadTooManyOperations, StatusCodes.BadResponseTooLarge])
async def test_a_list_that_is_too_long_is_halved_and_that_is_remembered(
    station: OpcuaStation, ground: OpcuaGround, code: int
) -> None:
    await station.read()
    ground.nodes_max, ground.too_many = 1, code
    ground.reads.clear()
    assert await shown(station) == VALUES
    assert ground.reads == [3, 2, 1, 1, 1]
    assert await shown(station) == VALUES
    assert ground.reads[5:] == [1, 1, 1]
    assert len(station.plan) == 3


async def test_a_namespace_that_moved_at_a_restart_is_found_again(station: OpcuaStation, ground: OpcuaGround) -> None:
    assert await shown(station) == VALUES
    was = ground.index
    await ground.stop()
    ground.before = (OTHER_URI, "urn:ground:third")
    await ground.start()
    assert ground.index == was + 2
    assert await shown(station) == VALUES


async def test_a_namespace_that_is_not_there_is_named_and_the_other_points_are_read(
    driver: OpcuaDriver, ground: OpcuaGround
) -> None:
    station = driver.station(with_measure(ground, measured(namespace="urn:not:here")))
    readings = await station.read()
    assert [reading.value for reading in readings] == [*VALUES, None]
    assert "has no namespace 'urn:not:here'" in readings[3].error
    assert URI in readings[3].error


async def test_the_standard_s_own_nodes_need_no_namespace(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    level = measured(node="i=2267", namespace="http://opcfoundation.org/UA/")  # ServiceLevel
    assert await shown(driver.station(with_measure(ground, level))) == [*VALUES, 255.0]


@pytest.mark.parametrize(
    ("code", "quality", "value", "said"),
    [
        (StatusCodes.BadSensorFailure, Quality.BAD, None, "BadSensorFailure"),
        (StatusCodes.BadOutOfService, Quality.BAD, None, "BadOutOfService"),
        (0x8FFF0000, Quality.BAD, None, "0x8FFF0000"),
        (StatusCodes.UncertainLastUsableValue, Quality.UNCERTAIN, 12.3, "UncertainLastUsableValue"),
        (StatusCodes.GoodLocalOverride, Quality.UNCERTAIN, 12.3, "GoodLocalOverride"),
        (StatusCodes.GoodClamped, Quality.GOOD, 12.3, ""),
    ],
)
async def test_the_status_is_the_quality_with_its_name(
    station: OpcuaStation, ground: OpcuaGround, code: int, quality: Quality, value: float | None, said: str
) -> None:
    ground.place("i=1001", ua.DataValue(ua.Variant(12.3, ua.VariantType.Float), StatusCode=ua.StatusCode(code)))
    reading = power(await station.read())
    assert (reading.quality, reading.value) == (quality, value)
    assert said in reading.error
    assert bool(reading.error) == bool(said)


async def test_a_node_that_is_not_there_is_said(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    readings = await driver.station(with_measure(ground, measured())).read()
    assert [reading.value for reading in readings] == [*VALUES, None]
    assert "BadNodeIdUnknown" in readings[3].error


def sent(seconds: float | None) -> ua.DataValue:
    at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    return ua.DataValue(ua.Variant(1.5, ua.VariantType.Float), SourceTimestamp=at)


async def test_a_sane_source_time_is_the_reading_s(station: OpcuaStation, ground: OpcuaGround) -> None:
    value = sent(-5)
    ground.place("i=1001", value)
    assert value.SourceTimestamp is not None
    came = power(await station.read()).at
    assert timedelta(0) <= value.SourceTimestamp - came < timedelta(milliseconds=1)


@pytest.mark.parametrize("seconds", [None, -3600, -61, 5, 86400 * 365 * 400])
async def test_any_other_source_time_gives_way_to_the_gateway_s(
    station: OpcuaStation, ground: OpcuaGround, seconds: float | None
) -> None:
    before = datetime.now(UTC)
    ground.place("i=1001", sent(seconds))
    assert before <= power(await station.read()).at <= datetime.now(UTC)


async def test_a_value_that_has_not_changed_is_of_now_and_times_only_go_forward(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    ground.place("i=1001", sent(-5))
    times = [power(await station.read()).at for _ in range(4)]
    assert times == sorted(set(times))
    assert datetime.now(UTC) - times[-1] < timedelta(seconds=2)


@pytest.mark.parametrize(
    ("value", "kind", "error"),
    [
        (float("nan"), ua.VariantType.Double, "is no number"),
        (float("-inf"), ua.VariantType.Float, "is no number"),
        ("on", ua.VariantType.String, "'on', which is not a number"),
        ([1.0, 2.0], ua.VariantType.Double, "an array of 2"),
        (datetime(2026, 1, 1, tzinfo=UTC), ua.VariantType.DateTime, "a datetime"),
        (b"\x00" * 10, ua.VariantType.ByteString, "a bytes"),
        ("x" * 90_000, ua.VariantType.String, "'xxxx"),
        ("\n\x1b[31m", ua.VariantType.String, r"'\n\x1b[31m'"),
        (None, ua.VariantType.Null, "no value"),
    ],
    ids=["nan", "inf", "text", "array", "date", "bytes", "long text", "control signs", "null"],
)
async def test_what_is_no_number_is_bad_with_the_reason(
    station: OpcuaStation, ground: OpcuaGround, value: object, kind: ua.VariantType, error: str
) -> None:
    ground.place("i=1001", ua.DataValue(ua.Variant(value, kind)))
    reading = power(await station.read())
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert error in reading.error
    assert len(reading.error) < 200


@pytest.mark.parametrize(
    ("value", "kind", "more", "number"),
    [
        (True, ua.VariantType.Boolean, {"kind": "state"}, 1.0),
        (-5, ua.VariantType.SByte, {}, -5.0),
        (2**53 - 1, ua.VariantType.Int64, {}, 9007199254740991.0),
        (12.3, ua.VariantType.Float, {}, 12.3),
        (1e300, ua.VariantType.Double, {}, 1e300),
        ([1.5, 2.5], ua.VariantType.Double, {"index": 1}, 2.5),
        ([1.5, 2.5], ua.VariantType.Double, {"index": 2}, None),
        ("Running", ua.VariantType.String, {"kind": "state", "states": {"Stopped": 0, "Running": 1}}, 1.0),
        (ua.LocalizedText("Stopped"), ua.VariantType.LocalizedText, {"kind": "state", "states": {"Stopped": 0}}, 0.0),
        ("Broken", ua.VariantType.String, {"kind": "state", "states": {"Stopped": 0}}, None),
    ],
)
async def test_every_type_is_read(
    driver: OpcuaDriver, ground: OpcuaGround, value: object, kind: ua.VariantType, more: Any, number: float | None
) -> None:
    await ground.add(f"ns={ground.index};s=thing", kind, value)
    reading = (await driver.station(with_measure(ground, measured(**more))).read())[3]
    assert reading.value == number
    assert (reading.quality is Quality.GOOD) == (number is not None)


async def test_a_value_longer_than_any_answer_may_be_is_left_out_and_the_others_are_read(
    driver: OpcuaDriver, ground: OpcuaGround, clock: Clock
) -> None:
    await ground.add(f"ns={ground.index};s=thing", ua.VariantType.Double, [1.0] * 500_000)
    station = driver.station(with_measure(ground, measured(index=3)))
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(6):
        try:
            readings = await station.read()
        except UnreachableError:
            continue
        break
    assert [reading.value for reading in readings] == [*VALUES, None]
    assert "longer than" in readings[3].error
    ground.reads.clear()
    assert await shown(station) == [*VALUES, None]
    assert ground.reads == [3]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < HUGE_KB
    ground.place("s=thing", ua.DataValue(ua.Variant([1.0] * 4, ua.VariantType.Double)))
    clock.seconds += TOO_LONG_RETRY_S + 1
    assert await shown(station) == [*VALUES, 1.0]


@pytest.mark.parametrize("kind", [ua.VariantType.Double, ua.VariantType.Float, ua.VariantType.Int16])
async def test_a_command_has_the_type_of_its_node(
    driver: OpcuaDriver, ground: OpcuaGround, kind: ua.VariantType
) -> None:
    node = await ground.add(f"ns={ground.index};s=thing", kind, 1)
    await node.set_writable()
    station = driver.station(with_measure(ground, measured(writable=(0, 100_000))))
    assert (await station.write("thing", 20)).value == 20.0
    assert (await node.read_data_value()).Value == ua.Variant(20, kind)


async def test_a_command_goes_through_the_scale_and_the_site_s_unit(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    node = await ground.add(f"ns={ground.index};s=thing", ua.VariantType.Int32, 1)
    await node.set_writable()
    device = with_measure(ground, measured(writable=(0, 100), scale="0.1"))
    device = replace(device, points=(*device.points[:3], replace(device.points[3], factor=Decimal(1000))))
    station = driver.station(device)
    assert (await station.write("thing", 21_500)).value == 21_500.0
    assert await node.read_value() == 215
    with pytest.raises(RefusedError, match="from 0 to 100, not to 101"):
        await station.write("thing", 101_000)
    with pytest.raises(RefusedError, match="whole numbers"):
        await station.write("thing", 21_550)
    assert await node.read_value() == 215


@pytest.mark.parametrize(
    ("kind", "held", "value", "said"),
    [
        (ua.VariantType.Int16, 1, 40_000, "holds a Int16"),
        (ua.VariantType.Boolean, False, 2, "holds a Boolean"),
        (ua.VariantType.String, "x", 2, "holds a String"),
        (ua.VariantType.Double, [1.0], 2, "is an array"),
    ],
)
async def test_what_a_node_cannot_hold_is_not_sent(
    driver: OpcuaDriver, ground: OpcuaGround, kind: ua.VariantType, held: object, value: float, said: str
) -> None:
    node = await ground.add(f"ns={ground.index};s=thing", kind, held)
    await node.set_writable()
    station = driver.station(with_measure(ground, measured(writable=(0, 100_000))))
    with pytest.raises(RefusedError, match=said):
        await station.write("thing", value)
    assert await node.read_value() == held


async def test_a_state_in_words_is_written_as_its_word(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    node = await ground.add(f"ns={ground.index};s=thing", ua.VariantType.String, "Off")
    await node.set_writable()
    measure = measured(kind="state", states={"Off": 0, "Auto": 2}, writable=(0, 2))
    assert (await driver.station(with_measure(ground, measure)).write("thing", 2)).value == 2.0
    assert await node.read_value() == "Auto"


async def test_a_refusal_says_the_status_in_words(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    await ground.add(f"ns={ground.index};s=thing", ua.VariantType.Double, 1.0)
    station = driver.station(with_measure(ground, measured(writable=(0, 10))))
    with pytest.raises(RefusedError, match=r"'M\.thing' was not set: .*BadUserAccessDenied"):
        await station.write("thing", 5)
    missing = driver.station(with_measure(ground, measured(writable=(0, 10), namespace="urn:not:here")))
    with pytest.raises(MisconfiguredError, match="no namespace"):
        await missing.write("thing", 5)


async def test_a_value_that_did_not_stay_is_refused(station: OpcuaStation, ground: OpcuaGround) -> None:
    assert ground.server is not None
    node = ua.NodeId.from_string(f"ns={ground.index};s=M.setpoint")
    ground.server.iserver.aspace.set_attribute_value_setter(node, ua.AttributeIds.Value, lambda *_: None)
    with pytest.raises(RefusedError, match=r"was set to 33\.5, but the server holds 21\.5"):
        await station.write(SETPOINT, 33.5)


async def test_a_write_without_an_answer_is_not_repeated(station: OpcuaStation, ground: OpcuaGround) -> None:
    await station.read()
    ground.trouble(Trouble.SILENT)
    with pytest.raises(UnreachableError):
        await station.write(SETPOINT, 33.5)
    asked = ground.asked
    ground.trouble(None)
    await asyncio.sleep(0.05)
    assert ground.asked == asked


async def test_what_has_been_written_is_not_written_again_when_the_session_goes_before_it_is_read_back(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    assert ground.server is not None
    writes = []

    async def close(*_: object) -> None:
        writes.append(1)
        for session in list(ground.server.iserver._external_sessions.values()):  # type: ignore[union-attr]
            await session.close_session(True)

    ground.server.subscribe_server_callback(CallbackType.PostWrite, close)
    assert (await station.write(SETPOINT, 33.5)).value == 33.5
    assert writes == [1]


async def test_a_session_is_taken_up_again_after_a_cut_and_there_is_never_a_second(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    assert ground.server is not None
    await station.read()
    sessions = ground.sessions
    for _ in range(10):
        await ground.shim.cut()
        await again(station)
        assert len(ground.server.iserver._external_sessions) == 1
    assert ground.sessions - sessions <= 10  # this server forgets a session without subscriptions


async def again(station: OpcuaStation) -> list[float | None]:
    for _ in range(3):
        try:
            return await shown(station)
        except UnreachableError:
            continue
    raise AssertionError


async def test_half_open_links_leave_no_row_of_sessions(station: OpcuaStation, ground: OpcuaGround) -> None:
    assert ground.server is not None
    for _ in range(5):
        await again(station)
        ground.trouble(Trouble.SILENT)
        with pytest.raises(UnreachableError):
            await station.read()
        ground.trouble(None)
    await again(station)
    assert len(ground.server.iserver._external_sessions) == 1


async def test_who_is_refused_does_not_knock_at_every_poll(
    driver: OpcuaDriver, ground: OpcuaGround, clock: Clock
) -> None:
    assert ground.server is not None
    ground.server.iserver.supported_tokens = (ua.X509IdentityToken,)
    station = driver.station(ground.device)
    for _ in range(5):
        assert "does not let us in: BadIdentityTokenRejected" in power(await station.read()).error
    assert ground.sessions <= 2
    ground.server.iserver.supported_tokens = (ua.AnonymousIdentityToken,)
    clock.seconds += 31
    assert await shown(station) == VALUES


async def test_the_channel_is_renewed_before_it_ends(station: OpcuaStation, ground: OpcuaGround, clock: Clock) -> None:
    await station.read()
    sessions = ground.sessions
    for _ in range(3):
        clock.seconds += CHANNEL_S
        assert await shown(station) == VALUES
    assert ground.sessions == sessions


async def test_a_session_that_the_server_forgot_is_made_anew_within_one_read(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    assert ground.server is not None
    await station.read()
    for session in list(ground.server.iserver._external_sessions.values()):
        await session.close_session(True)
    assert await shown(station) == VALUES


async def test_a_hundred_restarts_are_survived(station: OpcuaStation, ground: OpcuaGround) -> None:
    for number in range(RESTARTS):
        await ground.stop()
        await ground.start()
        ground.show({GAUGE: float(number)})
        assert (await again(station))[1] == float(number)


async def test_a_server_that_is_down_is_said_to_be(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    station = driver.station(ground.device)
    await ground.stop()
    with pytest.raises(UnreachableError, match="no connection to opc") as caught:
        await station.read()
    assert caught.value.link
    await ground.start()
    assert await shown(station) == VALUES


@pytest.mark.parametrize("url", ["opc.tcp://:4840", "opc.tcp://host:99999", "opc.tcp://[::1"])
async def test_an_address_that_is_none_is_said(url: str, ground: OpcuaGround) -> None:
    assert isinstance(ground.line, OpcuaLine)
    driver = OpcuaDriver(ground.line.model_copy(update={"url": url}), lambda: datetime.now(UTC))
    assert "is no address" in power(await driver.station(ground.device).read()).error
    await driver.close()


async def test_a_server_that_sends_noise_costs_little(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    station = driver.station(ground.device)
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for how in (Trouble.HUGE, Trouble.MALFORMED, Trouble.HALF) * 2:
        ground.trouble(how)  # from the greeting on
        with pytest.raises(DriverError):
            await station.read()
    ground.trouble(None)
    assert await again(station) == VALUES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < HUGE_KB


@pytest.mark.parametrize(
    ("was", "instead", "fault"),
    [
        ("i=1001", "ns=2;i=1001", "write the namespace's URI"),
        ("i=1001", "q=1001", "node"),
        ("i=1001", "s=M.energy", "stands more than once"),
        ("writable = [0, 5000]", "writable = [5, 0]", "from more to less"),
        ("writable = [0, 5000]", "writable = [0, 5]\nindex = 1", "one element of an array"),
        ("writable = [0, 5000]", "states = { On = 1 }", "has states and is no state"),
        ('name = "power"', 'name = "energy"', "more than once"),
        ('title = "Server"', 'title = "Server"\nmax_read = 0', "max_read"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(was: str, instead: str, fault: str) -> None:
    with pytest.raises(InvalidProfileError, match=fault):
        parse(PROFILE.replace(was, instead), "ground-opcua")


async def test_a_server_that_refuses_every_question_costs_no_socket_and_no_session_a_poll(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    assert ground.server is not None
    ground.trouble(Trouble.REFUSING)
    for _ in range(10):
        assert "BadServiceUnsupported" in power(await station.read()).error
        assert len(ground.shim.tasks) <= 2  # one that is going, one that came
    ground.trouble(None)
    assert await shown(station) == VALUES
    assert len(ground.server.iserver._external_sessions) == 1


async def test_a_server_that_chokes_on_an_old_session_is_asked_for_a_new_one(
    station: OpcuaStation, ground: OpcuaGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    await station.read()
    await ground.shim.cut()

    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(WireClient, "resume", never)
        assert await again(station) == VALUES


async def test_a_line_that_is_closed_while_it_opens_leaves_nothing_open(
    driver: OpcuaDriver, ground: OpcuaGround
) -> None:
    station = driver.station(ground.device)
    for wait_s in (0.0, 0.001, 0.003, 0.01, 0.02):
        asking = asyncio.create_task(station.read())
        await asyncio.sleep(wait_s)
        await driver.close()
        await asyncio.wait({asking})
        assert asking.exception() is None or isinstance(asking.exception(), UnreachableError)
        await driver.close()
    await asyncio.sleep(0.05)
    assert ground.shim.tasks == set()


def test_a_password_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="url"):
        OpcuaLine(driver="opcua", code="L", gateway="G", url="opc.tcp://user:word@host:4840", poll_s=1)


async def test_the_health_of_any_server_can_be_read(driver: OpcuaDriver, ground: OpcuaGround) -> None:
    assert ground.server is not None
    profile = load("opcua-server-health")
    assert isinstance(profile, OpcuaProfile)
    for number, measure in enumerate(profile.measure[2:]):  # this library's server counts nothing by itself
        node = ua.NodeId(int(measure.node.removeprefix("i=")))
        found = copy.deepcopy(ground.server.iserver.aspace._nodes[node])  # the standard's own are shared
        ground.server.iserver.aspace._nodes[node] = found
        shown = ua.DataValue(ua.Variant(number, ua.VariantType.UInt32))
        found.attributes[ua.AttributeIds.Value] = AttributeValue(shown)
    points = tuple(
        Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in profile.measures
    )
    readings = await driver.station(replace(ground.device, profile=profile, points=points)).read()
    assert [reading.value for reading in readings] == [0.0, 255.0, *map(float, range(7))]
