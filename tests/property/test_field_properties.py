"""Decoding, planning, the spool's numbers and the window, for any input."""

import struct
import tempfile
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.errors import RefusedError
from drivers.modbus.answer import Answer
from drivers.modbus.batch import BlockDecoder
from drivers.modbus.blocks import Block, Span, blocks
from drivers.modbus.decode import Decoder, encode
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Encoding, Order, Register, Table
from drivers.number import Decoded, Scale, scaled
from edge_agent.change import HEARTBEAT, News
from edge_agent.frame import Frame
from edge_agent.packing import pack, unpack
from edge_agent.spool import Spool
from edge_agent.window import WINDOW_FRAMES, Window
from rules.model.point import Kind, Point
from rules.model.quality import Quality
from rules.model.reading import Reading, exact

PACK = {
    Encoding.UINT16: ">H",
    Encoding.INT16: ">h",
    Encoding.UINT32: ">I",
    Encoding.INT32: ">i",
    Encoding.UINT64: ">Q",
    Encoding.INT64: ">q",
}


def decode(register: Register, words: tuple[int, ...]) -> Decoded:
    return Decoded(*Decoder(register)(words))


@given(
    st.integers(-(2**64), 2**64) | st.floats(),
    st.decimals(Decimal("0.000001"), Decimal(100000), allow_nan=False, places=6)
    | st.integers(-25, 25).map(Decimal(1).scaleb),
)
def test_the_fast_way_to_scale_gives_what_the_decimal_way_gives(number: float, scale: Decimal) -> None:
    if scale:
        fast, slow = Decoded(*Scale(scale).value(number)), scaled(number, scale)
        assert fast == slow


def words_of(data: bytes, order: Order) -> tuple[int, ...]:
    """Write big-endian bytes as a device with this order would."""
    pairs = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in (Order.CDAB, Order.DCBA):
        pairs.reverse()
    if order in (Order.BADC, Order.DCBA):
        pairs = [pair[::-1] for pair in pairs]
    return tuple(pair[0] * 256 + pair[1] for pair in pairs)


@given(st.sampled_from(list(PACK)), st.sampled_from(list(Order)), st.data())
def test_any_integer_in_any_order_is_read_back(encoding: Encoding, order: Order, data: st.DataObject) -> None:
    bits = 16 * encoding.words
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if encoding.value[0] == "i" else (0, (1 << bits) - 1)
    number = data.draw(st.integers(low, high))
    words = words_of(struct.pack(PACK[encoding], number), order)
    assert decode(Register(Table.HOLDING, 0, encoding, order), words).value == float(number)


@given(st.sampled_from([Encoding.UINT16, Encoding.INT16, Encoding.UINT32, Encoding.INT32]),
       st.sampled_from(list(Order)), st.integers(0, 3), st.data())  # fmt: skip
def test_what_is_written_is_what_is_read(encoding: Encoding, order: Order, digits: int, data: st.DataObject) -> None:
    register = Register(Table.HOLDING, 0, encoding, order, Decimal(1).scaleb(-digits))
    bits = 16 * encoding.words
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if encoding.value[0] == "i" else (0, (1 << bits) - 1)
    value = data.draw(st.integers(low, high)) * register.scale
    assert decode(register, encode(register, value)).value == float(value)
    with pytest.raises(RefusedError, match="does not fit"):
        encode(register, (high + 1) * register.scale)


@given(st.integers(0, 2**32 - 2), st.integers(0, 4))
def test_a_counter_shows_every_digit_of_its_face(raw: int, digits: int) -> None:
    scale = Decimal(1).scaleb(-digits)
    register = Register(Table.HOLDING, 0, Encoding.UINT32, scale=scale)
    value = decode(register, words_of(struct.pack(">I", raw), Order.ABCD)).value
    assert value is not None
    assert value == float(f"{raw}e-{digits}")
    assert exact(value, scale) == raw * scale


@given(st.floats(width=32), st.sampled_from(list(Order)))
def test_a_float_is_itself_or_missing_and_never_zero_instead(number: float, order: Order) -> None:
    decoded = decode(Register(Table.INPUT, 0, Encoding.FLOAT32, order), words_of(struct.pack(">f", number), order))
    if number - number == 0:
        assert decoded.value == number
    else:
        assert decoded.value is None
        assert decoded.error


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(list(Order)))
def test_not_available_is_compared_before_scaling(raw: int, order: Order) -> None:
    register = Register(Table.HOLDING, 0, Encoding.INT32, order, Decimal("0.001"), missing=(raw,))
    decoded = decode(register, words_of(struct.pack(">I", raw), order))
    assert decoded.value is None
    assert "not available" in decoded.error


@given(st.lists(st.integers(0, 0xFFFF), max_size=5), st.sampled_from(list(Encoding)))
def test_a_wrong_number_of_registers_is_an_error_not_a_value(words: list[int], encoding: Encoding) -> None:
    decoded = decode(Register(Table.HOLDING, 0, encoding), tuple(words))
    assert (decoded.value is None) or len(words) == encoding.words


@st.composite
def profiles(draw: st.DrawFn) -> ModbusProfile:
    holes: list[tuple[int, int]] = []
    measures: list[dict[str, object]] = []
    address = draw(st.integers(0, 50))
    for i in range(draw(st.integers(1, 40))):
        encoding = draw(st.sampled_from([Encoding.UINT16, Encoding.INT32, Encoding.UINT64, Encoding.BITS]))
        gap = draw(st.integers(0, 30))
        if gap and draw(st.booleans()):
            holes.append((address, address + gap - 1))
        address += gap
        measures.append({"name": f"m{i}", "kind": "gauge", "unit": "", "address": address, "encoding": encoding.value})
        address += encoding.words
    return ModbusProfile.model_validate(
        {
            "code": "x",
            "title": "X",
            "table": "holding",
            "max_gap": draw(st.integers(0, 20)),
            "max_block": draw(st.integers(4, 100)),
            "holes": holes,
            "measure": draw(st.permutations(measures)),
        }
    )


def planned(profile: ModbusProfile) -> tuple[list[Register], tuple[Block, ...]]:
    registers = [profile.register(measure) for measure in profile.measure]
    return registers, blocks(1, profile, registers)


@given(profiles())
def test_a_plan_covers_every_point_once_within_the_limits(profile: ModbusProfile) -> None:
    registers, plan = planned(profile)
    assert sorted(number for block in plan for _, fed in block.fed for number in fed) == list(range(len(registers)))
    for block in plan:
        request = block.request
        end = request.start + request.count
        assert request.count <= profile.max_block
        assert request.spans == tuple(span for span, _ in block.fed)
        assert not any(first < end and last >= request.start for first, last in profile.holes)
        for left, right in pairwise(request.spans):
            assert 0 <= right.start - left.end <= profile.max_gap
        for span, fed in block.fed:
            assert all(span == Span(registers[n].address, registers[n].encoding.words) for n in fed)


@given(profiles())
def test_no_two_neighbouring_blocks_of_a_plan_could_be_one(profile: ModbusProfile) -> None:
    _, plan = planned(profile)
    for left, right in pairwise(plan):
        first, end = left.request.spans[-1], right.request.spans[0]
        assert (
            end.end - left.request.start > profile.max_block
            or end.start - first.end > profile.max_gap
            or any(low < end.start and high >= first.end for low, high in profile.holes)
        )


START = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("commit"), st.integers(0, 40)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_spool_numbers_are_contiguous_whatever_happens(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        spool, appended, committed = Spool(path, max_mb=4), 0, 0
        try:
            for step, number in steps:
                if step == "append":
                    at = START + timedelta(seconds=appended)
                    reading = Reading("D.m", at, float(appended), Quality.GOOD)
                    spool.append([Frame("D", (reading,))] * number)
                    appended += number
                elif step == "commit":
                    spool.commit(number)
                    committed = max(committed, min(number, appended))
                else:
                    spool.close()
                    spool = Spool(path, max_mb=4)
                assert [f.number for f in spool.pending(0, 1000)] == list(range(committed + 1, appended + 1))
                assert spool.depth() == appended - committed
        finally:
            spool.close()


TURNS_A_LOSS = 31  # of 0.1 s each: what the sender waits before it sends again


@given(st.lists(st.sampled_from(["lost", "ok", "ok", "late", "deaf"]), max_size=300), st.integers(1, 200))
def test_go_back_n_delivers_everything_in_order_over_any_bad_link(fates: list[str], total: int) -> None:
    """A hub that takes only the next number, a link that loses frames and acknowledgements."""
    window, now_s, hub = Window(0, 0.0), 0.0, 0
    coming = deque(fates)
    acknowledgements: deque[int] = deque()
    for _ in range(total * 4 + TURNS_A_LOSS * len(fates) + 100):
        now_s += 0.1
        assert window.committed <= hub <= total
        assert window.sent - window.committed <= WINDOW_FRAMES
        if window.due_in_s(now_s) <= 0:
            window.rewind(probe=True)
        for number in range(window.sent + 1, min(total, window.sent + window.room()) + 1):
            window.note_sent(number, now_s)
            fate = coming.popleft() if coming else "ok"
            if fate != "lost" and number == hub + 1:
                hub = number
            if fate in ("ok", "late"):
                acknowledgements.append(hub)
        if acknowledgements:
            window.note_committed(acknowledgements.popleft(), now_s)
        if window.committed == total:
            break
    else:
        now_s += 1000
    assert hub == total


MOMENTS = st.integers(0, 10**12).map(lambda ms: START + timedelta(milliseconds=ms))
FIGURES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
READINGS = st.tuples(st.sampled_from(["D.a", "D.b", "D.c_1"]), MOMENTS, FIGURES, st.sampled_from(Quality)).map(
    lambda row: Reading(*row)
)


@given(st.lists(READINGS, max_size=8))
def test_what_is_packed_for_the_spool_comes_out_again_to_the_last_bit(readings: list[Reading]) -> None:
    assert list(unpack("D", pack("D", readings))) == readings


def test_a_value_that_is_no_number_is_not_packed_and_rows_of_older_spools_are_read() -> None:
    with pytest.raises(ValueError, match="no number"):
        pack("D", [Reading("D.a", START, float("inf"), Quality.GOOD)])
    old = f'[["a",{int(START.timestamp() * 1000)},0.1,192],["b",{int(START.timestamp() * 1000)},null,0]]'
    assert list(unpack("D", old)) == [
        Reading("D.a", START, 0.1, Quality.GOOD),
        Reading("D.b", START, None, Quality.BAD),
    ]
    for none_of_ours in ("{}", '{"m":[],"at":0,"v":"AAA=","q":0}', "nonsense"):
        with pytest.raises(ValueError, match=r"."):
            list(unpack("D", none_of_ours))


@st.composite
def reading_profiles(draw: st.DrawFn) -> ModbusProfile:
    """Any mixture of encodings, orders, scales and 'missing' patterns side by side."""
    measures: list[dict[str, object]] = []
    address = 0
    for i in range(draw(st.integers(1, 12))):
        encoding = draw(st.sampled_from(list(Encoding)))
        one = {
            "name": f"m{i}", "kind": "gauge", "unit": "", "address": address, "encoding": encoding.value,
            "order": draw(st.sampled_from(list(Order))).value, "resolution": Decimal("0.001"),
            "scale": draw(st.sampled_from([Decimal(s) for s in ("1", "0.1", "0.01", "0.001", "5", "1000", "0.3")])),
            "missing": draw(st.sampled_from([(), (0,), (0x7FFF,)])),
        }  # fmt: skip
        if encoding is Encoding.BITS and draw(st.booleans()):
            one["bit"] = draw(st.integers(0, 15))
        measures.append(one)
        address += encoding.words + draw(st.integers(0, 2))
    return ModbusProfile.model_validate({"code": "x", "title": "X", "table": "holding", "measure": measures})


@given(reading_profiles(), st.data())
def test_a_block_read_at_once_gives_what_its_registers_give_one_by_one(
    profile: ModbusProfile, data: st.DataObject
) -> None:
    registers, plan = planned(profile)
    decoders = [Decoder(register) for register in registers]
    for block in plan:
        count = block.request.count
        word = st.sampled_from([0, 1, 0x7FFF, 0x7FC0, 0x8000, 0xFFFF, 0x1234]) | st.integers(0, 0xFFFF)
        words = tuple(data.draw(st.lists(word, min_size=count, max_size=count)))
        failed = {span: "gone" for span in block.request.spans if data.draw(st.integers(0, 9)) == 0}
        answer, decoder = Answer(block.request, words, failed), BlockDecoder(block, registers, decoders)
        values, raws, errors = decoder(answer)
        one_by_one = [(number, answer.raw(span)) for span, fed in block.fed for number in fed]
        for place, (number, raw) in enumerate(one_by_one):
            value, error = (None, raw.error) if raw.words is None else decoders[number](raw.words)
            assert (decoder.numbers[place], raws[place]) == (number, raw.words or ())
            assert (repr(values[place]), errors.get(place, "")) == (repr(value), error)


SAID = st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 40).map(lambda n: n / 10), st.sampled_from(Quality))
CHANGES = st.lists(st.lists(SAID, max_size=4), max_size=12)


@given(CHANGES, st.integers(1, 40))
def test_what_is_news_of_a_poll_is_what_its_rule_says_of_each_reading(
    polls: list[list[tuple[str, float | None, Quality]]], every_s: int
) -> None:
    points = [
        Point("D.a", "D", "a", Kind.GAUGE, "", Decimal(1), deadband=0.5),
        Point("D.b", "D", "b", Kind.STATE, "", Decimal(1)),
        Point("D.c", "D", "c", Kind.COUNTER, "", Decimal(1), Decimal(1000)),
    ]
    news, last = News(points), dict[str, Reading]()
    for number, poll in enumerate(polls):
        at = START + timedelta(seconds=number * every_s)
        readings = [Reading(f"D.{name}", at, value, quality) for name, value, quality in poll]
        due = []
        for reading in readings:
            if goes(next(p for p in points if p.code == reading.point), last.get(reading.point), reading):
                last[reading.point] = reading
                due.append(reading)
        assert news.of(readings) == due


def goes(point: Point, last: Reading | None, reading: Reading) -> bool:
    """The rule of ``News``, for one reading."""
    if point.kind is Kind.COUNTER or last is None or reading.quality is not last.quality:
        return True
    if reading.at - last.at >= HEARTBEAT:
        return True
    if reading.value is None or last.value is None:
        return reading.value is not last.value
    moved = abs(reading.value - last.value)
    return moved > 0 and moved >= point.deadband
