"""What somebody should look at, judged from marks and gateways; the same limits as deploy/prometheus/alerts.yaml. Pure.

``kind`` is the name of the section of deploy/runbook.md that says what to do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.health.rows import GatewayHealth, Mark

GATEWAY_SILENT = timedelta(minutes=5)
SPOOL_PERCENT = 50
CLOCK_SKEW_MS = 5_000
CERTIFICATE_ENDS = timedelta(days=14)
JOBS_SILENT = timedelta(minutes=3)
JOB_FAILURES = 5
BACKUP_OLD = timedelta(hours=26)
LIMITS = {  # state: beyond it somebody should look
    "rollups_late_s": ("rollups-late", 900.0),
    "quarantined_hour": ("quarantine-growing", 100.0),
    "replica_behind_s": ("replica-lagging", 60.0),
}
DISK_FREE_LEAST = 0.1  # of the disk
KINDS = (
    "gateway-silent", "spool-filling", "clock-skew", "two-edges-of-one-name", "certificate-expiring", "rollups-late",
    "jobs-not-held", "job-failing", "quarantine-growing", "backup-too-old", "audit-anchor-mismatch", "replica-lagging",
    "disk-full",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: ``subject`` says which (a gateway, a job), ``value`` what was found, in ``unit``."""

    kind: str
    subject: str = ""
    value: float | None = None
    unit: str = ""


def findings(marks: Sequence[Mark], gateways: Sequence[GatewayHealth], now: datetime) -> list[Finding]:
    """Give everything that is beyond its limit, in the order of KINDS."""
    found = [*_of_gateways(gateways, now), *_of_jobs(marks, now), *_of_states(marks), *_of_backup(marks, now)]
    return sorted(found, key=lambda one: KINDS.index(one.kind))


def _of_gateways(gateways: Sequence[GatewayHealth], now: datetime) -> Iterator[Finding]:
    for one in gateways:
        name = f"{one.site}/{one.gateway}"
        if one.seen_at is not None and now - one.seen_at > GATEWAY_SILENT:
            yield Finding("gateway-silent", name, (now - one.seen_at).total_seconds(), "s")
        if one.spool_percent >= SPOOL_PERCENT:
            yield Finding("spool-filling", name, one.spool_percent, "%")
        if abs(one.skew_ms) > CLOCK_SKEW_MS:
            yield Finding("clock-skew", name, one.skew_ms / 1000, "s")
        if one.rival:
            yield Finding("two-edges-of-one-name", name)
        if one.certificate_ends_at is not None and one.certificate_ends_at - now < CERTIFICATE_ENDS:
            yield Finding("certificate-expiring", name, (one.certificate_ends_at - now) / timedelta(days=1), "d")


def _of_jobs(marks: Sequence[Mark], now: datetime) -> Iterator[Finding]:
    jobs = [mark for mark in marks if mark.kind == "job"]
    newest = max((mark.tried_at for mark in jobs), default=None)
    if newest is None or now - newest > JOBS_SILENT:
        yield Finding("jobs-not-held", "", (now - newest).total_seconds() if newest else None, "s")
    for mark in jobs:
        if mark.failures >= JOB_FAILURES:
            yield Finding("job-failing", mark.name, mark.failures)


def _of_states(marks: Sequence[Mark]) -> Iterator[Finding]:
    states: Mapping[str, float | None] = {mark.name: mark.value for mark in marks if mark.kind == "state"}
    for name, (kind, most) in LIMITS.items():
        value = states.get(name)
        if value is not None and value > most:
            yield Finding(kind, "", value, "s" if name.endswith("_s") else "")
    if states.get("audit_anchor_holds") == 0:
        yield Finding("audit-anchor-mismatch")
    free = states.get("disk_free_ratio")
    if free is not None and free < DISK_FREE_LEAST:
        yield Finding("disk-full", "", 100 * free, "%")


def _of_backup(marks: Sequence[Mark], now: datetime) -> Iterator[Finding]:
    made = next((mark.succeeded_at for mark in marks if mark.kind == "backup"), None)
    if made is None:
        yield Finding("backup-too-old")
    elif now - made > BACKUP_OLD:
        yield Finding("backup-too-old", "", (now - made).total_seconds(), "s")
