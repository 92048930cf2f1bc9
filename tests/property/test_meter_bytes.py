"""Whatever bytes a meter sends: a value, or one of our errors, in bounded work."""

import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cjt188 import frame as cjt188
from drivers.cjt188.fields import HEAT, VOLUMES
from drivers.cjt188.fields import decode as field_of
from drivers.dlt645 import frame as dlt645
from drivers.dlt645.decode import decode as value_of
from drivers.dlt645.decode import piece
from drivers.dlt645.profile import Dlt645Measure
from drivers.errors import MalformedError
from drivers.mbus import frame as mbus
from drivers.mbus.records import RECORDS_MAX
from drivers.mbus.records import decode as records_of
from drivers.octets import number

DIGITS = st.text("0123456789", min_size=12, max_size=12)
NOISE = st.binary(max_size=60).filter(lambda data: b"\x68" not in data)
TAKES = [dlt645.take, cjt188.take, mbus.take_long, mbus.take_ack]


def packed(value: int, octets: int) -> bytes:
    return bytes.fromhex(str(value).zfill(2 * octets))[::-1]


@given(DIGITS, st.integers(0, 255), st.binary(max_size=200), NOISE, st.binary(max_size=40))
def test_any_dlt645_frame_is_found_again_behind_noise(
    address: str, control: int, data: bytes, noise: bytes, after: bytes
) -> None:
    frame = dlt645.Frame(address, control, data)
    taken = dlt645.take(noise + dlt645.encode(frame) + after)
    assert taken.frame == frame
    assert taken.used == len(noise + dlt645.encode(frame))


@given(st.integers(0x10, 0x39), DIGITS, st.integers(0, 255), st.binary(max_size=100), NOISE)
def test_any_cjt188_frame_is_found_again_behind_noise(
    kind: int, address: str, control: int, data: bytes, noise: bytes
) -> None:
    frame = cjt188.Frame(kind, "99" + address, control, data)
    assert cjt188.take(noise + cjt188.encode(frame)).frame == frame


@pytest.mark.parametrize("take", TAKES)
@given(st.binary(max_size=600))
def test_any_bytes_are_a_frame_or_none(take: object, data: bytes) -> None:
    taken = take(data)  # type: ignore[operator]
    assert 0 <= taken.used <= len(data)


@pytest.mark.parametrize("take", TAKES)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=20))
def test_bytes_in_pieces_give_what_they_give_at_once(take: object, pieces: list[bytes]) -> None:
    buffer, frames = b"", []
    for more in pieces:
        buffer += more
        while (taken := take(buffer)).frame is not None:  # type: ignore[operator]
            frames.append(taken.frame)
            buffer = buffer[taken.used :]
        buffer = buffer[taken.used :]
    assert len(frames) <= sum(map(len, pieces))
    assert len(buffer) <= 300


@given(st.integers(1, 8), st.integers(0, 10**16 - 1), st.integers(0, 4), st.booleans(), st.integers(0, 3))
def test_any_value_of_a_meter_is_read_exactly(
    octets: int, value: int, decimals: int, negative: object, place: int
) -> None:
    decimals = min(decimals, 2 * octets)
    value %= 8 * 10 ** (2 * octets - 1) if negative else 10 ** (2 * octets)
    measure = Dlt645Measure.model_validate(
        {"name": "x", "kind": "gauge", "unit": "kW", "identifier": "02030000", "digits": 2 * octets,
         "decimals": decimals, "signed": bool(negative), "place": place}
    )  # fmt: skip
    data = bytearray(packed(value, octets))
    data[-1] |= 0x80 if negative else 0
    block = bytes(place * octets) + bytes(data)
    decoded = value_of(measure, piece(measure, block))
    assert decoded.value == float(Decimal(-value if negative else value).scaleb(-decimals))


@given(st.binary(max_size=60), st.sampled_from(sorted(HEAT.items()) + sorted(VOLUMES.items())), st.booleans())
def test_any_field_is_a_number_or_a_reason(data: bytes, field: tuple[str, object], first: object) -> None:
    decoded = field_of(field[1], data, "m³", unit_first=bool(first))  # type: ignore[arg-type]
    assert (decoded.value is None) == bool(decoded.error)


@given(st.binary(max_size=252))
def test_any_records_are_values_with_reasons_or_malformed(data: bytes) -> None:
    try:
        told = records_of(data)
    except MalformedError:
        return
    assert len(told.records) <= RECORDS_MAX
    for record in told.records:
        decoded = record.value()
        assert (decoded.value is None) == bool(decoded.error)


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0x28, 0x2F))
def test_any_whole_number_of_a_record_is_read_exactly(value: int, vif: int) -> None:
    (record,) = records_of(bytes([0x04, vif]) + value.to_bytes(4, "little", signed=True)).records
    assert record.value().value == float(Decimal(value).scaleb(vif - 0x28 - 3))


@given(st.integers(0, 10**7 - 1), st.booleans())
def test_packed_digits_are_read_with_their_sign(value: int, negative: object) -> None:
    data = bytearray(packed(value, 4))
    data[-1] |= 0xF0 if negative else 0
    assert number(bytes(data), negatives=True) == (-value if negative else value)
    assert (number(bytes(data)) is None) == bool(negative)


@given(st.text(string.hexdigits[:10] + "F", min_size=16, max_size=16))
def test_a_secondary_address_matches_itself_and_all_wildcards(secondary: str) -> None:
    header = mbus.secondary_bytes(secondary)
    assert mbus.matches(secondary, header)
    assert mbus.matches("F" * 16, header)
    assert mbus.select(secondary)[7:15] == header
