"""How every program of ours writes its log: one line a record, UTC with its offset, nothing secret, nothing forged.

A line names time, level, program, logger, and, where a request is being answered, its number, who asks and in which
organisation.  Characters that are not for print are escaped, so that no name, path or topic can begin a line of its
own.  What looks like a secret is taken out, long texts are cut, and a program that says too much is rationed.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

from rules.model.secret import is_secret

Form = Literal["text", "json"]
Context = Callable[[], Mapping[str, str]]

MESSAGE_CHARACTERS_MAX = 8_000
TRACE_CHARACTERS_MAX = 20_000
LINES_BURST = 2_000
LINES_PER_S = 50.0
NOISY = ("pymodbus", "apscheduler", "httpx", "asyncio")
HIDDEN = "***"

_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(://[^\s:/@]*:)[^\s@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"\$argon2\S+"), HIDDEN),
    (re.compile(r"\b(plantroom_[A-Za-z0-9_-]{6})[A-Za-z0-9_-]{37}"), rf"\1{HIDDEN}"),  # an API token
    (re.compile(r"\b((?:__Host-)?plantroom_(?:session|door)=)[^\s;]+"), rf"\1{HIDDEN}"),
)
_FIELD = re.compile(r"""([A-Za-z][\w-]{1,40})(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s"'&;,)}\]]+)""")


def redact(text: str) -> str:
    """Give a text without what looks like a secret: passwords of addresses, bearer tokens, fields named like one."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return _FIELD.sub(lambda found: found[1] + found[2] + HIDDEN if is_secret(found[1]) else found[0], text)


def escape(text: str) -> str:
    r"""Give a text on one line: what is not for print becomes ``\n``, ``\x1b``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\u3000" else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, most: int) -> str:
    """Give a text of at most about ``most`` characters: the beginning and, of a longer one, the end."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... ({len(text) - most} characters left out) ... {text[-(most // 2) :]}"


class TextLine(logging.Formatter):
    """``2026-01-31T16:00:00.000+00:00 WARNING web hub.streak: what happened [request=5f actor=li.wei]``.

    A traceback follows, each of its lines behind a bar.
    """

    def __init__(self, program: str, context: Context) -> None:
        super().__init__()
        self._program = program
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        context = " ".join(f"{name}={escape(value)}" for name, value in self._context().items() if value)
        line = f"{moment(record)} {record.levelname} {self._program} {record.name}: {escape(message(record))}"
        trace = "".join(f"\n  | {escape(part)}" for part in traced(self, record).split("\n") if part)
        return line + (f" [{context}]" if context else "") + trace


EVENTS = {  # stable names of what programs that read the log look for; the sentence beside them is for people
    "hub.ready": "the hub takes in readings",
    "edge.started": "a gateway's program begins",
    "database.lost": "nothing is stored",
    "database.back": "storing goes on",
    "broker.lost": "no connection to the broker",
    "broker.connected": "a gateway is connected",
    "ingest.report": "what ingest did so far, every 30 s where it did anything",
    "ingest.left_out": "the database refuses something for good",
    "jobs.held": "this hub does the jobs",
    "jobs.released": "it no longer does",
    "work.failed": "repeated work fails, said once",
    "work.back": "it works again",
    "audit.anchor_mismatch": "the record of acts was changed",
    "device.lost": "a device does not answer",
    "device.back": "it answers again",
    "point.bad": "a point gives no good value",
    "point.good": "it does again",
    "spool.filling": "a spool is filling up",
    "spool.lost_readings": "a spool gave up readings",
    "spool.full": "a spool takes nothing more",
    "backup.made": "a backup is whole",
    "restore.done": "a backup is back",
    "migration.begun": "a migration is being applied",
}
FIELDS = ("site", "gateway", "device", "point", "work", "reason", "percent", "count", "counts", "took_s")


class JsonLine(TextLine):
    """The same as one JSON object on one line, with the name of the event (EVENTS) and its FIELDS where it has them."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        told = {
            "at": moment(record),
            "level": record.levelname,
            "program": self._program,
            "logger": record.name,
            **{name: escape(value) for name, value in self._context().items() if value},
            "message": escape(message(record)),
            **{name: _field(getattr(record, name)) for name in ("event", *FIELDS) if hasattr(record, name)},
        }
        if trace := traced(self, record):
            told["trace"] = "\n".join(escape(part) for part in trace.split("\n"))
        return json.dumps(told, ensure_ascii=False)


def _field(value: object) -> object:
    """Give what a field says: numbers as they are, texts without secrets and not too long."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        return {str(name): _field(one) for name, one in value.items()}
    return escape(cut(redact(str(value)), MESSAGE_CHARACTERS_MAX))


def moment(record: logging.LogRecord) -> str:
    """Give the time of a record: UTC, with its offset."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def message(record: logging.LogRecord) -> str:
    """Give what a record says, without secrets and not too long."""
    return cut(redact(record.getMessage()), MESSAGE_CHARACTERS_MAX)


def traced(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Give the traceback of a record, '' if it has none."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return cut(redact(formatter.formatException(record.exc_info)), TRACE_CHARACTERS_MAX)


class Outlet(logging.StreamHandler[TextIO]):
    """The way out: LINES_BURST lines at once, LINES_PER_S in the long run; of more it says how many there were."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._left, self._at_s, self._dropped = float(LINES_BURST), clock(), 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record if there is a line left for it."""
        now_s = self._clock()
        self._left = min(self._left + (now_s - self._at_s) * LINES_PER_S, LINES_BURST)
        self._at_s = now_s
        if self._left < 1:
            self._dropped += 1
            return
        self._left -= 1
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            super().emit(_note(f"{dropped} lines were left out: this program says too much"))
        super().emit(record)


def _note(said: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, said, None, None)


def set_up(program: str, form: Form, *, debug: bool, context: Context, stream: TextIO | None = None) -> None:
    """Let everything that is logged from here on go out in one form; ``context`` says what is being answered.

    Where somebody listens already (a test), nothing changes.
    """
    outlet = Outlet(stream or sys.stderr)
    outlet.setFormatter((JsonLine if form == "json" else TextLine)(program, context))
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[outlet])
    logging.captureWarnings(capture=True)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
