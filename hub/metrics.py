"""The hub's metrics for Prometheus: read from what ingest and jobs count anyway, at the moment somebody asks.

Names: ``plantroom_``, the part, the thing and its unit.  Labels are bounded: reasons, jobs and gateways
(hub.health.service.GATEWAYS_MAX).  Runs on the thread of the metrics server and only reads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from hub.health.rows import GatewayHealth
from hub.ingest.counts import COMMIT_BOUNDS_S, Spans
from hub.ingest.service import Ingest
from hub.jobs.doings import Doings
from hub.store.database import Database

INGEST = {  # counter of ours: its metric and what it says
    "received": ("messages_received", "MQTT messages taken from the queue."),
    "decoded": ("acts_decoded", "Births, frames and reports that messages were decoded into."),
    "stored": ("readings_stored", "Readings committed."),
    "duplicates": ("readings_duplicate", "Readings that arrived again and were there already."),
    "dropped": ("messages_dropped", "Messages that found the queue full; the edges send them again."),
    "batches": ("batches", "Batches committed."),
    "failures": ("batch_failures", "Batches that had to be tried again."),
    "judge_failures": ("judge_failures", "Batches whose readings were stored but not judged."),
    "acknowledged": ("acknowledgements", "Acknowledgements sent to gateways after their readings were committed."),
}
GATEWAY = ("site", "gateway")


@dataclass(frozen=True, eq=False)
class HubCollector(Collector):
    """Gives every metric of one hub process."""

    database: Database
    ingest: Ingest
    doings: Doings

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        yield from self._ingest()
        yield from pool(self.database)
        yield from self._jobs()
        yield from self._platform()
        yield from gateway_metrics(self.doings.gateways if self.doings.held else ())

    def _ingest(self) -> Iterator[Metric]:
        numbers = self.ingest.counts.numbers()
        for name, (metric, said) in INGEST.items():
            yield Counter(f"plantroom_ingest_{metric}", said, value=numbers[name])
        faults = Counter("plantroom_ingest_quarantined", "Messages or frames put into quarantine.", labels=["reason"])
        for reason, number in sorted(self.ingest.counts.faults.copy().items()):
            faults.add_metric([reason], number)
        yield faults
        waiting, oldest_s = self.ingest.waiting()
        yield Gauge("plantroom_ingest_queue_messages", "Messages that wait for the database.", value=waiting)
        yield Gauge("plantroom_ingest_queue_oldest_seconds", "For how long the oldest of them waits.", value=oldest_s)
        yield histogram("plantroom_ingest_commit_seconds", "Time that a batch took.", self.ingest.counts.commits)
        yield Gauge("plantroom_broker_connected", "1 while the broker answers.", value=self.ingest.connected)
        storing = "1 while the database takes what arrives."
        yield Gauge("plantroom_database_storing", storing, value=self.ingest.storing)

    def _jobs(self) -> Iterator[Metric]:
        yield Gauge("plantroom_jobs_held", "1 on the hub that does the jobs.", value=self.doings.held)
        last = Gauge("plantroom_job_last_success_timestamp_seconds", "When a job last went well.", labels=["job"])
        took = Gauge("plantroom_job_duration_seconds", "How long that took.", labels=["job"])
        failed = Gauge("plantroom_job_failures", "Failures since then.", labels=["job"])
        for mark in self.doings.marks():
            if mark.succeeded_at is not None:
                last.add_metric([mark.name], mark.succeeded_at.timestamp())
                took.add_metric([mark.name], mark.took_s)
            failed.add_metric([mark.name], mark.failures)
        yield from (last, took, failed)

    def _platform(self) -> Iterator[Metric]:
        found = self.doings.measured if self.doings.held else None
        figures = {
            "plantroom_rollups_dirty_hours": ("Marks of hours whose rollup is out of date.", "rollups_dirty"),
            "plantroom_rollups_late_seconds": ("Since the end of the oldest such hour.", "rollups_late_s"),
            "plantroom_quarantine_rows": ("Rows in quarantine, about.", "quarantined"),
            "plantroom_quarantine_last_hour_rows": ("Rows of the last hour.", "quarantined_hour"),
            "plantroom_database_size_bytes": ("Size of the database.", "database_bytes"),
            "plantroom_replica_behind_seconds": ("How far the slowest replica is behind.", "replica_behind_s"),
        }
        for name, (said, attribute) in figures.items():
            yield _maybe(name, said, getattr(found, attribute, None))
        holds = self.doings.anchor_holds if self.doings.held else None
        yield _maybe("plantroom_audit_anchor_holds", "1 while the record is what its last anchor saw.", holds)
        backup = self.doings.backup if self.doings.held else None
        made, size = (backup.succeeded_at, backup.value) if backup else (None, None)
        yield _maybe("plantroom_backup_last_success_timestamp_seconds", "When the last backup ended.", _time(made))
        yield _maybe("plantroom_backup_size_bytes", "Size of the last backup.", size)


def pool(database: Database) -> Iterator[Metric]:
    """Give the metrics of a process's connections to the database."""
    said = database.pool()
    held = Gauge("plantroom_database_connections", "Connections of this process.", labels=["state"])
    for state in ("size", "free", "most"):
        held.add_metric([state], said[state])
    yield held
    yield Gauge("plantroom_database_requests_waiting", "Requests that wait for a connection.", value=said["waiting"])


def gateway_metrics(gateways: tuple[GatewayHealth, ...]) -> Iterator[Metric]:
    """Give what is known of each gateway."""
    figures: dict[str, tuple[str, Callable[[GatewayHealth], float | None]]] = {
        "plantroom_gateway_online": ("1 while it is connected.", lambda g: g.online),
        "plantroom_gateway_last_seen_timestamp_seconds": ("When it was last heard.", lambda g: _time(g.seen_at)),
        "plantroom_gateway_clock_ahead_seconds": ("Its clock ahead of the hub's.", lambda g: g.skew_ms / 1000),
        "plantroom_gateway_spool_frames": ("Frames that wait in its spool.", lambda g: g.depth),
        "plantroom_gateway_spool_fill_ratio": ("How full its spool is.", lambda g: g.spool_percent / 100),
        "plantroom_gateway_lost_readings": ("Readings that its spool could not keep.", lambda g: g.dropped),
        "plantroom_gateway_rival": ("1 while a second edge claims its name.", lambda g: g.rival),
        "plantroom_gateway_certificate_expiry_timestamp_seconds": (
            "When its certificate ends.",
            lambda g: _time(g.certificate_ends_at),
        ),
    }
    for name, (said, value) in figures.items():
        family = Gauge(name, said, labels=GATEWAY)
        for one in gateways:
            if (number := value(one)) is not None:
                family.add_metric([one.site, one.gateway], float(number))
        yield family


def histogram(name: str, said: str, spans: Spans) -> Histogram:
    """Give a histogram of what was counted."""
    counts, total = list(spans.counts), 0
    buckets = []
    for bound, count in zip([*map(str, COMMIT_BOUNDS_S), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, total))
    return Histogram(name, said, buckets=buckets, sum_value=spans.total_s)


def _maybe(name: str, said: str, value: float | None) -> Gauge:
    """Give a gauge that is there only where something was measured: missing is never zero."""
    family = Gauge(name, said)
    if value is not None:
        family.add_metric([], float(value))
    return family


def _time(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
