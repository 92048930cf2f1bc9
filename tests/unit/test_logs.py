"""The log: one line a record, in UTC, without secrets, and nobody forges or floods it."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy import logs
from hub.refusals import LINES_PER_MINUTE, STREAK_S, STREAKS_MAX, Refusals

log = logging.getLogger("plantroom.tests")
Begin = Callable[..., None]


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def out() -> io.StringIO:
    """What is written while a program logs."""
    return io.StringIO()


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    logging.captureWarnings(capture=False)
    for name in logs.NOISY:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def begin(out: io.StringIO) -> Iterator[Begin]:
    """Set up logging as a program does that nobody else listens to."""
    root = logging.getLogger()
    held: list[logging.Handler] = []
    level = root.level

    def set_up(form: logs.Form = "text", **context: str) -> None:
        held.extend(root.handlers)
        root.handlers.clear()
        logs.set_up("web", form, debug=False, context=lambda: context, stream=out)

    yield set_up
    root.handlers[:] = held
    root.setLevel(level)


def fail(error: Exception) -> None:
    try:
        raise error
    except type(error):
        log.exception("it failed")


def test_a_line_says_when_in_utc_how_bad_which_program_and_who_asked(begin: Begin, out: io.StringIO) -> None:
    begin(request="5f3c", actor="li.wei", organisation="")
    log.warning("the door %s is open", 7)
    found = re.fullmatch(
        r"(\S+) WARNING web plantroom\.tests: the door 7 is open \[request=5f3c actor=li\.wei\]\n", out.getvalue()
    )
    assert found is not None
    at = datetime.fromisoformat(found[1])
    assert at.utcoffset() is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert found[1].endswith("+00:00")


def test_json_lines_say_the_same(begin: Begin, out: io.StringIO) -> None:
    begin("json", request="5f3c")
    fail(ValueError("broken\nin two"))
    (line,) = out.getvalue().splitlines()
    told = json.loads(line)
    assert (told["level"], told["program"], told["request"], told["message"]) == ("ERROR", "web", "5f3c", "it failed")
    assert "ValueError: broken" in told["trace"]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("what", ["path", "login", "topic", "file name"])
@pytest.mark.parametrize(
    "break_", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2J", "\x00", "\u202e"]
)
def test_nothing_that_somebody_sends_begins_a_line_of_its_own(
    begin: Begin, out: io.StringIO, form: logs.Form, what: str, break_: str
) -> None:
    begin(form, actor=f"x{break_}y")
    log.error("no such %s: %s", what, f"a{break_}2026-01-31T16:00:00.000+00:00 INFO web: all is well")
    text = out.getvalue()
    assert text.endswith("\n")
    assert len(text[:-1].splitlines()) == 1
    assert text[:-1].isprintable()


def test_a_traceback_cannot_be_taken_for_records(begin: Begin, out: io.StringIO) -> None:
    begin()
    fail(ValueError("bad\n2026-01-31T16:00:00.000+00:00 INFO web: all is well\r\x85forged"))
    head, *trace = out.getvalue().splitlines()
    assert head.endswith("it failed")
    assert len(trace) > 3
    assert all(line.startswith("  | ") for line in trace)


def test_chinese_words_stay_readable(begin: Begin, out: io.StringIO) -> None:
    begin()
    log.warning("园区\u3000一号楼")
    assert "园区\u3000一号楼" in out.getvalue()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("postgresql://plantroom:s3cr3t@db.example/plantroom", "postgresql://plantroom:***@db.example/plantroom"),
        ("host=db user=hub password=s3cr3t port=5432", "host=db user=hub password=*** port=5432"),
        ("host=db password='s3 cr3t' port=5432", "host=db password=*** port=5432"),
        ("Authorization: Bearer s3cr3ts3cr3t.x", "Authorization: Bearer ***"),
        ("csrf=s3cr3t&login=li.wei", "csrf=***&login=li.wei"),
        ('{"client_secret": "s3cr3t", "login": "x"}', '{"client_secret": ***, "login": "x"}'),
        ("{'totp_seed': 's3cr3t'}", "{'totp_seed': ***}"),
        ("plantroom_session=s3cr3t; other=1", "plantroom_session=***; other=1"),
        ("Cookie: __Host-plantroom_session=s3cr3t; a=1", "Cookie: ***; a=1"),
        (f"token is plantroom_aB3-_x{'s3cr3t' * 6}A", "token is plantroom_aB3-_x***"),
        ("$argon2id$v=19$m=65536,t=3,p=4$s3cr3t", "***"),
        ("-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----", "***"),
        ("/reset?token=s3cr3t", "/reset?token=***"),
        ("Key (login)=(li.wei) already exists.", "Key (login)=(li.wei) already exists."),
        ("the key_id=7 is used", "the key_id=7 is used"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(begin: Begin, out: io.StringIO, said: str, kept: str) -> None:
    begin()
    log.warning("%s", said)
    assert "s3cr3t" not in out.getvalue()
    assert logs.escape(kept) in out.getvalue()


def test_a_secret_in_a_traceback_is_taken_out(begin: Begin, out: io.StringIO) -> None:
    begin()
    fail(OSError("cannot reach postgresql://hub:s3cr3t@db/x"))
    assert "s3cr3t" not in out.getvalue()


def test_a_long_message_is_cut_and_a_flood_is_rationed(begin: Begin, out: io.StringIO) -> None:
    begin()
    log.warning("x" * 1_000_000)
    assert len(out.getvalue()) < 10_000
    clock = Clock()
    outlet = logs.Outlet(flood := io.StringIO(), clock)
    for n in range(5_000):
        outlet.handle(logging.LogRecord("x", logging.INFO, "", 0, f"no. {n}", None, None))
    assert len(flood.getvalue().splitlines()) == logs.LINES_BURST
    clock.now_s += 1
    outlet.handle(logging.LogRecord("x", logging.INFO, "", 0, "later", None, None))
    said, later = flood.getvalue().splitlines()[-2:]
    assert (said, later) == (f"{5_000 - logs.LINES_BURST} lines were left out: this program says too much", "later")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_refusal_is_told_once_per_streak_and_then_by_its_count(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = Refusals(clock)
    firsts = [refusals.note("unknown name", "192.0.2.7", login='x" to="y') for _ in range(150)]
    assert firsts == [True] + [False] * 149
    assert [line.split(" ", 3)[-1].split(" times=")[-1] for line in caplog.messages] == [
        'to="192.0.2.7" login="x\\" to=\\"y"', '"10" within_s="0"', '"100" within_s="0"',
    ]  # fmt: skip
    clock.now_s += STREAK_S
    assert refusals.note("something else", "192.0.2.8")
    assert 'times="150"' in caplog.messages[3]  # the streak is over
    assert refusals.note("unknown name", "192.0.2.7")
    assert caplog.records[0].name == "plantroom.security"


def test_many_addresses_cannot_fill_the_log_or_the_memory(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(clock)
    for n in range(STREAKS_MAX + 500):
        refusals.note("unknown name", f"2001:db8::{n:x}")
    assert len(refusals._streaks) == STREAKS_MAX
    assert len(caplog.messages) == LINES_PER_MINUTE
    clock.now_s += 60
    refusals.note("unknown name", "192.0.2.7")
    left_out = STREAKS_MAX + 500 - LINES_PER_MINUTE
    assert f"{left_out} more refusals were not logged one by one" in caplog.messages


def test_a_refusal_never_carries_a_long_text(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    Refusals(clock).note("unknown name", "x" * 5_000, login="y" * 5_000)
    assert len(caplog.messages[0]) < 500


def test_a_json_line_names_its_event_and_its_fields_without_secrets(begin: Begin, out: io.StringIO) -> None:
    begin("json")
    lost = {"event": "broker.lost", "gateway": "GW-1", "reason": "mqtt://a:hunter2hunter2@b refused\n", "count": 3}
    log.warning("gone", extra={**lost, "counts": {"stored": 7}, "invented": "x"})
    told = json.loads(out.getvalue())
    assert (told["event"], told["gateway"], told["count"], told["counts"]) == ("broker.lost", "GW-1", 3, {"stored": 7})
    assert "hunter2" not in out.getvalue()
    assert "\\n" in told["reason"]
    assert "invented" not in told


def test_a_text_line_says_the_sentence_alone(begin: Begin, out: io.StringIO) -> None:
    begin()
    log.warning("gone", extra={"event": "broker.lost", "gateway": "GW-1"})
    assert out.getvalue().endswith("plantroom.tests: gone\n")


def test_every_event_that_a_program_names_is_known_and_every_known_one_is_named() -> None:
    root = Path(__file__).parents[2]
    files = [path for folder in ("hub", "edge_agent", "web", "deploy") for path in (root / folder).rglob("*.py")]
    texts = [path.read_text("utf-8") for path in files if "node_modules" not in path.parts]
    named = {name for text in texts for name in re.findall(r'"event": "(\w+\.\w+)"', text)}
    assert named == set(logs.EVENTS)
