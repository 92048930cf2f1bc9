"""Readings over HTTP: pages, forms, charts, the latest, consumption; what is refused and with which sentence."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from openpyxl import load_workbook

from hub.access import administration, tokens
from hub.access.rights import Right
from hub.access.tokens import Reach
from hub.api import exports
from hub.jobs import rollups
from hub.metering import service as metering
from hub.metering.days import Grain
from hub.metering.work import catch_up
from hub.store.database import Database
from tests.builders import WIDE, Park, acting, register_park, site_file
from tests.conftest import PostgresForTests, fresh_dsns
from web.app import create
from web.settings import WebSettings

MAIN, POWER, SUB = "EM-A-MAIN.energy", "EM-A-MAIN.power", "EM-A-101.energy"
START = datetime(2026, 10, 31, 16, tzinfo=UTC)  # midnight in Shanghai
DAY = {"from": "2026-11-01T00:00:00+08:00", "to": "2026-11-02T00:00:00+08:00"}
THREE = {"from": "2026-11-01T00:00:00+08:00", "to": "2026-11-04T00:00:00+08:00"}
QUARTER = timedelta(minutes=15)
PER_DAY = 96


@dataclass(frozen=True)
class Asking:
    """A program with a token at our API, over a park with readings."""

    client: httpx.AsyncClient
    park: Park
    database: Database

    async def get(self, path: str, wanted: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(path, params=wanted, headers=said)

    async def body(self, path: str, **wanted: Any) -> dict[str, Any]:
        answer = await self.get(path, {name: one for name, one in wanted.items() if one is not None})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refusal(self, path: str, status: int, **wanted: Any) -> str:
        answer = await self.get(path, wanted)
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"])

    def put(self, code: str, rows: list[tuple[datetime, float | None, int]]) -> None:
        put(self.park, code, rows)


@pytest.fixture(scope="module")
def seeded(postgres: PostgresForTests, migrated: str) -> Iterator[tuple[Park, str]]:
    """A park with readings and a token, for the whole module: what a test adds, it adds to a point of its own."""
    dsns = fresh_dsns(postgres, migrated)

    async def fill() -> tuple[Park, str]:
        database = Database(dsns.hub)
        await database.open()
        park = await register_park(database, dsns, site_file())
        async with database.transaction(park.organisation, acting("boss", "administrator")) as tx:
            robot = await administration.add_service_account(tx, "bms-export", "BMS export")
            now = datetime.now(UTC)
            reach = Reach(frozenset({Right.SEE_POINTS}))
            _, secret = await tokens.create(tx, robot, "bms", reach, now + timedelta(days=30), now)
        put(park, MAIN, [(START + n * QUARTER, 1000.0 + n, 192) for n in range(3 * PER_DAY + 1)])
        put(park, SUB, [(START + n * QUARTER, 10.0 + n / 10, 192) for n in range(2 * PER_DAY)])
        await work_out(database, park)
        await database.close()
        return park, secret

    yield asyncio.run(fill())
    postgres.drop(dsns.owner)


@pytest.fixture
async def asking(seeded: tuple[Park, str]) -> AsyncIterator[Asking]:
    park, secret = seeded
    database = Database(park.dsns.hub)
    await database.open()
    app = create(database, WebSettings(park.dsns.hub, broadcast=False, rates=WIDE))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test", headers=headers) as client:
        yield Asking(client, park, database)
    await database.close()


async def work_out(database: Database, park: Park, now: datetime = START + timedelta(days=30)) -> None:
    """Make rollups and the facts of consumption, as of a moment long after the readings."""
    await rollups.rebuild(database)
    async with database.transaction(park.organisation, acting("boss", "administrator")) as tx:
        while await catch_up(tx, now):
            pass


def put(park: Park, code: str, rows: list[tuple[datetime, float | None, int]]) -> None:
    keyed = [(park.points[code], *row) for row in rows]
    with psycopg.connect(park.dsns.owner) as owner, owner.cursor() as cursor:
        for week in sorted({at.date() - timedelta(days=at.weekday()) for at, _, _ in rows}):
            owner.execute("SELECT plantroom.ensure_week(%s)", [week])
        with cursor.copy("COPY samples FROM STDIN") as copy:
            for row in keyed:
                copy.write_row(row)
        owner.execute(
            """INSERT INTO dirty_buckets (point_id, bucket)
               SELECT DISTINCT point_id, date_trunc('hour', at) FROM samples WHERE point_id = %s""",
            [keyed[0][0]],
        )
        owner.execute(
            """INSERT INTO latest SELECT DISTINCT ON (point_id) * FROM samples WHERE point_id = %s
               ORDER BY point_id, at DESC ON CONFLICT DO NOTHING""",
            [keyed[0][0]],
        )


async def test_pages_lead_through_a_range_and_late_readings_shift_nothing(asking: Asking) -> None:
    late = "EM-A-F2.power"
    asking.put(late, [(START + n * QUARTER, float(n), 192) for n in range(PER_DAY)])
    wanted = {**DAY, "point": [MAIN, late], "limit": 70}
    page = await asking.body("/api/readings", **wanted)
    seen = [(one["point"], one["at"]) for one in page["readings"]]
    asking.put(late, [(START + timedelta(minutes=1), 1.0, 192)])  # late, and before where we are
    while page["next"]:
        page = await asking.body("/api/readings", **wanted, cursor=page["next"])
        seen += [(one["point"], one["at"]) for one in page["readings"]]
    assert len(seen) == len(set(seen)) == 2 * PER_DAY
    assert seen == sorted(seen)
    assert page["resolution"] == "raw"
    assert seen[0] == (late, "2026-10-31T16:00:00.000Z")


async def test_the_resolution_follows_the_length_and_can_be_chosen(asking: Asking) -> None:
    week = {"from": "2026-11-01T00:00:00+08:00", "to": "2026-11-08T00:00:00+08:00"}
    assert (await asking.body("/api/readings", **DAY, point=MAIN))["resolution"] == "raw"
    hours = await asking.body("/api/readings", **week, point=MAIN)
    assert hours["resolution"] == "hour"
    assert hours["readings"][0] == {
        "point": MAIN, "at": "2026-10-31T16:00:00.000Z", "n": 4, "good_n": 4, "min": 1000.0, "max": 1003.0,
        "mean": 1001.5, "first": 1000.0, "last": 1003.0, "covered_s": 3600.0, "step_s": 3600.0, "time_mean": 1001.5,
    }  # fmt: skip
    days = await asking.body("/api/readings", **week, point=MAIN, values=5)
    assert days["resolution"] == "day"
    assert [(one["at"], one["n"], one["last"]) for one in days["readings"]] == [
        ("2026-10-31T16:00:00.000Z", 96, 1095.0), ("2026-11-01T16:00:00.000Z", 96, 1191.0),
        ("2026-11-02T16:00:00.000Z", 96, 1287.0), ("2026-11-03T16:00:00.000Z", 1, 1288.0),
    ]  # fmt: skip
    paged, cursor = [], None
    for _ in range(4):
        page = await asking.body("/api/readings", **week, point=MAIN, resolution="day", limit=1, cursor=cursor)
        paged += page["readings"]
        cursor = page["next"]
    assert paged == days["readings"]


async def test_csv_and_xlsx_hold_the_whole_range_and_no_formula(asking: Asking) -> None:
    hostile, power = "EM-A-F1.energy", "EM-A-F1.power"
    with psycopg.connect(asking.park.dsns.owner) as owner:
        owner.execute("UPDATE points SET unit = '=1+1' WHERE code = %s", [hostile])
    asking.put(hostile, [(START, 10.0, 192)])
    asking.put(power, [(START, -1.5, 192), (START + QUARTER, None, 0)])
    wanted = {**DAY, "point": [MAIN, hostile, power]}
    answer = await asking.get("/api/readings", {**wanted, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == PER_DAY + 3
    assert {row["unit"] for row in rows} == {"kWh", "kW", "'=1+1"}
    assert [(row["value"], row["quality"]) for row in rows if row["point"] == power] == [("-1.5", "good"), ("", "bad")]
    assert 'filename="readings-' in answer.headers["content-disposition"]
    answer = await asking.get(
        "/api/readings", wanted, accept="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    sheet = load_workbook(io.BytesIO(answer.content), read_only=True).active
    cells = list(sheet.iter_rows(values_only=True))
    assert len(cells) == PER_DAY + 4
    assert cells[0] == ("point", "at", "value", "unit", "quality")
    assert (hostile, "2026-10-31T16:00:00.000Z", 10.0, "'=1+1", "good") in cells


async def test_a_file_that_would_be_too_long_is_refused_before_it_begins(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CSV_ROWS_MOST", 50)
    said = await asking.refusal("/api/readings", 422, **DAY, point=MAIN, format="csv")
    assert said.startswith("This is more than 50 rows")
    assert (
        await asking.get("/api/readings", {**DAY, "point": MAIN, "format": "csv", "resolution": "hour"})
    ).status_code == 200
    monkeypatch.setattr(exports, "ROWS_PER_READ", 10)
    monkeypatch.setattr(exports, "CSV_ROWS_MOST", 96)
    answer = await asking.get("/api/readings", {**DAY, "point": MAIN, "format": "csv"})
    assert answer.text.count("\r\n") == PER_DAY + 1


async def test_what_is_known_is_not_sent_again(asking: Asking) -> None:
    point = "EM-A-F2.energy"
    asking.put(point, [(START, 5.0, 192)])
    wanted = {**DAY, "point": point}
    first = await asking.get("/api/readings", wanted)
    assert first.headers["cache-control"] == "no-store"  # whoever keeps an answer keeps it himself
    again = await asking.get("/api/readings", wanted, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    several = await asking.get("/api/readings", wanted, if_none_match=f'"x", {first.headers["etag"]}')
    assert several.status_code == 304
    latest = await asking.get("/api/readings/latest", {"point": MAIN})
    assert (
        await asking.get("/api/readings/latest", {"point": MAIN}, if_none_match=latest.headers["etag"])
    ).status_code == 304
    asking.put(point, [(START + timedelta(minutes=1), 5.5, 192)])
    assert (await asking.get("/api/readings", wanted, if_none_match=first.headers["etag"])).status_code == 200


async def test_answers_are_packed_where_that_is_understood(asking: Asking) -> None:
    plain = await asking.get("/api/readings", {**DAY, "point": MAIN}, accept_encoding="identity")
    packed = await asking.get("/api/readings", {**DAY, "point": MAIN}, accept_encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert len(gzip.compress(plain.content, 1)) < len(plain.content) / 4
    file = await asking.get("/api/readings", {**DAY, "point": MAIN, "format": "csv"}, accept_encoding="gzip")
    assert file.text.count("\r\n") == PER_DAY + 1


async def test_a_chart_keeps_extremes_and_gaps(asking: Asking) -> None:
    power = "EM-A-F3.power"
    second = timedelta(seconds=1)
    rows = [(START + n * second, float(n % 7), 192) for n in range(40_000) if not 10_000 <= n < 14_000]
    rows[5_000] = (rows[5_000][0], 900.0, 192)
    rows[30_000] = (rows[30_000][0], None, 0)
    asking.put(power, rows)
    chart = await asking.body("/api/readings/chart", **DAY, point=power, values=300)
    [line] = chart["lines"]
    assert line["resolution"] == "raw"
    assert 250 <= len(line["at"]) <= 400
    assert (max(v for v in line["value"] if v is not None), line["value"].count(None)) == (900.0, 2)
    await rollups.rebuild(asking.database)
    hours = await asking.body("/api/readings/chart", **DAY, point=[power, MAIN], resolution="hour")
    drawn, main = hours["lines"]
    assert (max(v for v in drawn["max"] if v is not None), drawn["unit"]) == (900.0, "kW")
    assert main["value"][:2] == [1003.0, 1007.0]


async def test_the_latest_of_a_site_a_device_and_a_list(asking: Asking) -> None:
    every = await asking.body("/api/readings/latest", site="RIVERSIDE")
    assert len(every["readings"]) == len(asking.park.points)
    one = next(r for r in every["readings"] if r["point"] == MAIN)
    assert (one["at"], one["value"], one["quality"], one["site"]) == (
        "2026-11-03T16:00:00.000Z",
        1288.0,
        "good",
        "RIVERSIDE",
    )
    never = next(r for r in every["readings"] if r["at"] is None)
    assert (never["value"], never["quality"], never["age_s"]) == (None, None, None)
    device = await asking.body("/api/readings/latest", device="EM-A-MAIN")
    assert [r["point"] for r in device["readings"]] == [MAIN, POWER]
    seen, cursor = [], None
    while True:
        page = await asking.body("/api/readings/latest", limit=4, cursor=cursor)
        seen += [r["point"] for r in page["readings"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == sorted(asking.park.points)
    text = (await asking.get("/api/readings/latest", {"format": "csv", "point": [MAIN, SUB]})).content.decode(
        "utf-8-sig"
    )
    assert [row["point"] for row in csv.DictReader(io.StringIO(text))] == [SUB, MAIN]


async def test_consumption_by_day_and_month_is_what_is_stored_and_missing_is_null(asking: Asking) -> None:
    used = await asking.body("/api/consumption", **THREE, meter=[MAIN, SUB], by="day")
    assert used["timezone"] == "Asia/Shanghai"
    said = [(u["meter"], u["start"], u["value"], u["estimated"]) for u in used["consumption"]]
    assert said[3:] == [
        (MAIN, "2026-10-31T16:00:00.000Z", 96.0, False), (MAIN, "2026-11-01T16:00:00.000Z", 96.0, False),
        (MAIN, "2026-11-02T16:00:00.000Z", 96.0, False),
    ]  # fmt: skip
    assert said[0] == (SUB, "2026-10-31T16:00:00.000Z", 9.6, False)
    last = used["consumption"][2]  # the sub-meter says nothing after two days
    assert (last["value"], last["state"], last["provisional"], bool(last["doubt"])) == (None, "parked", True, True)
    first = used["consumption"][3]
    ends = [first[name] for name in ("state", "version", "start_value", "start_method", "end_value", "end_method")]
    assert ends == ["final", 1, 1000.0, "read", 1096.0, "read"]
    month = {"from": "2026-10-01T00:00:00+08:00", "to": "2026-12-01T00:00:00+08:00"}
    october, _ = (await asking.body("/api/consumption", **month, meter=MAIN, by="month"))["consumption"]
    assert (october["value"], october["end"]) == (None, "2026-10-31T16:00:00.000Z")
    assert october["doubt"].startswith("Nothing has been worked out for this month")


async def test_the_api_and_the_console_say_the_same_of_every_day(asking: Asking) -> None:
    site = await asking.body("/api/consumption", **THREE, site="RIVERSIDE")
    told = {(one["device"], one["start"][:10]): one for one in site["consumption"] if one["state"]}
    async with asking.database.transaction(asking.park.organisation, acting("boss", "administrator")) as tx:
        stored = await metering.facts(tx, Grain.DAY, date(2026, 11, 1), date(2026, 11, 4))
    assert len(told) == len(stored) > 0
    for fact in stored:
        one = told[fact.code, f"{fact.starts_at:%Y-%m-%d}"]
        value = None if fact.quantity is None else float(fact.quantity)
        assert (one["value"], one["state"], one["version"], one["estimated"]) == (
            value, fact.state, fact.version, fact.estimated,
        )  # fmt: skip


async def test_consumption_by_hour_pages_and_files(asking: Asking) -> None:
    hours = await asking.body("/api/consumption", **DAY, meter=MAIN, by="hour")
    assert [u["value"] for u in hours["consumption"]] == [4.0] * 24
    site = await asking.body("/api/consumption", **DAY, site="RIVERSIDE", limit=2)
    assert len({u["meter"] for u in site["consumption"]}) == 2
    assert site["next"]
    text = (await asking.get("/api/consumption", {**DAY, "format": "csv"})).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    counters = [code for code in asking.park.points if code.endswith((".energy", ".volume"))]
    assert [row["meter"] for row in rows if row["meter"] in counters] == sorted(counters)
    coming = {"from": "2090-01-01T00:00:00+08:00", "to": "2090-01-02T00:00:00+08:00"}
    [one] = (await asking.body("/api/consumption", **coming, meter=MAIN))["consumption"]
    assert one["doubt"] == "This day is not over yet; ask by hour for what is known of it."


async def test_a_virtual_meter_is_told_by_day_and_not_by_hour(asking: Asking) -> None:
    code = "VM-A-MINE"
    with psycopg.connect(asking.park.dsns.owner) as owner:
        owner.execute(
            """INSERT INTO virtual_meters (organisation_id, site_id, code, name_zh, name_en, commodity, unit, versions)
               SELECT organisation_id, id, %s, 'x', 'x', 'electricity', 'kWh', %s FROM sites""",
            [code, json.dumps([{"valid_from": "2026-01-01", "term": [{"meter": "EM-B-102", "factor": "1"}]}])],
        )
    [day] = (await asking.body("/api/consumption", **DAY, meter=code))["consumption"]
    assert (day["device"], day["value"], day["state"]) == (code, None, None)
    hours = (await asking.body("/api/consumption", **DAY, meter=code, by="hour"))["consumption"]
    assert {one["doubt"] for one in hours} == {"A virtual meter is worked out by day and month, not by hour."}


async def test_completeness_of_points_and_devices_in_every_form(asking: Asking) -> None:
    page = await asking.body("/api/completeness", **THREE, site="RIVERSIDE")
    found = {one["point"]: one for one in page["rows"]}
    assert (found[MAIN]["percent"], found[MAIN]["expected_s"], found[MAIN]["readings"]) == (100.0, 259_200.0, 288)
    assert 66.0 < found[SUB]["percent"] < 68.0  # two of three days, and what its last reading speaks for
    assert POWER not in found  # never read: nothing was there to be missing
    device = (await asking.body("/api/completeness", **THREE, device="EM-A-101", by="device"))["rows"]
    assert [(one["device"], one["point"], one["covered_s"]) for one in device] == [
        ("EM-A-101", None, found[SUB]["covered_s"])
    ]
    seen, cursor = [], None
    while True:
        page = await asking.body("/api/completeness", **THREE, limit=1, cursor=cursor)
        seen += [one["point"] for one in page["rows"]]
        if (cursor := page["next"]) is None:
            break
    assert sorted(seen) == sorted(found)
    text = (await asking.get("/api/completeness", {**THREE, "format": "csv"})).content.decode("utf-8-sig")
    assert [row["point"] for row in csv.DictReader(io.StringIO(text))] == seen


async def test_gaps_say_from_when_to_when_and_what_was_expected(asking: Asking) -> None:
    asked = {**THREE, "point": SUB}
    late, gap = (await asking.body("/api/gaps", **asked))["gaps"]
    assert (late["end"], late["recovered_at"] is None) == ("2026-11-02T16:00:00.000Z", False)  # put in long afterwards
    assert (gap["start"], gap["end"], gap["expected_s"], gap["open"]) == (
        "2026-11-02T15:45:00.000Z", "2026-11-03T16:00:00.000Z", 900.0, True,
    )  # fmt: skip
    main = (await asking.body("/api/gaps", **{**asked, "point": MAIN}))["gaps"]
    assert [one for one in main if one["recovered_at"] is None] == []
    answer = await asking.get("/api/gaps", {**asked, "format": "xlsx"})
    sheet = load_workbook(io.BytesIO(answer.content), read_only=True).active
    assert [row[2] for row in sheet.iter_rows(values_only=True)] == ["point", SUB, SUB]


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("/api/readings", {"point": "NO.such", **DAY}, 404, "There is no such point 'NO.such'."),
    ("/api/readings", {"point": MAIN, "from": "2026-11-01T00:00:00", "to": DAY["to"]}, 422, "with an offset"),
    ("/api/readings", {"point": MAIN, "from": DAY["to"], "to": DAY["from"]}, 422, "'from' lies after 'to'"),
    ("/api/readings", {"point": MAIN, "from": "0001-01-01T00:00:00+14:00", "to": DAY["to"]}, 422, "in the year 1;"),
    ("/api/readings", {"point": MAIN, "from": "2001-01-01T00:00:00Z", "to": DAY["to"]}, 422, "too long"),
    ("/api/readings", {"point": MAIN, **DAY, "cursor": "%%%"}, 422, "not given by Plantroom"),
    ("/api/readings", {"point": MAIN, **DAY, "cursor": "W10"}, 422, "not given by Plantroom"),
    ("/api/readings", {"point": [f"P{n}" for n in range(101)], **DAY}, 422, "at most 100 points"),
    ("/api/readings", {"point": MAIN, **DAY, "limit": 20_001}, 422, "limit"),
    ("/api/readings/chart", {"point": [f"P{n}" for n in range(13)], **DAY}, 422, "at most 12 points"),
    ("/api/readings/latest", {"site": "NOWHERE"}, 404, "There is no such site 'NOWHERE'."),
    ("/api/readings/latest", {"device": "NOTHING"}, 404, "There is no such device 'NOTHING'."),
    ("/api/consumption", {"meter": POWER, **DAY}, 404, "There is no such meter 'EM-A-MAIN.power'"),
    ("/api/consumption", {"meter": MAIN, "from": "2026-11-01T00:00:00Z", "to": DAY["to"]}, 422,
     "'from' is not where a day of Asia/Shanghai begins; give e.g. 2026-11-01T00:00:00+08:00."),
    ("/api/consumption", {"by": "hour", "from": "2021-11-01T00:00:00Z", "to": DAY["to"]}, 422, "at most 50000"),
    ("/api/completeness", {"from": "2026-11-01T00:00:00Z", "to": DAY["to"]}, 422, "'from' is not where a day of"),
    ("/api/completeness", {"from": "2022-11-01T00:00:00+08:00", "to": DAY["to"]}, 422, "at most 366 days"),
    ("/api/completeness", {**DAY, "device": "NOTHING"}, 404, "There is no such device 'NOTHING'."),
    ("/api/gaps", {"from": "2022-11-01T00:00:00+08:00", "to": DAY["to"]}, 422, "at most 366 days"),
    ("/api/gaps", {**DAY, "point": "NO.such"}, 404, "There is no such point 'NO.such'."),
    ("/api/gaps", {**DAY, "site": "NOWHERE"}, 404, "There is no such site 'NOWHERE'."),
]  # fmt: skip


async def test_a_refusal_is_a_sentence(asking: Asking) -> None:
    for path, wanted, status, sentence in REFUSED:
        assert sentence in await asking.refusal(path, status, **wanted), path


async def test_a_cursor_of_another_question_is_refused(asking: Asking) -> None:
    page = await asking.body("/api/readings", **DAY, point=MAIN, limit=5)
    said = await asking.refusal("/api/readings", 422, **THREE, point=MAIN, limit=5, cursor=page["next"])
    assert "another question" in said


async def test_only_what_there_is_can_be_asked_for(asking: Asking) -> None:
    answer = await asking.get("/api/readings", {**DAY, "point": MAIN}, accept="image/png")
    assert (answer.status_code, "JSON, CSV or XLSX" in answer.text) == (406, True)
    best = await asking.get("/api/readings", {**DAY, "point": MAIN}, accept="application/json;q=0.5, text/csv")
    assert best.headers["content-type"].startswith("text/csv")


async def test_the_description_has_examples_everywhere(asking: Asking) -> None:
    said = (await asking.get("/api/openapi.json")).json()
    paths = [
        path
        for path in said["paths"]
        if path.startswith(("/api/readings", "/api/consumption", "/api/completeness", "/api/gaps"))
    ]
    assert len(paths) == 6
    for path in paths:
        one = said["paths"][path]["get"]
        assert not [p["name"] for p in one["parameters"] if not p.get("example") and "examples" not in p["schema"]], (
            path
        )
        assert one["responses"]["200"]["content"]["application/json"]["example"]


async def test_consumption_goes_on_across_a_meter_exchange(asking: Asking) -> None:
    meter, noon = "EM-B-101.energy", START + timedelta(hours=12)
    hours = [START + timedelta(hours=n) for n in range(25)]
    asking.put(meter, [(at, 900.0 + n if at < noon else 5.0 + n - 12, 192) for n, at in enumerate(hours)])
    await work_out(asking.database, asking.park)
    before = await asking.body("/api/consumption", **DAY, meter=meter, by="day")
    with psycopg.connect(asking.park.dsns.owner) as owner:
        owner.execute(
            """WITH c AS (
                INSERT INTO corrections (id, organisation_id, number, point_id, point, kind, first_at, last_at, lines,
                                         digest, reason, billing, bills, effect, asked_by, asked_at, state,
                                         in_force_by, in_force_at)
                SELECT gen_random_uuid(), organisation_id, 9, id, code, 'exchange', %(at)s, %(at)s, 0, '', 'worn',
                       false, '{}', '{}', 'x', %(at)s, 'in_force', 'x', %(at)s FROM points WHERE code = %(meter)s
                RETURNING organisation_id, id, point_id)
               INSERT INTO meter_exchanges
               SELECT organisation_id, id, point_id, %(at)s, 912, 0.1, 10000, 1, '', 5, 0.1, 10000, 1, '' FROM c""",
            {"at": noon, "meter": meter},
        )
    with psycopg.connect(asking.park.dsns.owner) as owner:
        owner.execute("INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, %s)", [asking.park.points[meter], noon])
    await work_out(asking.database, asking.park)
    after = (await asking.body("/api/consumption", **DAY, meter=meter, by="day"))["consumption"][0]
    assert before["consumption"][0]["value"] is None  # a fall without an exchange is a doubt
    assert (after["value"], after["version"], after["doubt"]) == (24.0, 2, "")
    by_hour = (await asking.body("/api/consumption", **DAY, meter=meter, by="hour"))["consumption"]
    assert [one["value"] for one in by_hour] == [1.0] * 24
