"""Hand what doors and cameras tell to those who keep it; pictures are developed beside the event loop."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from hub.errors import HubError, InvalidError
from hub.ingest.acts import Act, Fault, Frame, Told
from hub.ingest.line import Line
from hub.store.database import Transaction
from hub.surveillance import service as surveillance
from hub.surveillance import stills
from hub.surveillance.service import Reported
from hub.surveillance.stills import Taken
from rules.model.event import BadgeEvent, Still

KINDS = {"motion": "motion", "line": "alarm", "zone": "alarm", "fault": "alarm", "asked": "request"}


async def developed(acts: Sequence[Act]) -> list[Act]:
    """Give the acts with their pictures as they are kept; one that is none becomes a fault of its frame."""
    return [await _developed(act) if isinstance(act, Frame) and act.told else act for act in acts]


async def _developed(frame: Frame) -> Frame:
    told: list[Told] = []
    faults = list(frame.faults)
    for one in frame.told:
        try:
            jpeg = one.event.jpeg if isinstance(one.event, Still) else None
            told.append(one if jpeg is None else replace(one, picture=await asyncio.to_thread(stills.develop, jpeg)))
        except InvalidError as error:
            faults.append((Fault.EVENT, f"{one.event.device}: {error}"))
    return replace(frame, told=tuple(told), faults=tuple(faults))


async def keep(tx: Transaction, line: Line, told: Sequence[Told], now: datetime) -> list[str]:
    """Keep the events of one gateway, each once however often it came; gives one sentence for each that cannot be.

    In the name of the gateway's organisation.  One that cannot be kept takes no other with it.
    """
    if not await _failure(tx, line, told, now):
        return []
    return [said for one in told if (said := await _failure(tx, line, [one], now))]


async def _failure(tx: Transaction, line: Line, told: Sequence[Told], now: datetime) -> str:
    try:
        async with tx.connection.transaction():
            await _keep(tx, line, told, now)
    except HubError as error:
        return f"{told[0].event.device}: {error}"
    return ""


async def _keep(tx: Transaction, line: Line, told: Sequence[Told], now: datetime) -> None:
    zones = {device: await surveillance.watched(tx, line.id, device) for device in _devices(told)}
    badges: list[Reported] = []
    for one in told:
        event, zone = one.event, zones[one.event.device]
        if isinstance(event, BadgeEvent):
            badges.append(Reported(event.id, zone, event.device, event.at, event.result, event.badge))
        elif one.picture is not None:
            kind = KINDS[event.cause]
            await stills.add(tx, Taken(line.site, zone, event.device, event.at, kind, one.picture, id=event.id), now)
    for start in range(0, len(badges), surveillance.EVENTS_MAX):
        await surveillance.add_badge_events(tx, line.site, badges[start : start + surveillance.EVENTS_MAX], now)


def _devices(told: Iterable[Told]) -> list[str]:
    return sorted({one.event.device for one in told})
