"""A program's metrics for Prometheus, on 127.0.0.1 and a port of its own; off unless PLANTROOM_METRICS_PORT is set."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from shutil import disk_usage

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy.settings import Settings

HOST = "127.0.0.1"


class MetricsPortError(Exception):
    """The metrics cannot be given there: the sentence says why."""


@dataclass(frozen=True, eq=False)
class Machine(Collector):
    """The disk that this program writes to, and which version it is."""

    data: Path

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        info = GaugeMetricFamily("plantroom_build_info", "1, under the version of the program.", labels=["version"])
        info.add_metric([version("plantroom")], 1)
        yield info
        folder = next(part for part in (self.data, *self.data.parents) if part.is_dir())
        disk = disk_usage(folder)
        yield GaugeMetricFamily("plantroom_disk_free_bytes", "Free where the data directory is.", value=disk.free)
        yield GaugeMetricFamily("plantroom_disk_size_bytes", "Size of that disk.", value=disk.total)


def served(settings: Settings) -> CollectorRegistry | None:
    """Give the registry that is served from now on, until the process ends; None where no port is set.

    Raises MetricsPortError where the port is taken.
    """
    if settings.metrics_port is None:
        return None
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(Machine(settings.data))
    try:
        start_http_server(settings.metrics_port, HOST, registry)
    except OSError as error:
        raise MetricsPortError(
            f"The metrics cannot be given at {HOST}:{settings.metrics_port} ({error.strerror}): each program has its "
            "own PLANTROOM_METRICS_PORT; choose another one."
        ) from None
    return registry
