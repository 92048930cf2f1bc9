"""The shell around every page: what is misshapen, misdirected, foreign, too much or too often goes no further."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request

from hub.store.database import Database
from tests.conftest import Dsns
from web.app import create
from web.settings import WebSettings
from web.throttle import Rate, Rates

HERE = "http://plantroom.test"
PUBLIC = "https://plantroom.example.com"
SLOW = Rates(doors=Rate(1, 2), api=Rate(1, 2), uploads=Rate(1, 1), files=Rate(1, 1), pages=Rate(1, 5))

Make = Callable[..., FastAPI]


@pytest.fixture
def make(database: Database, dsns: Dsns) -> Make:
    """Makes the application with settings, and a route that takes whatever body comes."""

    def made(**settings: object) -> FastAPI:
        app = create(database, WebSettings(dsns.hub, broadcast=False, **settings))  # type: ignore[arg-type]

        @app.post("/api/stills/raw")
        @app.post("/api/raw")
        @app.post("/raw")
        async def raw(request: Request) -> dict[str, int]:
            return {"bytes": len(await request.body())}

        return app

    return made


@asynccontextmanager
async def visiting(app: FastAPI, base: str = HERE, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url=base, headers={"Accept-Language": "en"}) as client:
        yield client


@pytest.fixture
async def client(make: Make) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(make()) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/invoices/%00", {}, 400),
        ("/invoices/a%0d%0aX-Evil:1", {}, 400),
        ("/%7f", {}, 400),
        ("/%C2%85", {}, 400),
        ("/" + "a" * 9_000, {}, 414),
        ("/?q=" + "a" * 9_000, {}, 414),
        ("/sign-in", {f"X-{n}": "1" for n in range(70)}, 431),
        ("/sign-in", {"Host": "a b"}, 400),
        ("/sign-in", {"Host": "["}, 400),
        ("/sign-in", {"Host": "plantroom.test:99999999"}, 400),
        ("/sign-in", {"Host": "plantroom.test/evil"}, 400),
        ("/sign-in", {"Host": "user@plantroom.test"}, 400),
        ("/sign-in", {"Host": "plantroom.test\\@evil"}, 400),
        ("/sign-in", {"Content-Length": "-1"}, 400),
        ("/sign-in", {"Content-Length": "5", "Transfer-Encoding": "chunked"}, 400),
        ("/sign-in", {}, 200),
    ],
)
async def test_what_is_misshapen_is_refused_with_a_sentence(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert "<p>This " in answer.text
        assert answer.headers["connection"] == "close"
        assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_two_hosts_are_one_too_many(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sign-in", headers=[("Host", "plantroom.test"), ("Host", "evil.example")])
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "plantroom.example.com.evil.example", "plantroom.example.com:8443",
                                  "127.0.0.1", "xplantroom.example.com"])  # fmt: skip
async def test_another_name_than_the_public_one_is_misdirected(make: Make, host: str) -> None:
    async with visiting(make(public_address=PUBLIC), PUBLIC) as client:
        for path in ("/sign-in", "/nothing-here", "/api/alarms"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code == 421
            assert host not in answer.text
        assert (await client.get("/sign-in", headers={"Host": "Plantroom.example.COM"})).status_code == 200
        assert (await client.get("/api/health", headers={"Host": host})).status_code == 200


async def test_over_https_browsers_are_told_to_stay_there(make: Make) -> None:
    async with visiting(make(public_address=PUBLIC), PUBLIC) as client:
        headers = (await client.get("/sign-in")).headers
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    for settings in ({}, {"public_address": "http://plantroom.test"}):
        async with visiting(make(**settings)) as client:
            assert "strict-transport-security" not in (await client.get("/sign-in")).headers


async def test_every_answer_keeps_frames_and_other_sites_out(client: httpx.AsyncClient) -> None:
    for path in ("/sign-in", "/nothing", "/%00", "/api/health", f"/static/{'x' * 8}/app.css"):
        headers = (await client.get(path)).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert len(headers["x-request-id"]) == 32


def fetch(site: str, mode: str = "", dest: str = "") -> dict[str, str]:
    said = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    return {name: value for name, value in said.items() if value}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", fetch("cross-site", "navigate", "document"), 200),  # a link in a mail
        ("GET", fetch("same-site", "navigate", "document"), 200),
        ("GET", fetch("none", "navigate", "document"), 200),
        ("GET", fetch("same-origin", "cors", "empty"), 200),
        ("GET", fetch("cross-site", "navigate", "iframe"), 403),
        ("GET", fetch("cross-site", "no-cors", "image"), 403),
        ("GET", fetch("cross-site", "cors", "empty"), 403),
        ("GET", fetch("same-site", "no-cors", "script"), 403),
        ("POST", fetch("cross-site", "navigate", "document"), 403),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "http://["}, 403),
        ("POST", {"Origin": "http://plantroom.test.evil.example"}, 403),
        ("POST", {"Origin": HERE, **fetch("cross-site")}, 403),
        ("POST", {"Origin": HERE}, 200),
        ("POST", fetch("same-origin"), 200),
        ("POST", {}, 200),
    ],
)
async def test_links_lead_in_but_nothing_of_another_site_is_loaded_or_sent(
    client: httpx.AsyncClient, method: str, headers: dict[str, str], status: int
) -> None:
    answer = await client.request(method, "/sign-in" if method == "GET" else "/raw", headers=headers)
    assert answer.status_code == status


async def test_the_same_name_without_tls_is_another_site(make: Make) -> None:
    async with visiting(make(public_address=PUBLIC), PUBLIC) as client:
        answer = await client.post("/raw", headers={"Origin": "http://plantroom.example.com"})
        assert answer.status_code == 403
        assert (await client.post("/raw", headers={"Origin": PUBLIC})).status_code == 200


async def pieces(count: int, taken: list[int]) -> AsyncIterator[bytes]:
    for number in range(count):
        taken.append(number)
        yield b"x" * 100_000


async def test_a_body_without_a_length_is_counted_while_it_comes(client: httpx.AsyncClient) -> None:
    assert (await client.post("/raw", content=pieces(10, []))).json() == {"bytes": 1_000_000}
    for path, form in (
        ("/raw", "<p>What was sent is too big.</p>"),
        ("/api/raw", '"error":"What was sent is too big.'),
    ):
        taken: list[int] = []
        answer = await client.post(path, content=pieces(10_000, taken))
        assert (answer.status_code, answer.headers["connection"], len(taken)) == (413, "close", 11)
        assert form in answer.text


async def test_a_body_that_says_that_it_is_too_big_is_not_read(client: httpx.AsyncClient) -> None:
    taken: list[int] = []
    answer = await client.post("/raw", content=pieces(500, taken), headers={"Content-Length": "50000000"})
    assert (answer.status_code, taken) == (413, [])


async def test_uploads_may_be_bigger_but_not_without_end(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/stills/raw", content=pieces(80, []))).json() == {"bytes": 8_000_000}
    taken: list[int] = []
    assert (await client.post("/api/stills/raw", content=pieces(10_000, taken))).status_code == 413
    assert len(taken) == 81


async def test_guesses_at_the_door_are_counted_by_address(make: Make) -> None:
    app = make(rates=SLOW)
    async with visiting(app) as client, visiting(app, address="192.0.2.2") as other:
        answers = [await client.post("/sign-in", data={"login": "x", "password": "y"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
        assert "Too many requests come from your address" in answers[2].text
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert answers[2].headers["x-frame-options"] == "DENY"
        assert (await other.post("/sign-in", data={"login": "x"})).status_code == 403


async def test_a_sign_in_that_succeeds_costs_nothing(make: Make) -> None:
    app = make(rates=SLOW)

    @app.post("/sign-in/well")
    @app.post("/reset/well")
    async def well() -> dict[str, str]:
        return {}

    async with visiting(app) as client:
        assert [(await client.post("/sign-in/well")).status_code for _ in range(5)] == [200] * 5
        assert (await client.post("/sign-in/well")).status_code == 429  # but it is a request like any other
    async with visiting(app, address="192.0.2.9") as client:  # while a letter costs, sent or not
        assert [(await client.post("/reset/well")).status_code for _ in range(3)] == [200, 200, 429]


async def test_kinds_of_requests_are_counted_apart_and_health_never(make: Make) -> None:
    async with visiting(make(rates=SLOW)) as client:
        for path, passing in (("/api/alarms", 2), ("/static/none", 1), ("/sign-in", 5)):
            found = [(await client.get(path)).status_code for _ in range(passing + 1)]
            assert 429 not in found[:-1]
            assert found[-1] == 429
        assert [(await client.get("/api/health")).status_code for _ in range(9)] == [200] * 9


async def test_uploads_have_a_rate_of_their_own(make: Make) -> None:
    async with visiting(make(rates=SLOW)) as client:
        found = [(await client.post("/api/stills/raw")).status_code for _ in range(2)]
        assert found == [200, 429]


async def test_an_ipv6_customer_shares_one_rate(make: Make) -> None:
    app = make(rates=Rates(pages=Rate(1, 2)))
    found = []
    for number in range(3):
        async with visiting(app, address=f"2001:db8::{number}") as client:
            found.append((await client.get("/sign-in")).status_code)
    assert found == [200, 200, 429]


async def test_a_refused_part_of_a_page_is_a_notice_and_an_api_gets_json(make: Make) -> None:
    async with visiting(make(rates=Rates(pages=Rate(1, 0), api=Rate(1, 0)))) as client:
        part = await client.get("/alarms", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-retarget"]) == (429, "#notices")
        assert "<html" not in part.text
        assert (await client.get("/api/alarms")).json()["error"].startswith("Too many requests")
