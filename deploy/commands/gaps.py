"""``plantroom readings gaps``: what is missing of the readings of a site, for somebody who is called at night."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from deploy.commands.options import Data, Organisation, TimeError, moment
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import organisation_id, transaction
from deploy.settings import read as read_settings
from hub.assets import service as assets
from hub.assets.rows import Site
from hub.errors import NotFoundError
from hub.readings import completeness
from hub.readings.completeness import Gap, Gaps, Place
from hub.store.database import Transaction
from rules.model.period import Period

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
WIDTH = 40  # characters of a point's code


def gaps(
    site: Annotated[str, typer.Option(help="Code of the site.")],
    start: Annotated[str, typer.Option("--from", help="First moment, ISO 8601, UTC unless it says so.")],
    end: Annotated[str | None, typer.Option("--to", help="Moment after the last; now when not given.")] = None,
    device: Annotated[str | None, typer.Option(help="Code of one device.")] = None,
    point: Annotated[str | None, typer.Option(help="Code of one point.")] = None,
    organisation: Organisation = None,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="text or json.")] = "text",
    data: Data = None,
) -> None:
    """List where readings are missing.  Example: plantroom readings gaps --site RIVERSIDE --from 2026-11-01."""
    now = datetime.now(UTC)
    first, past = moment(start), moment(end) if end else now
    if past < first:
        raise TimeError(f"--to {end or 'now'} lies before --from {start}; give the earlier time first.")
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        asked = _Asked(prepare(settings, dsn), organisation_id(dsn, organisation))
        zone, found = asyncio.run(asked.gaps(site, device, point, Period(first, past), now))
    if form == "json":
        typer.echo(json.dumps([{**asdict(gap)} for gap in found.gaps], default=_said, ensure_ascii=False))
    else:
        for line in lines(found, zone):
            typer.echo(line)


class _Asked:
    """Whose readings are looked at."""

    def __init__(self, hub: str, organisation: UUID) -> None:
        self._hub, self._organisation = hub, organisation

    async def gaps(
        self, site: str, device: str | None, point: str | None, period: Period, now: datetime
    ) -> tuple[ZoneInfo, Gaps]:
        """Give the site's zone and the gaps; raises NotFoundError."""
        async with transaction(self._hub, self._organisation) as tx:
            found = await assets.site(tx, site)
            place = Place(found.id, found.zone, await _device(tx, found, device), await _point(tx, found, point))
            return found.zone, await completeness.gaps(tx, place, period, now)


async def _device(tx: Transaction, site: Site, code: str | None) -> UUID | None:
    if code is None:
        return None
    for one in await assets.devices(tx, site.id):
        if one.code == code:
            return one.id
    raise NotFoundError(f"There is no device '{code}' at {site.code}.")


async def _point(tx: Transaction, site: Site, code: str | None) -> str | None:
    devices = {one.id for one in await assets.devices(tx, site.id)}
    if code is not None and not any(p.code == code and p.device_id in devices for p in await assets.points(tx)):
        raise NotFoundError(f"There is no point '{code}' at {site.code}.")
    return code


def lines(found: Gaps, zone: ZoneInfo) -> list[str]:
    """Give what a terminal shows: the open gaps first, then the others by time, in the time of the site."""
    told = [_line(gap, zone) for gap in _ordered(found.gaps)]
    if not told:
        return ["No gap: every point was read as often as usual."]
    head = [
        f"{'point':<{WIDTH}} {'last good':<19}  {'next good':<19} {'missing':>8} {'every':>8}  (times of {zone.key})"
    ]
    tail = [f"{found.points_left_off} more points lack something; ask for one device."] if found.points_left_off else []
    return [*head, *told, *tail, *(["There are more gaps; ask for a shorter time."] if found.more else [])]


def _ordered(gaps: Sequence[Gap]) -> list[Gap]:
    return sorted(gaps, key=lambda gap: (not gap.open, gap.start_at, gap.point))


def _line(gap: Gap, zone: ZoneInfo) -> str:
    since, until = (f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}" for at in (gap.start_at, gap.end_at))
    known = f"{gap.bad} readings that are not good" if gap.bad else ""
    if gap.recovered_at is not None:
        known = f"filled in {gap.recovered_at.astimezone(zone):%Y-%m-%d %H:%M}"
    ended = "not yet" if gap.open else until
    long, usual = lasted(gap.missing_s), lasted(gap.expected_s)
    return f"{gap.point:<{WIDTH}} {since}  {ended:<19} {long:>8} {usual:>8}  {known}".rstrip()


def lasted(seconds: float) -> str:
    """Give a length of time with one unit: 45 s, 20 min, 3.5 h, 2.0 d."""
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    return f"{seconds / HOUR_S:.1f} h" if seconds < 2 * DAY_S else f"{seconds / DAY_S:.1f} d"


def _said(at: object) -> str:
    assert isinstance(at, datetime)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
