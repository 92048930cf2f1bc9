"""Which back end the store of readings has here, whether it can be used, and what would give a better one.

One SQL text serves all of them (see migration 0022): only the doctor and the care of old readings need to know.  What
the server can do is asked of the server: TimescaleDB's licence is a setting that pg_settings lists only when its
library was loaded (current_setting also gives what merely stands in a file).
"""

from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg.errors import InternalError_, UndefinedFile
from psycopg.rows import TupleRow, class_row

OLDEST_TIMESCALEDB = (2, 14)  # by_range of create_hypertable, and late rows in compressed chunks
PRELOAD = "set shared_preload_libraries = 'timescaledb' in postgresql.conf and restart PostgreSQL"
UPDATE = "psql -X -c 'ALTER EXTENSION timescaledb UPDATE'"
CONVERT = "'plantroom store convert' moves the readings into it"

# Whether the owner may create the extension: it is trusted, so whoever may create schemas here may.
FACTS = b"""
SELECT (SELECT setting FROM pg_settings WHERE name = 'timescaledb.license') AS licence,
       EXISTS (SELECT FROM pg_settings WHERE name LIKE 'timescaledb.%') AS loaded,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS installed,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb') AS available,
       (SELECT extversion FROM pg_extension WHERE extname = 'citus') AS citus,
       (SELECT relkind <> 'p' FROM pg_class WHERE oid = to_regclass('public.samples')) AS hypertable,
       (SELECT r.rolsuper OR has_database_privilege(r.oid, d.oid, 'CREATE') AND EXISTS (
            SELECT FROM pg_available_extension_versions WHERE name = 'timescaledb' AND trusted)
        FROM pg_database d
        JOIN pg_roles r ON r.oid = coalesce(
            (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.samples')), current_user::regrole::oid)
        WHERE d.datname = current_database()) AS may_create
"""
COMPRESSED = b"SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed"

Connection = psycopg.Connection[TupleRow]


class Kind(StrEnum):
    """The back ends."""

    PLAIN = "plain"  # native weekly partitions
    APACHE = "timescaledb apache"  # hypertable
    COLUMNSTORE = "timescaledb tsl"  # hypertable, closed chunks compressed
    CITUS = "citus"  # native weekly partitions, distributed by point


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says; None: it has nothing of the kind.  ``compressed`` counts compressed chunks."""

    licence: str | None = None
    loaded: bool = False
    installed: str | None = None
    available: str | None = None
    citus: str | None = None
    hypertable: bool | None = None
    may_create: bool = True
    compressed: int = 0


@dataclass(frozen=True, slots=True)
class Backend:
    """A back end; ``hint`` says how a better one could be had, ``problem`` and ``advice`` why it cannot be used."""

    kind: Kind
    version: str = ""
    hint: str = ""
    problem: str = ""
    advice: str = ""

    @property
    def usable(self) -> bool:
        """Whether readings can be stored and read."""
        return not self.problem

    def sentence(self) -> str:
        """Name it, in the doctor's words."""
        named = f"{self.kind} ({self.version})" if self.version else str(self.kind)
        return f"{named}: {self.problem}" if self.problem else f"{named}; {self.hint}" if self.hint else named


def detect(connection: Connection) -> Backend:
    """Ask the server; a TimescaleDB that answers nothing at all is named as such, other errors are psycopg's."""
    try:
        with connection.cursor(row_factory=class_row(Facts)) as cursor:
            facts = cursor.execute(FACTS).fetchone() or Facts()
            compressed = 0
            if facts.licence and facts.installed and facts.hypertable:
                compressed = (connection.execute(COMPRESSED).fetchone() or (0,))[0]
    except (InternalError_, UndefinedFile) as error:
        found = broken(error)
        if found is None:
            raise
        return found
    return judge(facts, compressed)


def broken(error: psycopg.Error) -> Backend | None:
    """Say what an error of the server means for the store; None for one that says nothing about its back end."""
    said = str(error)
    if isinstance(error, UndefinedFile) and "timescaledb" in said:
        return Backend(
            Kind.APACHE,
            problem="this database was made with a version of TimescaleDB that is no longer installed",
            advice=f"Install that version again beside the new one, then: {UPDATE}.",
        )
    if "timescaledb" in said and "preload" in said:
        return Backend(Kind.APACHE, problem=_NOT_LOADED, advice=_sentence(PRELOAD))
    return None


_NOT_LOADED = "this database has TimescaleDB, but its server has not loaded it: readings are there and cannot be seen"


def judge(facts: Facts, compressed: int = 0) -> Backend:
    """Choose the back end from what the server says."""
    if facts.citus and not facts.hypertable:
        return Backend(Kind.CITUS, facts.citus)
    if not facts.installed or facts.hypertable is False:
        return Backend(Kind.PLAIN, hint=_better(facts))
    kind = Kind.COLUMNSTORE if facts.licence == "timescale" else Kind.APACHE
    problem, advice = _trouble(facts, compressed)
    return Backend(kind, facts.installed, problem=problem, advice=advice)


def _trouble(facts: Facts, compressed: int) -> tuple[str, str]:
    if facts.licence is None:
        return _NOT_LOADED, _sentence(PRELOAD)
    if _version(facts.installed) < OLDEST_TIMESCALEDB:
        oldest = ".".join(map(str, OLDEST_TIMESCALEDB))
        return (
            f"this TimescaleDB is older than {oldest}",
            f"Install a newer one, then: {UPDATE}.",
        )
    if facts.licence != "timescale" and compressed:
        return (
            f"{compressed} weeks of readings are compressed, which the licence '{facts.licence}' cannot read",
            "Set timescaledb.license = 'timescale' in postgresql.conf and reload PostgreSQL (not Debian's edition).",
        )
    return "", ""


def _better(facts: Facts) -> str:
    """Say how a plain database would get TimescaleDB; empty where its server has none."""
    if facts.installed and facts.licence:
        return f"TimescaleDB {facts.installed} is here and holds no readings: {CONVERT}"
    if not facts.available:
        return ""
    if not facts.loaded:
        return f"TimescaleDB {facts.available} is installed and not used: {PRELOAD}, then {CONVERT}"
    if not facts.may_create:
        return (
            f"TimescaleDB {facts.available} is loaded, but the owner of this database may not use it: let a superuser "
            f"say CREATE EXTENSION timescaledb in it, then {CONVERT}"
        )
    return f"TimescaleDB {facts.available} is loaded and not used: {CONVERT}"


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (text or "0").split("-")[0].split(".") if part.isdigit())


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
