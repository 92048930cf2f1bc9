"""What the jobs of this hub did last, and what the last look at the platform found; read by the metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from hub.health.rows import GatewayHealth, Mark, Measured


@dataclass(slots=True)
class Doings:
    """Of the jobs by name; everything else is of the last look, empty while another hub does the jobs."""

    held: bool = False
    anchor_holds: bool | None = None  # None: not looked yet
    measured: Measured | None = None
    gateways: tuple[GatewayHealth, ...] = ()
    backup: Mark | None = None
    _jobs: dict[str, Mark] = field(default_factory=dict)

    def note(self, name: str, began: datetime, now: datetime, took_s: float, *, well: bool) -> None:
        """Note that a job ran."""
        before = self._jobs.get(name) or Mark("job", name, began, None, 0.0, 0, "", None)
        if well:
            done = replace(before, tried_at=began, succeeded_at=now, took_s=took_s, failures=0)
        else:
            done = replace(before, tried_at=began, failures=before.failures + 1)
        self._jobs[name] = done

    def marks(self) -> list[Mark]:
        """Give what each job did last."""
        return list(self._jobs.values())

    def seen(self, measured: Measured, gateways: Sequence[GatewayHealth], marks: Sequence[Mark]) -> None:
        """Remember what a look found."""
        self.measured, self.gateways = measured, tuple(gateways)
        self.backup = next((mark for mark in marks if mark.kind == "backup"), None)
