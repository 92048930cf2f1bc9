"""What the gateway says: Sparkplug metrics of births, data and deaths.  Pure.

Source: Eclipse Sparkplug 3.0.0, sections 5 and 6.4.  A metric of a device is named by its measure; the device
stands in the topic.
"""

from datetime import datetime

from edge_agent.frame import Frame
from edge_agent.roster import Member
from rules.model.point import Point
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.wire import topics
from rules.wire.command import ANSWER
from rules.wire.event import event_metric
from rules.wire.sparkplug import DataType, Metric


def node_birth(
    at: datetime, bd_seq: int, spool: str, committed: int, *, certified: bool, before: str = "", version: str = ""
) -> tuple[Metric, ...]:
    """Name everything that NDATA will carry, and which spool speaks (with what it has already forgotten).

    ``before``: the damaged spool that it was saved from.  ``certified``: the gateway has a certificate and may ask
    for another.
    """
    return (
        Metric(name=topics.BD_SEQ, at=at, value=bd_seq, datatype=DataType.INT64),
        Metric(name=topics.REBIRTH, at=at, value=False, datatype=DataType.BOOLEAN),
        _speaker(spool),
        Metric(name=topics.COMMITTED, at=at, value=committed, datatype=DataType.INT64),
        *node_data(at, depth=0, clock_step_ms=0),
        Metric(name=ANSWER, at=at, value=None, datatype=DataType.STRING),
        *((Metric(name=topics.VERSION, at=at, value=version, datatype=DataType.STRING),) if version else ()),
        *((Metric(name=topics.SPOOL_BEFORE, at=at, value=before, datatype=DataType.STRING),) if before else ()),
        *((certificate_request(at),) if certified else ()),
    )


def node_data(
    at: datetime, *, depth: int, clock_step_ms: int, percent: int = 0, dropped: int = 0
) -> tuple[Metric, ...]:
    """Say what waits, how full the spool is, what it could not keep, and the clock's steps since last time."""
    return (
        Metric(name=topics.DEPTH, at=at, value=depth, datatype=DataType.INT64),
        Metric(name=topics.CLOCK, at=at, value=clock_step_ms, datatype=DataType.INT64),
        Metric(name=topics.FILL, at=at, value=percent, datatype=DataType.INT64),
        Metric(name=topics.DROPPED, at=at, value=dropped, datatype=DataType.INT64),
    )


def certificate_request(at: datetime, request: str | None = None, properties: dict[str, str] | None = None) -> Metric:
    """Ask for a certificate; in a birth there is only the name."""
    name = topics.CERTIFICATE_REQUEST
    return Metric(name=name, at=at, value=request, datatype=DataType.STRING, properties=properties or {})


def node_death(bd_seq: int) -> tuple[Metric, ...]:
    """Name the birth that this death ends."""
    return (Metric(name=topics.BD_SEQ, value=bd_seq, datatype=DataType.INT64),)


def device_birth(member: Member, at: datetime, last_number: int, spool: str) -> tuple[Metric, ...]:
    """Name every point of a device, with its alias, last value and nature, and which spool speaks."""
    number = Metric(name=topics.NUMBER, alias=member.number_alias, at=at, value=last_number, datatype=DataType.INT64)
    return (
        _speaker(spool),
        number,
        *(_born(name, member.aliases[name], point, member.last(name), at) for name, point in member.points.items()),
    )


def _born(name: str, alias: int, point: Point | None, last: Reading | None, at: datetime) -> Metric:
    return Metric(
        name=name,
        alias=alias,
        at=last.at if last else at,
        value=last.value if last else None,
        quality=last.quality if last else Quality.STALE,
        properties=_nature(point) if point else {},
    )


def _nature(point: Point) -> dict[str, str]:
    nature = {
        topics.UNIT: point.unit,
        topics.KIND: point.kind.value,
        topics.RESOLUTION: f"{point.resolution:f}",
    }
    return nature if point.modulus is None else {**nature, topics.MODULUS: f"{point.modulus:f}"}


def device_data(member: Member, frame: Frame, spool: str) -> tuple[Metric, ...]:
    """Carry one frame: whose spool it comes from, its number there (a preview has none), then what it holds."""
    skip = len(frame.device) + 1
    number = Metric(alias=member.number_alias, value=frame.number, datatype=DataType.INT64)
    return (
        _speaker(spool),
        *((number,) if frame.number else ()),
        *(() if frame.event is None else (event_metric(frame.event),)),
        *(
            Metric(
                alias=member.aliases[reading.point[skip:]],
                at=reading.at,
                value=reading.value,
                historical=frame.historical,
                quality=reading.quality,
            )
            for reading in frame.readings
        ),
    )


def _speaker(spool: str) -> Metric:
    """Tell the messages of two edges apart that were given one name by mistake."""
    return Metric(name=topics.SPOOL, value=spool, datatype=DataType.STRING)
