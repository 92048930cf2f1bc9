"""Files of history as people have them: what is read, what is refused, and how the sentence says it."""

import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from hub.errors import InvalidError
from hub.readings import history_cells
from hub.readings.history import Found, Target, read, twice
from hub.readings.history_values import CellError, Clock, number

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
ENERGY = Target(1, "EM-1.energy", "counter", "kWh", Decimal(10_000))
POWER = Target(2, "EM-1.power", "gauge", "kW", None)
TEMPERATURE = Target(3, "T-1.temp", "gauge", "°C", None)
TARGETS = {one.code: one for one in (ENERGY, POWER, TEMPERATURE)}
HEAD = "point,at,value\n"


def found(text: str | bytes, zone: ZoneInfo = SHANGHAI) -> Found:
    body = text.encode() if isinstance(text, str) else text
    return read(body, "PARK", zone, TARGETS, NOW)


def readings(one: Found) -> list[tuple[int, str, float]]:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    ats = [(start + (start.replace(microsecond=1) - start) * us).isoformat()[:16] for us in one.at]
    return list(zip(one.point, ats, one.value, strict=True))


def sentences(one: Found) -> list[str]:
    return [f"{fault.row}: {fault.sentence}" for fault in one.faults]


def book(rows: list[list[object]]) -> bytes:
    made = Workbook()
    for row in rows:
        made.active.append(row)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def test_a_naive_time_is_the_sites_and_an_offset_counts() -> None:
    one = found(f"{HEAD}EM-1.energy,2026-01-02 00:15,5\nEM-1.energy,2026-01-02T00:15:00+00:00,6\n")
    assert readings(one) == [(1, "2026-01-01T16:15", 5.0), (1, "2026-01-02T00:15", 6.0)]
    assert sentences(one) == []


@pytest.mark.parametrize("encoding", ["gbk", "utf-8", "utf-8-sig", "utf-16"])
def test_chinese_heads_in_every_usual_encoding(encoding: str) -> None:
    text = "测点;采集时间;数值;质量\r\nEM-1.power;2026/1/2 0:15;-1,5;\r\nEM-1.power;2026年1月3日 1:00;2,5;uncertain\r\n"
    one = found(text.encode(encoding))
    assert readings(one) == [(2, "2026-01-01T16:15", -1.5), (2, "2026-01-02T17:00", 2.5)]
    assert list(one.quality) == [192, 64]


def test_wide_files_have_a_column_for_each_point_and_units_are_converted() -> None:
    one = found(
        "time,EM-1.energy [MWh],EM-1.power,T-1.temp,NO.such\nunit,MWh,W,degF,\n"
        "2026-01-02 00:15,1.1,1500,212,1\n2026-01-02 00:30,,,32,\n"
    )
    assert readings(one) == [
        (1, "2026-01-01T16:15", 1100.0), (2, "2026-01-01T16:15", 1.5), (3, "2026-01-01T16:15", 100.0),
        (3, "2026-01-01T16:30", 0.0),
    ]  # fmt: skip
    assert sentences(one) == ["1: There is no such point 'NO.such' at PARK. Its column is left out."]


@pytest.mark.parametrize(("row", "said"), [
    ("X.y,2026-01-02 00:15,1", "There is no such point 'X.y' at PARK."),
    (",2026-01-02 00:15,1", "It names no point."),
    ("EM-1.energy,,1", "It has no time"),
    ("EM-1.energy,2026-01-02 00:15,", "It has no value."),
    ("EM-1.energy,2026-01-02 00:15,NaN", "'NaN' is no value"),
    ("EM-1.energy,2026-01-02 00:15,1e999", "inf is no value"),
    ("EM-1.energy,2026-01-02 00:15,=1+1", "'=1+1' is a formula"),
    ("EM-1.energy,2026-01-02 00:15,-1", "not on the face"),
    ("EM-1.energy,2026-01-02 00:15,10000", "not on the face"),
    ("EM-1.power,2026-01-02 00:15,1e16", "larger than any meter"),
    ('EM-1.power,2026-01-02 00:15,"1,234"', "can be read in two ways; write it like 1234.5"),
    ("EM-1.power,2026-01-02 00:15,abc", "'abc' is not a number."),
    ("EM-1.power,01/02/2026 00:15,1", "can be read in two ways; write it like 2026-01-31 00:15."),
    ("EM-1.power,yesterday,1", "'yesterday' is no time"),
    ("EM-1.power,0001-01-01 00:00,1", "1 is no year of a reading"),
    ("EM-1.power,1999-12-31,1", "lies before the year 2000"),
    ("EM-1.power,2099-01-01 00:00,1", "lies in the future"),
    ("EM-1.power,9999-12-31T23:59:59-14:00,1", "9999 is no year of a reading"),
    ("EM-1.power,45000,1", "'45000' is no time"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_row_by_row(row: str, said: str) -> None:
    one = found(f"{HEAD}EM-1.power,2026-01-02 00:00,1\n{row}\n")
    assert (len(one.row), one.refused) == (1, 1)
    assert sentences(one)[0].startswith("3: ")
    assert said in sentences(one)[0]


def test_units_and_qualities_that_do_not_fit_are_refused() -> None:
    one = found(
        "point,at,value,unit,quality\nEM-1.power,2026-01-02,1,kWh,\nEM-1.power,2026-01-02,1,florins,\n"
        "EM-1.power,2026-01-02,1,kW,fine\nEM-1.power,2026-01-02,,kW,bad\n"
    )
    assert sentences(one) == [
        "2: 'kWh' cannot stand for kW.", "3: 'florins' is not a unit; write it like kWh, m³, °C, kW or %.",
        "4: 'fine' is no quality; write good, uncertain, bad or stale, or leave it empty.",
    ]  # fmt: skip
    assert (list(one.quality), str(one.value[0])) == ([0], "nan")


def test_times_that_the_clocks_skip_or_show_twice_are_refused() -> None:
    one = found(
        f"{HEAD}EM-1.power,2026-03-29 02:30,1\nEM-1.power,2026-10-25 02:30,1\nEM-1.power,2026-10-25 02:30+01:00,1\n",
        BERLIN,
    )
    assert sentences(one) == [
        "2: 2026-03-29 02:30:00 does not exist in Europe/Berlin: the clocks go forward then; give it an offset.",
        "3: 2026-10-25 02:30:00 comes twice in Europe/Berlin: the clocks go back then; give it an offset.",
    ]  # fmt: skip
    assert readings(one) == [(2, "2026-10-25T01:30", 1.0)]


def test_decimal_commas_are_decided_for_the_whole_file() -> None:
    one = found("point;at;value\nEM-1.power;02.01.2026 00:15;1.234\nEM-1.power;02.01.2026 00:30;1.234,5\n")
    assert readings(one) == [(2, "2026-01-01T16:30", 1234.5)]
    assert "two ways among numbers with a decimal comma" in sentences(one)[0]
    with pytest.raises(CellError):
        number("1,5", decimal_comma=False)


def test_spreadsheets_have_dates_serials_merged_cells_and_formulas() -> None:
    rows: list[list[object]] = [
        ["point", "at", "value"], ["EM-1.power", datetime(2026, 1, 2, 0, 15), 1.5],  # noqa: DTZ001 - as a sheet has it
        ["EM-1.power", 46024.0104166667, 2], ["EM-1.power", None, 3], ["EM-1.power", "2026-01-02 01:00", "=1+1"],
    ]  # fmt: skip
    one = found(book(rows))
    assert readings(one) == [(2, "2026-01-01T16:15", 1.5), (2, "2026-01-01T16:15", 2.0)]
    assert [text[:22] for text in sentences(one)] == ["4: It has no time; whe", "5: '=1+1' is a formula"]


def test_the_same_moment_twice_is_found() -> None:
    one = found(
        HEAD + "EM-1.power,2026-01-02 00:15,1\nEM-1.power,2026-01-02 00:00,1\n" + "EM-1.power,2026-01-02 00:15,2\n" * 2
    )
    assert list(twice(one)) == [(0, 2), (0, 3)]


@pytest.mark.parametrize(("body", "said"), [
    (b"", "holds no readings"), (b"\n\n;;\n", "holds no readings"), (b"point,at,value\n", "holds no readings"),
    (b"a,b,c\n1,2,3\n", "must name its columns"), (b"\xd0\xcf\x11\xe0" + bytes(600), "older spreadsheet"),
    (b"PK\x03\x04" + bytes(300), "cannot be read"), (bytes(300), "neither a spreadsheet"),
    (b"\xff" * 99, "neither a spreadsheet"),
    (b'point,at,value\n"' + b"x" * 200_000, "cannot be read from row"), (b"at" + b",x" * 300, "at most 250 columns"),
])  # fmt: skip
def test_a_file_that_is_no_history_is_refused_whole(body: bytes, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        found(body)


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused_unread() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in range(5):
            packed.writestr(f"xl/worksheets/sheet{name}.xml", bytes(90_000_000))
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(InvalidError, match="unpacks to more"):
        found(file.getvalue())


def rewritten(part: str, change: Callable[[bytes], bytes]) -> bytes:
    """A spreadsheet one part of which is changed."""
    whole, out = book([["point", "at", "value"], ["EM-1.power", "2026-01-02 00:15", 1]]), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as taken, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for one in taken.infolist():
            body = taken.read(one)
            made.writestr(one.filename, change(body) if one.filename == part else body)
    return out.getvalue()


FOREIGN = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 20) for n in range(8)
)


@pytest.mark.parametrize(("change", "said"), [
    (lambda text: ENTITIES + b"]>" + text.replace(b"<v>1</v>", b"<v>&i;</v>"), "cannot be read"),
    (lambda text: FOREIGN + text.replace(b"<v>1<", b"<v>&e;<"), "cannot be read"),
    (lambda text: text.replace(b'r="C2"', b'r="XFD2"'), "at most 250 columns"),
    (lambda text: text.replace(b'r="C2"', b'r="ZZZZZZZZZ2"'), "cannot be read"),
    (lambda text: text.replace(b'<row r="2"', b'<row r="99999999999"'), "rows; cut it"),
    (lambda text: text[: len(text) // 2], "cannot be read"),
])  # fmt: skip
def test_a_hostile_spreadsheet_is_refused(
    change: Callable[[bytes], bytes], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_cells, "ROWS_MAX", 1_000)
    with pytest.raises(InvalidError, match=said):
        found(rewritten("xl/worksheets/sheet1.xml", change))


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"point,at,value\n", b"at;EM-1.power\n", b"PK\x03\x04", b"\xff\xfe"])
)
def test_no_bytes_break_it(body: bytes, head: bytes) -> None:
    with suppress(InvalidError):
        found(head + body)


def test_too_many_rows_and_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_cells, "ROWS_MAX", 3)
    with pytest.raises(InvalidError, match="at most 1000000 rows"):
        found(HEAD + "EM-1.power,2026-01-02 00:15,1\n" * 4)
    monkeypatch.setattr(history_cells, "FILE_BYTES_MAX", 10)
    with pytest.raises(InvalidError, match="at most 64 MB"):
        found(HEAD)


def test_a_clock_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.readings.history_values.KEPT_MAX", 2)
    clock = Clock(SHANGHAI, None)
    assert [clock.moment(f"2026-01-0{day}").day for day in (2, 3, 4, 2)] == [1, 2, 3, 1]
