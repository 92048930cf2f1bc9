"""A poll in columns says what its readings say one by one: in the driver, and as news."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from drivers.driver import Asked, Device
from drivers.modbus.answer import Answer
from drivers.modbus.blocks import Request
from drivers.modbus.decode import Decoder
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Encoding, Table
from drivers.modbus.station import ModbusStation
from edge_agent.change import HEARTBEAT, News
from rules.model.point import Kind, Point
from rules.model.poll import Poll
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = (Kind.GAUGE, Kind.STATE, Kind.COUNTER)
VALUES = st.none() | st.integers(-4, 4).map(lambda n: n / 4) | st.floats(allow_nan=False, allow_infinity=False)


def poll_of(at: datetime, values: Sequence[float | None]) -> Poll:
    codes = tuple(f"D.m{n}" for n in range(len(values)))
    errors = {place: "broken" for place, value in enumerate(values) if value is None}
    raws = [() if value is None else (place,) for place, value in enumerate(values)]
    return Poll(codes, at, values, raws, errors)


def one_by_one(poll: Poll) -> list[Reading]:
    good = {False: Quality.GOOD, True: Quality.BAD}
    return [
        Reading(code, poll.at, value, good[value is None], poll.raws[place], "broken" if value is None else "")
        for place, (code, value) in enumerate(zip(poll.codes, poll.values, strict=True))
    ]


@given(st.lists(VALUES, max_size=6), st.data())
def test_a_poll_gives_all_its_readings_or_those_that_are_chosen(
    values: list[float | None], data: st.DataObject
) -> None:
    poll = poll_of(START, values)
    readings = one_by_one(poll)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    assert list(poll) == readings
    assert [type(reading) for reading in poll] == [Reading] * len(values)
    assert poll.some(chosen) == [reading for reading, asked in zip(readings, chosen, strict=True) if asked]
    assert poll.troubles == {reading.point: reading.error for reading in readings if reading.error}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Point], list[tuple[int, list[float | None], str]]]:
    """Points, and polls of them: seconds since the last, values, and what became of what was news."""
    count = draw(st.integers(1, 5))
    points = [
        Point(f"D.m{n}", "D", f"m{n}", draw(st.sampled_from(KINDS)), "", Decimal(1), Decimal(1000),
              draw(st.sampled_from([0.0, 0.25, 0.5, 1e-300])))
        for n in range(count)
    ]  # fmt: skip
    steady = st.integers(-2, 2).map(lambda n: n / 4)
    row = st.lists(steady, min_size=count, max_size=count) | st.lists(VALUES, min_size=count, max_size=count)
    fate = st.sampled_from(["kept", "kept", "kept", "refused", "lost"])
    return points, draw(st.lists(st.tuples(st.integers(1, 40), row, fate), max_size=12))


@given(histories())
def test_a_poll_in_columns_is_the_news_that_its_readings_are(
    history: tuple[list[Point], list[tuple[int, list[float | None], str]]],
) -> None:
    points, polls = history
    at_once, singly, at = News(points), News(points), START
    for after_s, values, fate in polls:
        at += timedelta(seconds=after_s)
        poll = poll_of(at, values)
        fresh = at_once.of(poll)
        assert fresh == singly.of(one_by_one(poll))
        for news in (at_once, singly):
            if fate == "refused":
                news.forget(fresh)
            elif fate == "lost":
                news.note([Reading(point.code, at, None, Quality.BAD) for point in points])


def test_the_smallest_move_is_one_and_the_heartbeat_is_to_the_microsecond() -> None:
    news = News([Point("D.m0", "D", "m0", Kind.STATE, "", Decimal(1))])
    assert [len(news.of(poll_of(START, [value]))) for value in (0.0, -0.0, 5e-324, 5e-324, 0.0)] == [1, 0, 1, 0, 1]
    assert news.of(poll_of(START + HEARTBEAT - timedelta(microseconds=1), [0.0])) == []
    assert len(news.of(poll_of(START + HEARTBEAT, [0.0]))) == 1


class Registers:
    """Stands where a line does; some spans fail."""

    connections = 1

    def __init__(self, words: Sequence[int], broken: set[int]) -> None:
        self.words, self.broken = words, broken

    def now(self) -> datetime:
        return START

    async def ask(self, request: Request) -> Answer:
        failed = {span: "gone" for span in request.spans if span.start in self.broken}
        return Answer(request, tuple(self.words[request.start : request.start + request.count]), failed)

    async def write(self, unit: int, table: Table, address: int, words: tuple[int, ...]) -> None:
        raise NotImplementedError


SCALES = [Decimal(text) for text in ("1", "1", "0.1", "1000", "0.3")]


@given(st.data())
def test_a_station_gives_its_points_in_their_order_whatever_the_order_of_its_registers(data: st.DataObject) -> None:
    encodings = data.draw(st.lists(st.sampled_from(list(Encoding)), min_size=1, max_size=10))
    measures, address = [], 0
    for number, encoding in enumerate(encodings):
        scale = data.draw(st.sampled_from(SCALES))
        one = {"name": f"m{number}", "kind": "gauge", "unit": "", "address": address, "encoding": encoding.value}
        measures.append({**one, "scale": scale, "resolution": Decimal("0.001")})
        address += encoding.words
    order = data.draw(st.permutations(measures))
    profile = ModbusProfile.model_validate({"code": "x", "title": "X", "table": "holding", "measure": order})
    points = tuple(Asked(Point(f"D.{m.name}", "D", m.name, m.kind, "", m.step), m.name) for m in profile.measure)
    word = st.sampled_from([0, 1, 0x7FFF, 0x7F80, 0x7FC0, 0x8000, 0xFFFF]) | st.integers(0, 0xFFFF)
    words = data.draw(st.lists(word, min_size=address, max_size=address))
    broken = data.draw(st.sets(st.integers(0, address), max_size=2))
    station = ModbusStation(Registers(words, broken), Device("D", "1", profile, points), profile)
    expected = []
    for asked, measure in zip(points, profile.measure, strict=True):
        register = profile.register(measure)
        raw = tuple(words[register.address : register.address + register.encoding.words])
        gone = register.address in broken
        value, error = (None, "gone") if gone else Decoder(register)(raw)
        quality = Quality.BAD if value is None else Quality.GOOD
        expected.append(Reading(asked.point.code, START, value, quality, () if gone else raw, error))
    assert repr(asyncio.run(station.read())) == repr(expected)
