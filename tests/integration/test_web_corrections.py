"""The forms of corrections as somebody sends them who means no good, or no matter."""

import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import psycopg
from PIL import Image

from hub.access import service as access
from hub.store.database import Database
from tests.builders import WIDE, Park, acting
from tests.correcting import BILLED, DAY, FREE, Desk, faces
from web.app import create
from web.settings import WebSettings

PASSWORD = "only for these tests"
MEGABYTE = 1_000_000


def png(colour: int = 1) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (colour, 2, 3)).save(file, "PNG")
    return file.getvalue()


async def test_forms_take_what_makes_sense_and_say_what_does_not(database: Database, park: Park) -> None:
    desk = Desk(park, database, {"eng": acting("test", "engineer")})
    desk.put(FREE, faces(20, 0.5, 3))
    desk.put(BILLED, faces(100, 2, 3))
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await access.add_user(tx, "eng", "Eng", "engineer", PASSWORD, language="en")
        await access.add_user(tx, "zhao", "Zhao", "technician", PASSWORD, language="zh")
    app = create(database, WebSettings(park.dsns.hub, broadcast=False, rates=WIDE))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as client:

        async def let_in(login: str) -> str:
            signed = await access.sign_in(database, login, PASSWORD, "127.0.0.1", datetime.now(UTC))
            client.cookies.set("plantroom_session", signed.token)
            return signed.csrf

        client.headers["Accept-Language"] = "en"  # of those whom nobody knows yet
        csrf = await let_in("eng")
        asked = {"point": FREE, "kind": "replace", "start": DAY.isoformat(), "value": "21.5"}
        form = {"csrf": csrf, "id": str(uuid4()), "reason": "misread"}

        async def post(photo: bytes | None = None, **more: str) -> httpx.Response:
            files = {"photo": ("x.png", photo, "image/png")} if photo is not None else None
            return await client.post("/corrections", params={**asked, **more}, data=form, files=files)

        for sent, status, said in (
            ({"photo": b"MZ" + b"x" * 999}, 422, "Only JPEG, PNG and WebP"),
            ({"photo": b""}, 422, "empty"),
            ({"photo": b"x" * (50 * MEGABYTE)}, 413, "too big"),
            ({"value": "many"}, 422, "as a number"),
            ({"start": "yesterday"}, 422, "Give the time like"),
            ({"start": "9999-01-01T00:00"}, 422, "Give the time like"),
            ({"kind": "delete"}, 422, ""),
            ({"point": "NOBODY.energy"}, 404, "no such point"),
        ):
            answer = await post(**sent)  # type: ignore[arg-type]
            assert (answer.status_code, said in answer.text) == (status, True), (sent.keys(), answer.text[-300:])
        assert (await desk.series(FREE))[0][1] == 20.0
        answer = await post(photo=png())
        assert (answer.status_code, answer.headers["location"]) == (303, "/corrections/1")
        assert (await post(photo=png())).headers["location"] == "/corrections/1"  # sent twice
        assert (await desk.series(FREE))[0] == (DAY, 21.5, 216)
        page = await client.get("/corrections/1")
        assert "data:image/jpeg;base64," in page.text
        listed = await client.get("/corrections.csv", params={"point": FREE, "stage": "in_force"})
        assert [line.split(",")[:4] for line in listed.text.splitlines()[1:]] == [["1", "replace", "in_force", FREE]]
        assert "<table" in (await client.get("/corrections", params={"kind": "nonsense", "first": "2026-10-01"})).text
        assert (await client.get("/corrections", params={"first": "soon"})).status_code == 422
        assert (await client.get(f"/corrections/{10**30}")).status_code == 404
        client.cookies.clear()
        form = {"csrf": await let_in("zhao"), "id": str(uuid4()), "at": (DAY + timedelta(hours=2)).isoformat()}
        form |= {"final": "1", "initial": "0", "multiplier": "1", "remark": "坏了"}
        answer = await client.post(f"/meters/{park.points[BILLED]}/exchange", data=form)
        assert answer.status_code == 422
        assert "换表记录与前后读数不符" in answer.text
    with psycopg.connect(park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM correction_photos").fetchone() == (1,)
