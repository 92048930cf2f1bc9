"""What the gateway's own judgement knows of the points that it depends on."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge_agent.config import EdgeConfig
from rules.model.evaluation import Missing
from rules.model.quality import Quality
from rules.model.reading import Reading

STALE_CYCLES = 3
STALE_S = 10.0  # beside so many cycles: a slow answer is not silence


@dataclass(frozen=True, slots=True)
class _Heard:
    reading: Reading
    at_s: float


class Inputs:
    """The last reading of each input, and when it came; a device's own time may be old and yet be right."""

    def __init__(self, config: EdgeConfig, now_s: float) -> None:
        self._heard: dict[str, _Heard] = {}
        self._silent: set[str] = set()
        self.apply(config, now_s)

    def apply(self, config: EdgeConfig, now_s: float) -> None:
        """Go by another configuration; what is still needed stays known."""
        self.wanted = config.local.inputs
        self._limits_s = {
            asked.point.code: STALE_CYCLES * line.line.poll_s + STALE_S
            for line in config.lines
            for device in line.devices
            for asked in device.points
            if asked.point.code in self.wanted
        }
        self._heard = {code: heard for code, heard in self._heard.items() if code in self.wanted}
        self._began_s = now_s

    def take(self, readings: Iterable[Reading], now_s: float) -> set[str]:
        """Keep what is needed; gives the codes of that."""
        taken = [reading for reading in readings if reading.point in self.wanted]
        self._heard.update((reading.point, _Heard(reading, now_s)) for reading in taken)
        return {reading.point for reading in taken}

    def last(self, code: str) -> Reading | None:
        """Give the last reading of a point."""
        heard = self._heard.get(code)
        return None if heard is None else heard.reading

    def values(self, codes: Sequence[str], now_s: float) -> dict[str, float | Missing]:
        """Give the value of each point, or why there is none; a point that was never read is left out."""
        return {code: self._value(heard, now_s) for code in codes if (heard := self._heard.get(code))}

    def _value(self, heard: _Heard, now_s: float) -> float | Missing:
        reading = heard.reading
        if reading.value is None or reading.quality in (Quality.BAD, Quality.STALE):
            return Missing(f"'{reading.point}' is bad{f': {reading.error}' if reading.error else ''}")
        age_s, limit_s = now_s - heard.at_s, self._limits_s.get(reading.point)
        if limit_s is not None and age_s > limit_s:
            return Missing(f"'{reading.point}' was last read {age_s:.0f} s ago")
        return reading.value

    def fallen_silent(self, now_s: float) -> set[str]:
        """Give the points that have become too old since this was last asked."""
        silent = {
            code for code, heard in self._heard.items() if now_s - heard.at_s > self._limits_s.get(code, math.inf)
        }
        fallen, self._silent = silent - self._silent, silent
        return fallen

    def awaited(self, codes: Sequence[str], now_s: float) -> bool:
        """Whether one of these has not been tried yet: right after a start that says nothing about it."""
        since_s = now_s - self._began_s
        return any(
            code not in self._heard and since_s <= self._limits_s.get(code, STALE_S)  # a derived one has no cycle
            for code in codes
        )

    def moment(self, codes: Sequence[str], otherwise: datetime) -> datetime:
        """Give the time of the newest of these."""
        return max((heard.reading.at for code in codes if (heard := self._heard.get(code))), default=otherwise)

    def doubtful(self, codes: Sequence[str]) -> bool:
        """Whether one of these is uncertain."""
        return any(
            heard.reading.quality is Quality.UNCERTAIN for code in codes if (heard := self._heard.get(code)) is not None
        )
