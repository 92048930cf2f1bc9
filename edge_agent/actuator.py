"""The one door to a device's write on the gateway: commands of the hub and local rules both go through it."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from drivers.driver import Device, Releasing, Station
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from rules.control.command import Answer, Outcome
from rules.model.reading import Reading

WAIT_S_MAX = 5.0  # for another's write of the same point; shorter than a write, so that nobody begins at its very end
SET_S_MAX = 10.0  # for writing and reading back; what takes longer has met a device in trouble
ROUNDING = 1e-9  # of a step: what doubles add to a difference that is just one step

Own = Callable[[float | None], str]


@dataclass(slots=True)
class _Seat:
    """A device that is polled now; one write at a time for each of its points."""

    device: Device
    station: Station
    steps: dict[str, float]  # smallest difference that a point can show, by measure
    queues: dict[str, asyncio.Lock] = field(default_factory=dict)


class Actuator:
    """Sets points of the devices that are seated.  It asks nobody whether it may: that is for who calls it."""

    def __init__(self) -> None:
        self._seats: dict[str, _Seat] = {}
        self._own: Mapping[str, Own] = {}

    def lend(self, own: Mapping[str, Own]) -> None:
        """Say which points are the gateway's own, of no device: what sets each gives why not, '' when it is done."""
        self._own = own

    def seat(self, device: Device, station: Station) -> None:
        """Say through which station a device is reached from now on."""
        steps = {asked.measure: float(asked.point.resolution) for asked in device.points}
        self._seats[device.code] = _Seat(device, station, steps)

    def unseat(self, stations: Iterable[Station]) -> None:
        """Forget stations whose line is closed; a device that has another by now keeps it."""
        gone = {id(station) for station in stations}
        self._seats = {code: seat for code, seat in self._seats.items() if id(seat.station) not in gone}

    async def set(self, point: str, value: float | None, *, by: str, now: datetime, number: str = "") -> Answer:
        """Set a point in its unit (None gives it back to the device's own control) and say what came of it.

        ``by`` is who wishes it, in words; ``number`` the command's, which the answer repeats.  Never raises and never
        takes longer than WAIT_S_MAX and SET_S_MAX; the answer's time is that of the read-back, else ``now``.
        """
        if (own := self._own.get(point)) is not None:
            why = own(value)
            return Answer(number, Outcome.REFUSED if why else Outcome.DONE, now, None if why else value, why)
        code, _, measure = point.rpartition(".")
        seat = self._seats.get(code)
        if seat is None or measure not in seat.steps:
            return Answer(number, Outcome.REFUSED, now, reason=f"this gateway reads no point '{point}'")
        if value is not None and not math.isfinite(value):
            return Answer(number, Outcome.REFUSED, now, reason=f"'{point}' cannot be set to {value}")
        turn = seat.queues.setdefault(measure, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await turn.acquire()
        except TimeoutError:
            return Answer(number, Outcome.REFUSED, now, reason=f"'{point}' is being set by somebody else; try again")
        try:
            late = f"'{point}' took more than {SET_S_MAX:g} s, asked by {by}"
            return await _written(seat, measure, value, Answer(number, Outcome.UNCERTAIN, now, reason=late))
        finally:
            turn.release()

    async def shown(self, point: str) -> float | None:
        """Read what a point shows now; None where that cannot be known within SET_S_MAX."""
        seat = self._seats.get(point.rpartition(".")[0])
        if seat is None:
            return None
        try:
            async with asyncio.timeout(SET_S_MAX):
                readings = await seat.station.read()
        except (TimeoutError, UnreachableError):
            return None
        return next((reading.value for reading in reversed(readings) if reading.point == point), None)


async def _written(seat: _Seat, measure: str, value: float | None, unknown: Answer) -> Answer:
    """Write and read back; ``unknown`` is the answer when that takes too long."""
    try:
        async with asyncio.timeout(SET_S_MAX):
            held = await _told(seat.station, measure, value)
    except TimeoutError:
        return unknown
    except DriverError as error:
        shown = error.held if isinstance(error, RefusedError) else None
        return replace(unknown, outcome=_outcome(error), shown=shown, reason=str(error))
    return _compared(unknown.id, value, held, seat.steps[measure])


async def _told(station: Station, measure: str, value: float | None) -> Reading:
    if value is not None:
        return await station.write(measure, value)
    if not isinstance(station, Releasing):
        raise MisconfiguredError(f"'{measure}' cannot be given back: its device knows no priorities; set a value")
    return await station.release(measure)


def _outcome(error: DriverError) -> Outcome:
    """Say what a failure leaves: what went out without an answer that can be read may have been done."""
    if isinstance(error, MisconfiguredError):
        return Outcome.REFUSED
    sent = not (isinstance(error, UnreachableError) and error.link)
    return Outcome.UNCERTAIN if sent and not isinstance(error, RefusedError) else Outcome.FAILED


def _compared(number: str, wanted: float | None, held: Reading, step: float) -> Answer:
    """Judge the read-back: what a device shows counts, not that it took the write without complaint."""
    if held.value is None:
        why = held.error or "nothing could be read"
        return Answer(
            number, Outcome.UNCERTAIN, held.at, reason=f"'{held.point}' was written, but not read back: {why}"
        )
    if wanted is not None and abs(held.value - wanted) > step * (1 + ROUNDING):
        said = f"'{held.point}' was set to {wanted:g}, but the device holds {held.value:g}"
        return Answer(number, Outcome.FAILED, held.at, held.value, said)
    return Answer(number, Outcome.DONE, held.at, held.value, held.error)
