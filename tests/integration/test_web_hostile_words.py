"""Whatever anybody wrote is shown as what it says: no page gains an element, an attribute or a code from a name."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from hub.store.database import Database
from tests.builders import WIDE, Dsns, Park
from tests.e2e.stage import PASSWORD, populate
from tests.integration.test_web_rights import sign_in
from web.app import create
from web.render import render
from web.settings import WebSettings
from web.sign_in import inside

PAGES_MAX = 150
# Ends a tag, an attribute, a script, a comment, a template and a format; begins an element and a handler of events.
HOSTILE = """<x-probe>"><x-probe y-probe='1' onload=f()>'><img src=x onerror=f()></script>-->{{ 7*7 }}{% x %}%(y)s%"""
# Words of our programs, which no visitor and no site file writes: changed, they would mean nothing.
MACHINE_WORDS = re.compile(
    r"\b(kind|role|roles|scope|status|state|event|verb|action|entity|language|currency|timezone|unit|measure|rule|"
    r"rule_version|priority|quality|driver|commodity|tariff|profile|skills|zones|line|code|number|login|token_hash|csrf|"
    r"password_hash|sealed|hash|previous|series|period|month|gateway|spool|rounding|acknowledge|method|tax_code)\b"
)
TEXT_COLUMNS = """
SELECT c.table_name, c.column_name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.data_type = 'text' AND c.is_generated = 'NEVER'
ORDER BY 1, 2"""


class Strictly(HTMLParser):
    """Reads a page; keeps where its links lead, what it says, and everything that a name must not make."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.found: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if "probe" in tag or (tag in ("img", "script") and dict(attrs).get("src") in (None, "x")):
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name, _ in attrs if "probe" in name or re.match(r"on[a-z]", name)]
        self.found += [f"{tag} {name}={value}" for name, value in attrs if re.match(r"\\s*javascript:", value or "")]
        self.words += [value or "" for _, value in attrs]
        link = dict(attrs).get("href") or ""
        if tag == "a" and link.startswith("/"):
            self.links.add(link)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.found.append(f"<!--{data}")


def read(page: str) -> Strictly:
    reader = Strictly()
    reader.feed(page)
    reader.close()
    return reader


def poison(dsns: Dsns) -> set[str]:
    """Put HOSTILE into every text of the database that a person writes; gives the columns that took it."""
    taken = set()
    with psycopg.connect(dsns.owner) as connection:
        connection.execute("SET session_replication_role = replica")  # papers that never change do, for this test
        for table, column in connection.execute(TEXT_COLUMNS).fetchall():
            if MACHINE_WORDS.search(column):
                continue
            words = sql.SQL("UPDATE {} SET {} = {} || %s").format(*map(sql.Identifier, (table, column, column)))
            try:
                with connection.transaction():
                    if connection.execute(words, [HOSTILE]).rowcount:
                        taken.add(f"{table}.{column}")
            except psycopg.errors.IntegrityError:
                continue  # the database lets nothing but words of ours in
    return taken


@pytest.fixture
async def hostile(database: Database, park: Park) -> dict[str, str]:
    """A populated park with hostile words everywhere; logins by role."""
    users = await populate(database, park)
    taken = poison(park.dsns)
    assert {"sites.name_zh", "devices.name_en", "tenants.name_zh", "users.name", "alarms.name_en"} <= taken
    return users


@pytest.fixture
async def client(database: Database, park: Park) -> AsyncIterator[httpx.AsyncClient]:
    app = create(database, WebSettings(park.dsns.hub, broadcast=False, rates=WIDE))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as opened:
        yield opened


async def crawl(client: httpx.AsyncClient) -> dict[str, Strictly]:
    """Follow one link of every kind from the front page; gives what was read, by path."""
    waiting, seen, kinds = ["/"], {}, set[str]()
    while waiting and len(seen) < PAGES_MAX:
        link = waiting.pop()
        answer = await client.get(link, follow_redirects=True)
        assert answer.status_code < 500, (link, answer.text)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        seen[link] = read(answer.text)
        for new in sorted(seen[link].links):
            if _kind(new) not in kinds:
                kinds.add(_kind(new))
                waiting.append(new)
    return seen


def _kind(link: str) -> str:
    """What pages of one kind have in common: the words of their paths, not the codes."""
    return "/".join(part if part.isalpha() else "one" for part in urlsplit(link).path.split("/"))


async def test_no_name_makes_an_element_an_attribute_or_a_code_of_any_page(
    client: httpx.AsyncClient, hostile: dict[str, str], park: Park
) -> None:
    for language in ("zh", "en"):
        with psycopg.connect(park.dsns.owner) as connection:
            connection.execute("UPDATE users SET language = %s", [language])
        for role, pages_min in (
            ("administrator", 14),
            ("engineer", 8),
            ("billing", 8),
            ("technician", 2),
            ("tenant", 2),
        ):
            client.cookies.clear()
            await sign_in(client, hostile[role], PASSWORD)
            pages = await crawl(client)
            assert len(pages) >= pages_min, (role, sorted(pages))
            assert {path: page.found for path, page in pages.items() if page.found} == {}
            said = "\n".join(word for page in pages.values() for word in page.words)
            assert "<x-probe>" in said
            assert "{{ 7*7 }}" in said


@pytest.mark.parametrize("template", ["error.html", "notice.html", "sign_in.html"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_refusal_that_quotes_what_was_asked_quotes_it_as_text(template: str, language: str) -> None:
    words = {"status": 404, "sentence": HOSTILE, "problem": HOSTILE, "reference": "", "visit": None, "site": None,
             "providers": []}  # fmt: skip
    page = read(render(language, template, **words, next="/", csrf="x"))
    assert page.found == []
    assert any("{{ 7*7 }}{% x %}%(y)s%" in word for word in page.words)


async def test_what_stands_in_an_address_comes_back_as_text(client: httpx.AsyncClient, hostile: dict[str, str]) -> None:
    await sign_in(client, hostile["administrator"], PASSWORD)
    for start in ("/points/", "/orders/", "/invoices/", "/leases/", "/", "/points?device=", "/alarms?priority=",
                  "/orders?show=", "/invoices?month=", "/sign-in?next=/", "/alarms/history?day="):  # fmt: skip
        for headers in ({}, {"HX-Request": "true"}):
            answer = await client.get(start + quote(HOSTILE), headers=headers)
            assert answer.status_code < 500
            assert read(answer.text).found == []


HERE = "https://plantroom.test"
TRICKS = [
    "//evil.example", "///evil.example", "////evil.example/%2f..", "\\\\evil.example", "/\\evil.example",
    "/\\/evil.example", "\\/\\/evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "\tjavascript:alert(1)", "data:text/html,x", "evil.example",
    ".evil.example", "@evil.example", "/\t/evil.example", "/\n/evil.example", "/\r//evil.example",
    "\x00//evil.example", " //evil.example", "/\u2028/evil.example", "\u3000//evil.example",
    "\uff0f\uff0fevil.example", "/%09/evil.example", "/%5cevil.example", "/%2f%2fevil.example", "/.evil.example",
    "/..//evil.example", "/./\\evil.example", "/;@evil.example", "/?@evil.example", "/#@evil.example",
    "/%0d%0aLocation:%20https://evil.example", "/\u560d\u560aLocation: x", "?next=//evil.example", "",
]  # fmt: skip


@pytest.mark.parametrize("asked", TRICKS)
def test_no_trick_leads_to_another_host_or_into_a_header(asked: str) -> None:
    led = inside(asked)
    assert led.isascii()
    assert led.isprintable()
    assert led.startswith("/")
    assert not led.startswith(("//", "/\\"))
    assert httpx.URL(HERE).join(led).host == "plantroom.test"
    assert urlsplit(led).netloc == ""
