"""The pool of connections to one server."""

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from hub.store import arrays

Pool = AsyncConnectionPool[AsyncConnection[Any]]

POOL_MAX = 8
_DUMPERS = arrays.dumpers()
STATEMENT_TIMEOUT_MS = 30_000
POOL_WAIT_S = 5.0


def pool(dsn: str, pool_max: int, name: str | None = None, reconnect_s: float = 300.0) -> Pool:
    """Prepare a pool for the login of plantroom_hub; nothing connects before it is opened.

    After an outage of more than ``reconnect_s`` it connects again when it is asked; until then ever more seldom.
    """
    return AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=pool_max,
        open=False,
        name=name,
        reconnect_timeout=reconnect_s,
        timeout=POOL_WAIT_S,
        kwargs={
            "autocommit": True,
            "application_name": "plantroom",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC -c lock_timeout=10000",
        },
        check=AsyncConnectionPool.check_connection,
        configure=_configure,
    )


async def _configure(connection: AsyncConnection[Any]) -> None:
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)
