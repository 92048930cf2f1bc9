"""The doctor's look at what a database grows by: a replica that answers questions, and nodes that share the series."""

from contextlib import closing, suppress
from typing import Any

import psycopg

from deploy.doctor_check import Check
from deploy.embedded import CONNECT_TIMEOUT_S, reason
from deploy.settings import Settings, SettingsError
from deploy.transport import InClearError
from hub.store import citus
from hub.store.replica import LAG_MOST_S, REPLAYED, WRITTEN

AGE = b"SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8"
FALLS_BACK = "Until then the primary answers everything."


def checks(settings: Settings) -> list[Check]:
    """Examine the replica where one is configured, and the nodes where the database is spread over several."""
    try:
        dsn, replica = settings.dsn(), settings.replica()
    except (SettingsError, InClearError) as error:
        return [Check("Replica", ok=False, found="no DSN", advice=str(error))]
    return [*([_replica(dsn, replica)] if replica else []), *(_nodes(dsn) if dsn else [])]


def _replica(dsn: str, replica: str) -> Check:
    primary: tuple[Any, ...] = ()
    with suppress(psycopg.Error):  # its own line says so
        primary = _asked(dsn, WRITTEN) if dsn else ()
    try:
        standing_by, replayed, system = _asked(replica, REPLAYED)
        age_s = _asked(replica, AGE)[0]
    except psycopg.Error as error:
        found = f"does not answer ({reason(error)})"
        return _poor(found, "Start the replica, or correct PLANTROOM_REPLICA_DSN.")
    if not standing_by:
        return _poor("a server that takes writes, no replica", "Point PLANTROOM_REPLICA_DSN at a hot standby.")
    if primary and primary[1] != system:
        return _poor("follows another server than PLANTROOM_DATABASE_DSN", "Make it anew from ours with pg_basebackup.")
    lacks = max(primary[0] - replayed, 0) if primary else 0
    if lacks and (age_s is None or age_s > LAG_MOST_S):
        behind = "since its start" if age_s is None else f"{age_s:.0f} s"
        return _poor(f"lacks {lacks} bytes, its last transaction is old ({behind})", "Look at its log and its disk.")
    return Check("Replica", ok=True, found=f"follows the primary, {lacks} bytes behind", advice="", needed=False)


def _poor(found: str, advice: str) -> Check:
    return Check("Replica", ok=False, found=found, advice=f"{advice} {FALLS_BACK}", needed=False)


def _asked(dsn: str, query: bytes) -> tuple[Any, ...]:
    with closing(psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)) as connection:
        return connection.execute(query).fetchone() or ()


def _nodes(dsn: str) -> list[Check]:
    """Say how the series are spread; nothing where there is no Citus or no server (which has its own line)."""
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
            version = citus.version(connection)
            if version is None:
                return []
            nodes, tables = citus.workers(connection), citus.series_here(connection)
            missing = [table for table in tables if table not in citus.spread(connection)]
            closed = citus.unreadable(connection) if nodes and not missing else []
    except psycopg.Error:
        return []
    if missing:
        found = f"Citus {version} with {len(nodes)} workers, not spread: {', '.join(missing)}"
    elif closed:
        found = f"Citus {version}, but no readings can be seen on {', '.join(closed)}"
    else:
        found = f"Citus {version}, series spread over {len(nodes)} workers"
    return [Check("Nodes", ok=not missing and not closed, found=found, advice="Run 'plantroom hub distribute'.")]
