"""The control page of a simulated site: faults by form, doors by button, nothing for pages of others."""

import asyncio
import contextlib
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from rules.model.site import parse
from simulators import site_run
from tests.field import HOST, device_text, free_port, site_text

DOOR = """
[[line]]
code = "L2"
gateway = "GW-1"
driver = "osdp"
host = "127.0.0.1"
port = {port}
poll_s = 1
"""


@dataclass
class Shown:
    """A browser at the page."""

    client: httpx.AsyncClient
    address: str

    async def send(self, path: str, **fields: str) -> httpx.Response:
        return await self.client.post(path, data=fields, headers={"Origin": self.address})


@pytest.fixture
async def shown() -> AsyncIterator[Shown]:
    text = site_text(free_port()) + DOOR.format(port=free_port())
    text += device_text("DOOR-1", 1, "osdp-reader").replace('line = "L1"', 'line = "L2"')
    page, ready = free_port(), asyncio.Event()
    run = site_run.run(parse(tomllib.loads(text)), seed=1, control_port=free_port(), page_port=page, ready=ready.set)
    task, up = asyncio.create_task(run), asyncio.create_task(ready.wait())
    await asyncio.wait([task, up], timeout=60, return_when=asyncio.FIRST_COMPLETED)
    assert up.done(), task
    address = f"http://{HOST}:{page}"
    async with httpx.AsyncClient(base_url=address, follow_redirects=True) as client:
        yield Shown(client, address)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_fault_is_injected_and_cleared_by_form(shown: Shown) -> None:
    page = await shown.client.get("/")
    assert "EM-1" in page.text
    assert "Nothing is wrong" in page.text
    assert "script" not in page.text
    page = await shown.send(
        "/inject", device="EM-1", kind="offset", measure="power", amount="6", start_s="", duration_s=""
    )
    assert page.status_code == 200
    assert "<td>offset</td><td>power</td><td>6.0</td><td>active</td>" in page.text
    page = await shown.send("/clear", id="1")
    assert "Nothing is wrong" in page.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"device": "EM-1", "kind": "offset", "amount": "6"}, "needs a measure"),
        ({"device": "EM-1", "kind": "offset", "measure": "power", "amount": "many"}, "amount"),
        ({"device": "<b>", "kind": "silent"}, "no device &#39;&lt;b&gt;&#39;"),
        ({"device": "DOOR-1", "kind": "silent"}, "no device"),
        ({}, "the fault cannot be used"),
    ],
)
async def test_what_cannot_be_is_said_on_the_page(shown: Shown, fields: dict[str, str], said: str) -> None:
    page = await shown.send("/inject", **fields)
    assert page.status_code == 200
    assert said in page.text.partition('role="alert">')[2].partition("</p>")[0]


async def test_a_badge_is_shown_at_a_door_by_a_button(shown: Shown) -> None:
    assert 'value="badge, granted"' in (await shown.client.get("/")).text
    page = await shown.send("/deed", device="DOOR-1", deed="badge, granted")
    assert 'role="alert"' not in page.text
    page = await shown.send("/deed", device="EM-1", deed="badge, granted")
    assert "there is no door or camera" in page.text


async def test_pages_of_others_get_nothing(shown: Shown) -> None:
    fault = {"device": "EM-1", "kind": "silent"}
    foreign = await shown.client.post("/inject", data=fault, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await shown.client.post("/inject", data=fault)).status_code == 403
    assert (await shown.client.get("/", headers={"Host": "evil.example"})).status_code == 421
    assert (await shown.client.get("/nothing")).status_code == 404
    page = await shown.client.get("/")
    assert "Nothing is wrong" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
