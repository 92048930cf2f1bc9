"""The web process."""

import asyncio

import uvicorn

from hub.store.database import Database
from web.app import create
from web.settings import WebSettings

STOP_WITHIN_S = 3


async def serve(settings: WebSettings, host: str, port: int) -> None:
    """Open the pool and serve until SIGINT or SIGTERM."""
    database = Database(settings.dsn)
    await database.open()
    try:
        await server(database, settings, host, port).serve()
    finally:
        await database.close()


def server(database: Database, settings: WebSettings, host: str, port: int) -> uvicorn.Server:
    """Give the server, not yet started; a proxy on this machine may say whom it speaks for."""
    return uvicorn.Server(
        uvicorn.Config(
            create(database, settings),
            host=host,
            port=port,
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_WITHIN_S,
            ws_max_size=4096,
        )
    )


def run(settings: WebSettings, host: str, port: int) -> None:
    """Serve the pages on ``host``:``port`` until told to stop."""
    asyncio.run(serve(settings, host, port))
