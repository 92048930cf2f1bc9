"""The web's metrics for Prometheus: how many requests, how answered, how fast, and its connections."""

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from hub.metrics import pool
from hub.store.database import Database

KINDS = {"1": "informational", "2": "success", "3": "redirection", "4": "client_error", "5": "server_error"}


class WebCollector(Collector):
    """Gives the connections of the web to the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        yield from pool(self._database)


def watched(app: Any, database: Database, registry: CollectorRegistry) -> Any:
    """Give the application with its requests counted; paths are no labels, for anybody can think of new ones."""
    requests = Counter("plantroom_web_requests", "Requests answered.", ["kind"], registry=registry)
    took = Histogram("plantroom_web_request_seconds", "Time that a request took.", registry=registry)
    registry.register(WebCollector(database))

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began_s, kind = time.monotonic(), "server_error"

        async def noted(message: Any) -> None:
            nonlocal kind
            if message["type"] == "http.response.start":
                kind = KINDS.get(str(message["status"])[0], "server_error")
            await send(message)

        try:
            await app(scope, receive, noted)
        finally:
            requests.labels(kind).inc()
            took.observe(time.monotonic() - began_s)

    return counted
