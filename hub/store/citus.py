"""Spread the series over several nodes with Citus, the distributed PostgreSQL.  For the owner, on the coordinator.

``points`` and everything that people and money touch stay on the coordinator, with their policies, keys and triggers:
Citus refuses policies with subqueries on tables that it spreads or copies, and triggers too.  The series go to the
workers, hashed by point.  There a shard is asked under the role of the transaction, not under that of the view through
which it is seen; so the reading role is given to the application's role, on the workers only.  On the coordinator the
views stay the one way to a reading, and join ``points`` under its policy before anything is sent out.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

import psycopg
from psycopg import sql

from hub.store.migrate import migrations
from hub.store.series import POINT, SERIES

Connection = psycopg.Connection[tuple[Any, ...]]
Progress = Callable[[str], None]

SPEAKERS = ("plantroom_ingest", "plantroom_app")  # the roles under which transactions read or write series
LOCK_TIMEOUT_S = 60
SHARDS = 32  # per table, and per partition: the most workers that can share it
SHARDS_MOST = 256
OLDEST = 12  # plans outer joins of what stays with what is spread

_PRESENT = b"SELECT extversion FROM pg_extension WHERE extname = 'citus'"
_HYPER = b"SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_WORKERS = (
    b"SELECT nodename || ':' || nodeport FROM pg_dist_node WHERE groupid <> 0 AND isactive "
    b"AND noderole = 'primary' ORDER BY 1"
)
_GROUP = b"SELECT groupid FROM pg_dist_local_group"
_HOLDS_SHARDS = b"SELECT EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0 AND shouldhaveshards)"
_SPREAD = (
    b"SELECT c.relname FROM pg_dist_partition d JOIN pg_class c ON c.oid = d.logicalrelid WHERE d.partmethod = 'h'"
)
_COLOCATIONS = b"""
SELECT count(DISTINCT d.colocationid) FROM pg_dist_partition d JOIN pg_class c ON c.oid = d.logicalrelid
WHERE c.relname = ANY(%s)
"""
_TABLES = b"SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
_LEAVES = b"SELECT relid::regclass::text FROM pg_partition_tree(%s) WHERE isleaf"
_APPLIED = b"SELECT number FROM public.schema_migrations"
_RUN = b"SELECT nodename || ':' || nodeport, success, result FROM run_command_on_workers(%s)"
_AMENDED = b"SELECT EXISTS (SELECT FROM public.amendments)"
_CAN_READ = "SELECT pg_has_role('plantroom_app', 'plantroom_reader', 'USAGE')"

# On one server amendments overlay the samples by a union, and a sub-select for each row.  Citus would fetch all samples
# for that; on nodes the views show the samples alone, and there are no amendments that would have to lie over them.
PLAIN = (
    b"""CREATE OR REPLACE VIEW public.readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, s.point_id, p.code AS point, s.at, s.value, s.quality
    FROM public.points p JOIN public.samples s ON s.point_id = p.id""",
    b"""CREATE OR REPLACE VIEW public.effective_samples WITH (security_invoker = true) AS
    SELECT point_id, at, value, quality FROM public.samples""",
    b"""CREATE OR REPLACE TRIGGER on_nodes BEFORE INSERT ON public.amendments
    FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_on_nodes()""",
)


class SpreadError(Exception):
    """The series cannot be spread over nodes: the sentence says why and what to do."""


def version(connection: Connection) -> str | None:
    """Give the version of Citus in this database, None where there is none."""
    return cast("str | None", _value(connection, _PRESENT))


def workers(connection: Connection) -> list[str]:
    """Give the workers, as host:port."""
    return [cast("str", row[0]) for row in connection.execute(_WORKERS)]


def spread(connection: Connection) -> set[str]:
    """Give which of the series are spread over the workers."""
    return {cast("str", row[0]) for row in connection.execute(_SPREAD)} & set(SERIES)


def series_here(connection: Connection) -> list[str]:
    """Give the series tables that this schema has, in the order of SERIES."""
    found = {cast("str", row[0]) for row in connection.execute(_TABLES)}
    return [table for table in SERIES if table in found]


def unreadable(connection: Connection) -> list[str]:
    """Give the workers on which the application's role may not read shards (one that was added later)."""
    rows = connection.execute(_RUN, [_CAN_READ]).fetchall()
    return [cast("str", node) for node, success, result in rows if not success or result not in ("t", "true")]


def amended(connection: Connection) -> bool:
    """Whether corrections lie over readings, of whatever organisation: for a moment no policy holds the owner back."""
    with connection.transaction(force_rollback=True):
        connection.execute(b"ALTER TABLE public.amendments NO FORCE ROW LEVEL SECURITY")
        return bool(_value(connection, _AMENDED))


def distribute(owner_dsn: str, progress: Progress = lambda _: None, shards: int = SHARDS) -> list[str]:
    """Spread the series and open the workers to our roles; give the tables that were moved now.

    Run again after a worker was added or a migration brought a new series table; what is done already stays.  Each
    table is one transaction: writers wait for it (their frames stay in the gateways' spools), readers do not.
    Raises SpreadError.
    """
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        tables = _check(connection)
        connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'".encode())
        for role in SPEAKERS:
            _said(connection, sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)), "allow sign-in")
        _on_workers(connection, _exist(), progress)
        _show_samples(connection)
        moved = [table for table in tables if table not in spread(connection)]
        for table in tables:
            progress(f"{table}: {_spread_one(connection, table, tables[0], shards) if table in moved else 'is spread'}")
        _on_workers(connection, _open(), progress)
        if _value(connection, _COLOCATIONS, [tables]) != 1:
            raise SpreadError(
                f"The tables {', '.join(tables)} were spread in different ways before; undo that for each with "
                "undistribute_table() and run this again."
            )
        return moved


def prove(hub_dsn: str) -> None:
    """Ask the workers as the programs do; raises SpreadError where they do not answer or let nothing be read."""
    with psycopg.connect(hub_dsn, autocommit=True) as connection:
        for role, table in zip(SPEAKERS, ("latest", "latest_readings"), strict=True):
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            try:
                connection.execute(sql.SQL("SELECT max(point_id) FROM {}").format(sql.Identifier(table)))
            except psycopg.Error as error:
                raise SpreadError(
                    f"The workers do not answer {role} ({' '.join(str(error).split())}); let the coordinator sign in "
                    "there under that name: by pg_hba.conf of the workers, or by pg_dist_authinfo or .pgpass here."
                ) from error
            connection.execute(b"RESET ROLE")


def _check(connection: Connection) -> list[str]:
    """Give the tables to spread; raises SpreadError where this cannot be the coordinator of a plain store."""
    found = version(connection)
    if found is None:
        raise SpreadError(
            "This database has no Citus: CREATE EXTENSION citus on every node and citus_add_node() for each worker, or "
            "stay with one server."
        )
    if int(found.partition(".")[0]) < OLDEST:
        raise SpreadError(f"Citus {found} is too old for the questions asked here; use {OLDEST} or newer.")
    if _value(connection, _GROUP) != 0:
        raise SpreadError("This is a worker; give the DSN of the coordinator.")
    if not workers(connection):
        raise SpreadError("The coordinator has no workers; add them with SELECT citus_add_node('host', 5432).")
    if _value(connection, _HOLDS_SHARDS):
        raise SpreadError(
            "The coordinator would hold shards itself, where the wall between organisations does not reach; run "
            "SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', false) FROM pg_dist_node "
            "WHERE groupid = 0."
        )
    if _value(connection, _HYPER) is not None:
        raise SpreadError("This database has TimescaleDB, whose hypertables Citus does not spread; use one of the two.")
    if _value(connection, b"SELECT to_regclass('public.schema_migrations')") is None:
        raise SpreadError("There is no schema yet; run 'plantroom hub migrate' first.")
    missing = {one.number for one in migrations()} - {row[0] for row in connection.execute(_APPLIED)}
    if missing:
        raise SpreadError(f"{len(missing)} migrations are missing; run 'plantroom hub migrate' first.")
    if amended(connection):
        raise SpreadError(
            "People have corrected readings here, and corrections cannot lie over readings on several nodes; stay with "
            "one server and its replicas."
        )
    return series_here(connection)


def _show_samples(connection: Connection) -> None:
    with connection.transaction():
        connection.execute(b"SET LOCAL citus.enable_ddl_propagation TO off")  # the views stay on the coordinator
        for statement in PLAIN:
            connection.execute(statement)


def spread_statements(table: str, first: str, shards: int) -> list[sql.Composed]:
    """Give what spreads one table: the first by a number of shards, the others as the first."""
    like = sql.SQL("shard_count => {}").format(sql.Literal(shards))
    if table != first:
        like = sql.SQL("colocate_with => {}").format(sql.Literal(f"public.{first}"))
    told = (sql.Literal(f"public.{table}"), sql.Literal(POINT), like)
    return [sql.SQL("SELECT create_distributed_table({}, {}, {})").format(*told)]


def _spread_one(connection: Connection, table: str, first: str, shards: int) -> str:
    with connection.transaction():
        for statement in spread_statements(table, first, shards):
            _said(connection, statement, f"spread {table}")
    for (leaf,) in connection.execute(
        _LEAVES, [f"public.{table}"]
    ).fetchall():  # rows that were copied away stay behind
        _said(
            connection,
            sql.SQL("SELECT truncate_local_data_after_distributing_table({})").format(sql.Literal(leaf)),
            f"remove what {table} has left behind",
        )
    return "was spread"


def _exist() -> Iterable[tuple[str, str]]:
    """Give what makes our roles on a worker, by what it is for: they must be there before a table names them."""
    for role in (*SPEAKERS, "plantroom_reader"):
        made = f"CREATE ROLE {role} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
        yield (
            f"role {role}",
            f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN EXECUTE '{made}'; END IF;",
        )


def _open() -> Iterable[tuple[str, str]]:
    """Give what lets our roles work on a worker, by what it is for."""
    for role in SPEAKERS:
        yield f"sign-in of {role}", f"EXECUTE 'ALTER ROLE {role} LOGIN';"
    every = ", ".join((*SPEAKERS, "plantroom_reader"))
    yield "use of the schema", f"EXECUTE 'GRANT USAGE ON SCHEMA public TO {every}';"
    yield "reading of shards", "EXECUTE 'GRANT plantroom_reader TO plantroom_app';"


def worker_commands() -> list[tuple[str, str]]:
    """Give every command that is run on the workers, by what it is for; each may be run again."""
    return [(purpose, _block(body)) for purpose, body in (*_exist(), *_open())]


def _block(body: str) -> str:
    """Wrap a command so that the worker keeps it to itself instead of handing it on."""
    return (
        f"DO $plantroom$ BEGIN PERFORM set_config('citus.enable_ddl_propagation', 'off', true); {body} END $plantroom$"
    )


def _on_workers(connection: Connection, commands: Iterable[tuple[str, str]], progress: Progress) -> None:
    for purpose, body in commands:
        for node, success, result in connection.execute(_RUN, [_block(body)]).fetchall():
            if not success:
                raise SpreadError(
                    f"The worker {node} refuses: {purpose} ({' '.join(str(result).split())}); run this as an owner "
                    "who may make roles on every node."
                )
        progress(f"workers: {purpose}")


def _said(connection: Connection, statement: sql.Composed, purpose: str) -> None:
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        raise SpreadError(f"Citus refuses to {purpose}: {' '.join(str(error).split())}") from error


def _value(connection: Connection, query: bytes, asked: list[Any] | None = None) -> object:
    row = connection.execute(query, asked).fetchone()
    return row[0] if row else None
