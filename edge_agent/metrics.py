"""The gateway's metrics for Prometheus, read at the moment somebody asks from what it counts anyway."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from edge_agent.health import Health
from edge_agent.publisher import Publisher
from edge_agent.spool import Spool

COUNTED = {  # attribute of Health: its metric and what it says
    "polls": ("polls", "Questions to devices that were answered."),
    "failures": ("poll_failures", "Questions to devices without an answer."),
    "missed": ("cycles_missed", "Cycles that were left out because the one before took too long."),
    "readings": ("readings_spooled", "Readings written into the spool."),
    "sent": ("frames_sent", "Frames handed to the broker, repeats included."),
    "resends": ("frames_resent", "Frames sent again."),
    "rebirths": ("rebirths", "Times that the hub asked for all births."),
    "refused_commands": ("commands_refused", "Commands that were not carried out."),
}


@dataclass(frozen=True, eq=False)
class EdgeCollector(Collector):
    """Gives every metric of one gateway; runs on the thread of the metrics server and only reads."""

    health: Health
    spool: Spool
    publisher: Publisher

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        for attribute, (name, said) in COUNTED.items():
            yield Counter(f"plantroom_edge_{name}", said, value=getattr(self.health, attribute))
        yield Counter("plantroom_edge_readings_lost", "Readings that the spool gave up.", value=self.spool.dropped)
        figures: dict[str, tuple[str, Callable[[], float]]] = {
            "connected": ("1 while the broker answers.", lambda: self.publisher.connected),
            "frames_in_flight": ("Frames sent and not yet committed by the hub.", lambda: self.publisher.in_flight),
            "spool_frames": ("Frames that wait in the spool.", self.spool.depth),
            "spool_bytes": ("Bytes of the spool that are in use.", lambda: self.spool.used),
            "spool_fill_ratio": ("How full the spool is.", lambda: self.spool.percent / 100),
        }
        for name, (said, value) in figures.items():
            yield Gauge(f"plantroom_edge_{name}", said, value=float(value()))
