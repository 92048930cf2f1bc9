"""What templates and browser code never do: run text as code, trust strangers' text, keep or pass on what they show."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "web" / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "web" / "static").glob("*.js"))
PYTHON = sorted(path for folder in ("hub", "web", "deploy") for path in (ROOT / folder).rglob("*.py"))

RENDERED = {"rows", "command_rows", "tiles", "chips", "'<br>'"}  # what our own templates have made, hence escaped
RUNS_TEXT = re.compile(r"\beval\(|new Function|document\.write|insertAdjacentHTML|outerHTML|createContextualFragment")
SETS_HTML = re.compile(r"\binnerHTML\b.*")
SERVER_ROWS = {("rows.js", "innerHTML = message.html;")}  # rows as the server rendered them, into an inert <template>
KEEPS = re.compile(r"localStorage|sessionStorage|document\.cookie")
POLLUTES = re.compile(r"__proto__|\.prototype\b|\w\[[A-Za-z_.]+\]\s*=[^=]|Object\.assign\(")
OTHER_HOST = re.compile(r"""["'(=]\s*(https?:)?//[a-z0-9]""", re.IGNORECASE)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
POST_FORM = re.compile(r"<form[^>]*(?:method=.post|hx-post).*?</form>", re.IGNORECASE | re.DOTALL)
SECRET_FIELD = re.compile(r"<input[^>]*\b(?:name|autocomplete)=.[^>]*(?:password|one-time-code)[^>]*>")
BEGINS_WITH_DATA = re.compile(
    r"""\b(?:href|src|action|formaction|hx-get|hx-post|poster|data)=["']\{\{ *(\w+(?:\.\w+)?)"""
)
ADDRESSES = {  # what an address may begin with that is not written in the template
    "static": "a file of ours", "path": "a page of the menu", "next": "a page of ours, by inside()",
    "thing.path": "a page of ours about what an act was done to", "act.path": "the same",
    "row.link": "a page of ours, made by a list", "r.link": "a page of ours, checked when the request is made",
    "picture": "data of a JPEG that we have written", "address": "a provider's, checked when it was read",
}  # fmt: skip
SOCKET = 'address.protocol = location.protocol === "https:" ? "wss:" : "ws:"'
PAGE_SENDS_SECRET = "X-CSRF-Token"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SCRIPTS, ids=_name)
def test_a_script_runs_no_text_keeps_nothing_and_calls_nobody_else(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not RUNS_TEXT.search(text)
    assert {(path.name, found) for found in SETS_HTML.findall(text)} <= SERVER_ROWS
    assert not KEEPS.search(text)
    assert not OTHER_HOST.search(text)


@pytest.mark.parametrize("path", SCRIPTS, ids=_name)
def test_a_script_writes_no_property_whose_name_came_from_elsewhere(path: Path) -> None:
    assert not POLLUTES.search(path.read_text("utf-8"))


def test_no_script_listens_to_messages_of_other_windows() -> None:
    talk = re.compile(r"postMessage|window\.addEventListener\(.message|onmessage|jsonp", re.IGNORECASE)
    assert not [_name(path) for path in SCRIPTS if talk.search(path.read_text("utf-8"))]


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_template_marks_nothing_as_safe_but_what_templates_made(path: Path) -> None:
    text = path.read_text("utf-8")
    assert set(re.findall(r"([\w.']+|'[^']*')\s*\|\s*safe\b", text)) <= RENDERED
    assert "autoescape" not in text


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_template_holds_no_code_and_names_no_other_host(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not INLINE.search(text)
    assert not OTHER_HOST.search(text)


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_every_form_that_acts_carries_its_secret(path: Path) -> None:
    by_header = PAGE_SENDS_SECRET in (ROOT / "web" / "templates" / "layout.html").read_text("utf-8")
    for form in POST_FORM.findall(path.read_text("utf-8")):
        assert 'name="csrf"' in form or (by_header and "hx-post" in form)


def test_fields_for_secrets_are_masked_and_leave_password_stores_and_pasting_alone() -> None:
    fields = [field for path in TEMPLATES for field in SECRET_FIELD.findall(path.read_text("utf-8"))]
    assert fields
    for field in fields:
        assert 'type="password"' in field or "one-time-code" in field, field
        assert 'autocomplete="off"' not in field, field
    assert not [_name(path) for path in SCRIPTS if re.search(r"\bpaste\b", path.read_text("utf-8"))]


def test_pages_are_made_of_our_template_files_only() -> None:
    made = re.compile(r"\.from_string\(|\bTemplate\(|\bFunctionLoader\b|\bDictLoader\b|\bMarkup\(")
    assert not [_name(path) for path in PYTHON if made.search(path.read_text("utf-8"))]


def test_an_address_begins_with_a_place_of_ours_and_never_with_somebodys_text() -> None:
    found = {one for path in TEMPLATES for one in BEGINS_WITH_DATA.findall(path.read_text("utf-8"))}
    assert found <= set(ADDRESSES)


def test_a_socket_is_encrypted_where_its_page_is() -> None:
    opening = [path for path in SCRIPTS if "new WebSocket(" in path.read_text("utf-8")]
    assert [path.name for path in opening] == ["live.js"]
    assert SOCKET in opening[0].read_text("utf-8")
    assert not [path for path in SCRIPTS if "ws://" in path.read_text("utf-8")]
