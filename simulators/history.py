"""The past of the simulated site as a file: what its meters would have shown before anybody asked."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from rules.model.period import midnight
from rules.model.site import SiteFile
from simulators.sheet import Shown
from simulators.world import World, measuring
from simulators.worldtime import QUARTER_MS, instant, milliseconds

PLANT_MEASURES = ("supply_temp", "outdoor_temp")
QUARTERS_PER_HOUR = 4
HEADER = "device,measure,at,value"


def write_history(
    world: World,
    site: SiteFile,
    until: datetime,
    path: Path,
    *,
    days: int = 62,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write ``device,measure,at,value`` rows and give their number; ``progress`` gets devices done and in all.

    From the site's midnight ``days`` days before ``until`` up to and including ``until``: every counter at each
    quarter hour (so at every midnight and month border too), plant temperatures hourly.  ``at`` is ISO 8601
    in UTC, ``value`` the exact decimal text of the face; rows of a device are in the order of time.
    The file appears only when it is whole.
    """
    zone = ZoneInfo(site.site.timezone)
    start = midnight(until.astimezone(zone).date() - timedelta(days=days), zone)
    first, past = milliseconds(start) // QUARTER_MS, milliseconds(until) // QUARTER_MS + 1
    moments = [instant(quarter) for quarter in range(first, past)]
    stamps = [at.isoformat(timespec="milliseconds") for at in moments]
    written = 0
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEADER + "\n")
        for done, device in enumerate(measuring(site), 1):
            counter = world.sheet(device.code).counter
            if counter is None:
                rows = list(_plant_rows(world, device.code, moments, stamps))
            else:
                counts = world.counts(device.code, first, past) % counter.modulus
                rows = list(_counter_rows(device.code, counter, stamps, counts.tolist()))
            file.writelines(rows)
            written += len(rows)
            if progress:
                progress(done, len(measuring(site)))
    part.replace(path)
    return written


def _counter_rows(device: str, register: Shown, stamps: Iterable[str], counts: Iterable[int]) -> Iterator[str]:
    places = _places(register.step)
    scale = 10**places
    prefix = f"{device},{register.measure},"
    for stamp, count in zip(stamps, counts, strict=True):
        yield f"{prefix}{stamp},{count // scale}.{count % scale:0{places}d}\n"


def _plant_rows(world: World, device: str, moments: list[datetime], stamps: list[str]) -> Iterator[str]:
    registers = [shown for shown in world.sheet(device).shown if shown.measure in PLANT_MEASURES]
    for at, stamp in list(zip(moments, stamps, strict=True))[::QUARTERS_PER_HOUR]:
        values = world.values(device, at)
        for register in registers:
            shown = Decimal(repr(values[register.measure])).quantize(register.step)
            yield f"{device},{register.measure},{stamp},{shown}\n"


def _places(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent
