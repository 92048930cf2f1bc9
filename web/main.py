"""The web process."""

import asyncio

import uvicorn
from prometheus_client import CollectorRegistry

from hub.store.database import Database
from web.app import create
from web.metrics import watched
from web.settings import WebSettings
from web.wire import protocol

STOP_WITHIN_S = 2  # who supervises us waits three seconds
KEEP_ALIVE_S = 5
CONNECTIONS_MAX = 2_000  # more are told to come back later; the service needs as many files (LimitNOFILE)
HEAD_MAX_BYTES = 16_384
SOCKET_MESSAGE_MAX_BYTES = 4_096
TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # those of TLS 1.3 are all good


async def serve(settings: WebSettings, host: str, port: int, metrics: CollectorRegistry | None = None) -> None:
    """Open the pool and serve until SIGINT or SIGTERM; ``metrics`` is where the figures go."""
    database = Database(settings.dsn, replica_dsn=settings.replica_dsn)
    await database.open()
    try:
        web = server(database, settings, host, port)
        if metrics is not None:
            web.config.app = watched(web.config.app, database, metrics)
        await _until_cancelled(web)
    finally:
        await database.close()


async def _until_cancelled(web: uvicorn.Server) -> None:
    """Serve; when cancelled, let the server end what it has begun instead of cutting it off."""
    serving = asyncio.create_task(web.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        web.should_exit = True
        await serving
        raise


def server(database: Database, settings: WebSettings, host: str, port: int) -> uvicorn.Server:
    """Give the server, not yet started; only trusted proxies may say for whom they speak.

    With a certificate of our own it speaks TLS 1.2 and 1.3 and nothing else.
    """
    certificate, key = settings.certificate or (None, None)
    return uvicorn.Server(
        uvicorn.Config(
            create(database, settings),
            host=host,
            port=port,
            http=protocol(settings.trusted_proxies),
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_WITHIN_S,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            ws_max_size=SOCKET_MESSAGE_MAX_BYTES,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_ciphers=TLS_1_2_CIPHERS,
        )
    )
