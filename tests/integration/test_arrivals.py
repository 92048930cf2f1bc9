"""What cameras and doors send in over the API: kept once, written anew; what is none of it is refused."""

import io
import json
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from PIL import Image

from hub.access import service as access
from hub.access import tokens
from hub.access.rights import Right
from hub.store.database import Database
from tests.builders import Park
from tests.builders_people import OFFICER, OPEN, SENSITIVE, Watched, drawn, watch
from tests.integration.test_people_pages import PASSWORD, Browser, browsing
from web.app import create
from web.settings import WebSettings

NOW = datetime.now(UTC).replace(microsecond=0)
SCRIPT = b"<script>alert(1)</script>"
EXIF_PLACE = b"GPSLatitude"


@pytest.fixture
async def watched(database: Database, park: Park) -> Watched:
    found = await watch(database, park, NOW)
    async with database.transaction(park.organisation, OFFICER) as tx:
        for role in ("integration", "engineer", "security"):
            await access.add_user(tx, role, role, role, PASSWORD, language="en")
    return found


def form(**more: str) -> dict[str, str]:
    return {"site": "RIVERSIDE", "zone": OPEN, "camera": "CAM-9", "at": NOW.isoformat(), **more}


async def send(
    browser: Browser, data: bytes, called: str = "still.jpg", said: str = "image/jpeg", **more: str
) -> httpx.Response:
    return await browser.send("/api/stills", data=form(**more), files={"picture": (called, data, said)})


def event(**more: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "zone": OPEN, "door": "D-1", "at": NOW.isoformat(), "result": "granted", "badge": "7",
            "name": "周舟", **more}  # fmt: skip


async def report(browser: Browser, *events: dict[str, Any], **more: Any) -> httpx.Response:
    return await browser.send("/api/badge-events", json={"site": "RIVERSIDE", "events": list(events), **more})


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(10_000_000))
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of 30,000 × 30,000 pixels that packs into little."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


def tagged() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "GPSLatitude 31.2 of the warehouse"
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "JPEG", exif=exif, comment=b"secret comment")
    return file.getvalue()


def stored(watched: Watched) -> list[tuple[str, bytes]]:
    with psycopg.connect(watched.park.dsns.owner) as owner:
        return owner.execute("SELECT camera, picture FROM stills WHERE camera = 'CAM-9' ORDER BY at").fetchall()


async def test_a_still_is_kept_once_and_written_anew(database: Database, watched: Watched) -> None:
    async with browsing(database, watched.park, "integration") as browser:
        first = await send(browser, tagged())
        again = await send(browser, tagged())
        other = await send(browser, drawn("another"))
    assert (first.status_code, first.json()) == (200, {"stored": 1, "known": 0})
    assert (again.status_code, again.json()) == (200, {"stored": 0, "known": 1})
    assert other.status_code == 409
    ((_, kept),) = stored(watched)
    assert kept.startswith(b"\xff\xd8")
    assert EXIF_PLACE not in kept
    assert b"secret comment" not in kept


async def test_a_polyglot_comes_out_as_a_picture_and_nothing_else(database: Database, watched: Watched) -> None:
    async with browsing(database, watched.park, "integration") as browser:
        answer = await send(browser, drawn("x") + SCRIPT + zipped())
    assert answer.status_code == 200
    ((_, kept),) = stored(watched)
    assert SCRIPT not in kept
    assert b"PK\x03\x04" not in kept


async def test_what_is_no_picture_or_too_much_is_refused_with_a_sentence(database: Database, watched: Watched) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    async with browsing(database, watched.park, "integration") as browser:
        for case, data, name, said, status in (
            ("script", SCRIPT, "still.jpg", "image/jpeg", 422),
            ("svg", svg, "still.svg", "image/svg+xml", 422),
            ("pdf", b"%PDF-1.7", "still.pdf", "application/pdf", 422),
            ("zip", zipped(), "still.zip", "application/zip", 422),
            ("nothing", b"", "still.jpg", "image/jpeg", 422),
            ("half a picture", drawn("x")[:200], "still.jpg", "image/jpeg", 422),
            ("pixel bomb", bomb(), "still.png", "image/png", 422),
            ("nine megabytes", bytes(9_000_000), "still.jpg", "image/jpeg", 413),
            ("packed zeros", zlib.compress(bytes(50_000_000)), "still.jpg", "image/jpeg", 422),
        ):
            answer = await send(browser, data, name, said)
            assert answer.status_code == status, case
            assert len(answer.json()["error"]) > 10, case
            assert "Traceback" not in answer.text, case
    assert stored(watched) == []


async def test_fifty_megabytes_are_refused_before_they_are_read(database: Database, watched: Watched) -> None:
    async with browsing(database, watched.park, "integration") as browser:
        answer = await browser.client.post(
            "/api/stills", content=b"", headers={"Content-Length": "50000000", "X-CSRF-Token": browser.csrf}
        )
    assert answer.status_code == 413


async def test_the_name_of_a_file_counts_for_nothing(database: Database, watched: Watched) -> None:
    names = ("../../etc/passwd", "C:\\x.jpg", "a\r\nSet-Cookie: a=b.jpg", "\u202egpj.exe", "x" * 4000)
    async with browsing(database, watched.park, "integration") as browser:
        for n, name in enumerate(names):
            answer = await send(browser, drawn("x"), name, camera=f"CAM-{n}")
            assert answer.status_code == 200, name
    with psycopg.connect(watched.park.dsns.owner) as owner:
        rows = owner.execute("SELECT (to_jsonb(s) - 'picture' - 'thumbnail')::text FROM stills s").fetchall()
    assert not [said for (said,) in rows for name in names if name in json.loads(said).values()]


async def test_a_still_of_nowhere_or_of_another_time_is_refused(database: Database, watched: Watched) -> None:
    late = (NOW + timedelta(hours=1)).isoformat()
    async with browsing(database, watched.park, "integration") as browser:
        for more in (
            {"zone": "NOWHERE"}, {"site": "ELSEWHERE"}, {"camera": "../x"}, {"camera": "a b"}, {"at": "yesterday"},
            {"at": "2026-11-24T12:00:00"}, {"at": "0001-01-01T00:00:00+14:00"}, {"at": "9999-12-31T23:59:59Z"},
            {"kind": "portrait"}, {"badge": "x" * 65}, {"badge": "\n"}, {"name": "a\tb", "badge": "1"}, {"at": late},
        ):  # fmt: skip
            answer = await send(browser, drawn("x"), **more)
            assert answer.status_code in (404, 422), more
    assert stored(watched) == []


async def test_badge_events_come_in_batches_and_count_once(database: Database, watched: Watched) -> None:
    one, forced = event(), event(zone=SENSITIVE, result="forced", badge=None, name="")
    async with browsing(database, watched.park, "integration") as browser:
        assert (await report(browser, one, forced)).json() == {"stored": 2, "known": 0}
        assert (await report(browser, one, forced)).json() == {"stored": 0, "known": 2}
        assert (await report(browser, {**one, "door": "D-2"})).status_code == 409
        assert (await report(browser, one, {**one, "door": "D-2"})).status_code == 409


async def test_a_badge_event_with_anything_else_in_it_is_refused(database: Database, watched: Watched) -> None:
    async with browsing(database, watched.park, "integration") as browser:
        for more in (
            {"role": "administrator"}, {"result": "open"}, {"at": "2026-11-24T12:00:00"}, {"id": "7"}, {"zone": ""},
            {"badge": ""}, {"name": "x" * 121}, {"name": "a\u0000b"}, {"door": "d\n"},
            {"organisation_id": str(uuid4())},
        ):  # fmt: skip
            assert (await report(browser, event(**more))).status_code == 422, more
        assert (await report(browser, event(), organisation="x")).status_code == 422
        assert (await report(browser)).status_code == 422
        assert (await report(browser, *[event()] * 501)).status_code == 422


async def test_nobody_else_sends_anything_in(database: Database, watched: Watched) -> None:
    for role in ("engineer", "security"):
        async with browsing(database, watched.park, role) as browser:
            assert (await send(browser, drawn("x"))).status_code == 403
            assert (await report(browser, event())).status_code == 403
    assert stored(watched) == []


async def test_a_token_with_that_right_sends_stills_without_a_session(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, OFFICER) as tx:
        user = next(one for one in await access.users(tx) if one.login == "integration")
        reach = tokens.Reach(frozenset({Right.ADD_STILLS}))
        _, secret = await tokens.create(tx, user.id, "bridge", reach, NOW + timedelta(days=1), NOW)
    app = create(database, WebSettings(watched.park.dsns.hub, broadcast=False))
    headers = {"Authorization": f"Bearer {secret}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test", headers=headers) as client:
        answer = await client.post("/api/stills", data=form(), files={"picture": ("x.jpg", drawn("x"), "image/jpeg")})
        events = await client.post("/api/badge-events", json={"site": "RIVERSIDE", "events": [event()]})
    assert (answer.status_code, events.status_code) == (200, 200)
    assert len(stored(watched)) == 1
