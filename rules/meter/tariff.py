"""Tariffs: dated versions, flat or time-of-use, and what a consumption costs under them.

A tariff holds versions, each valid for whole local days.  A version has a price per unit and band (net of tax) and
the schedules that say which band holds when; a flat tariff is one band all day.  ``price`` cuts the period where the
version or the band changes and takes the counter's difference at each cut, so the bands add up to the metered
quantity exactly.  Band amounts stay unrounded; ``Priced.amount`` rounds once per charge unless the contract says
that every band is rounded (`RoundEach.BAND`, as utilities print it):

| band | kWh | price | amount | rounded per band |
|---|---|---|---|---|
| peak | 10.3 | 1.1386 | 11.727580 | 11.73 |
| flat | 20.1 | 0.6697 | 13.460970 | 13.46 |
| valley | 5.1 | 0.2812 | 1.434120 | 1.43 |
| sum | 35.5 | | 26.622670 → **26.62** per charge | **26.62** per band |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, TypeAdapter, model_validator

from rules.meter.bands import ALL_DAY, BAND_NAMES, Band, Schedule, spans
from rules.meter.series import Series
from rules.model.definition import Definition, check
from rules.model.doubt import DoubtError
from rules.model.money import Rounding
from rules.model.period import Period

Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class RoundEach(StrEnum):
    """Where rounding falls: contract data."""

    CHARGE = "charge"
    BAND = "band"


class Version(Definition):
    """One version of a tariff, in force from ``valid_from`` to its last day ``valid_to`` (None: for good)."""

    version: Annotated[str, Field(min_length=1)]
    valid_from: date
    valid_to: date | None = None
    prices: Annotated[Mapping[Band, Price], Field(min_length=1)]
    schedules: tuple[Schedule, ...] = (ALL_DAY,)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for month in range(1, 13):
            count = sum(month in schedule.months for schedule in self.schedules)
            if count != 1:
                raise ValueError(
                    f"month {month} has {count} schedules in version '{self.version}'; give it exactly one"
                )
        used = {window.band for schedule in self.schedules for window in schedule.windows}
        for band in sorted(used ^ self.prices.keys()):
            lacks = "no price" if band in used else "a price but no window"
            raise ValueError(f"band {band} has {lacks} in version '{self.version}'; give it both")
        return self

    def holds(self, day: date) -> bool:
        """Whether the version is in force on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def schedule(self, day: date) -> Schedule:
        """Give the schedule of a day."""
        return next(schedule for schedule in self.schedules if day.month in schedule.months)


class Tariff(Definition):
    """A price list for one commodity: unit, currency, tax and dated versions that do not overlap."""

    name_zh: str
    name_en: str
    unit: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    tax: str
    round_each: RoundEach = RoundEach.CHARGE
    versions: Annotated[tuple[Version, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        codes = [version.version for version in self.versions]
        twice = next((code for code in codes if codes.count(code) > 1), None)
        if twice is not None:
            raise ValueError(f"version '{twice}' stands twice; bills refer to it, so give each its own name")
        ordered = sorted(self.versions, key=lambda v: v.valid_from)
        for one, other in pairwise(ordered):
            if one.valid_to is None or other.valid_from <= one.valid_to:
                raise ValueError(
                    f"versions '{one.version}' and '{other.version}' both hold on {other.valid_from}; "
                    f"end '{one.version}' the day before"
                )
        return self

    def version(self, day: date) -> Version:
        """Give the version in force on ``day``; raises DoubtError when there is none."""
        for version in self.versions:
            if version.holds(day):
                return version
        raise DoubtError(
            f"the tariff '{self.name_en}' has no version for {day}; add one that covers that day.",
            f"价目“{self.name_zh}”在 {day} 没有有效版本；请补充覆盖该日的版本。",
        )


@dataclass(frozen=True, slots=True)
class BandLine:
    """What one band of one tariff version adds to a charge; ``amount`` is not rounded."""

    version: str
    band: Band
    quantity: Decimal
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Priced:
    """A consumption with its price; ``estimated`` says that some cut between bands had no reading of its own."""

    lines: tuple[BandLine, ...]
    estimated: bool

    @property
    def quantity(self) -> Decimal:
        """The sum of the bands, which is the metered quantity."""
        return sum((line.quantity for line in self.lines), Decimal(0))

    def amount(self, rounding: Rounding, each: RoundEach = RoundEach.CHARGE) -> Decimal:
        """Give the net amount, rounded once or per band."""
        if each is RoundEach.BAND:
            return sum((rounding.apply(line.amount) for line in self.lines), rounding.apply(Decimal(0)))
        return rounding.apply(sum((line.amount for line in self.lines), Decimal(0)))


def parse_tariffs(data: Mapping[str, Any]) -> Mapping[str, Tariff]:
    """Give the tariffs of decoded YAML by code; raises InvalidDefinitionError with a sentence for every problem."""
    return check(TypeAdapter(dict[str, Tariff]), data, "tariffs")


def price_bands(version: Version, quantities: Mapping[Band, Decimal]) -> tuple[BandLine, ...]:
    """Price the quantity of each band, in the order of `Band`; raises DoubtError for a band without a price."""
    for band in quantities.keys() - version.prices.keys():
        raise DoubtError(
            f"tariff version '{version.version}' has no price for band {band}; add one.",
            f"价目版本“{version.version}”缺少{BAND_NAMES[band][0]}段单价；请补充。",
        )
    return tuple(
        BandLine(version.version, band, quantities[band], version.prices[band], quantities[band] * version.prices[band])
        for band in Band
        if band in quantities
    )


def price(series: Series, tariff: Tariff, period: Period, zone: ZoneInfo) -> Priced:
    """Price what ``series`` consumed in ``period`` at the bands of the site's wall clock.

    Lines are in the order of versions, then bands, and only for bands that the period touches.
    Raises DoubtError when a day has no tariff version, or an end of the period no reading around it.
    """
    sums: dict[tuple[str, Band], Decimal] = {}
    versions: dict[str, Version] = {}
    estimated = False
    for piece, version, band in _stretches(tariff, period, zone):
        start, end = series.boundary(piece.start), series.boundary(piece.end, closing=True)
        versions[version.version] = version
        key = (version.version, band)
        sums[key] = sums.get(key, Decimal(0)) + end.total - start.total
        estimated = estimated or start.estimated or end.estimated
    lines: list[BandLine] = []
    for code, version in versions.items():
        lines.extend(price_bands(version, {band: sum_ for (of, band), sum_ in sums.items() if of == code}))
    return Priced(tuple(lines), estimated)


def _stretches(tariff: Tariff, period: Period, zone: ZoneInfo) -> Iterable[tuple[Period, Version, Band]]:
    """Join what follows with the same price: where nothing changes, no reading is needed."""
    for (_, band), run in groupby(_pieces(tariff, period, zone), key=lambda piece: (id(piece[1]), piece[2])):
        pieces = list(run)
        yield Period(pieces[0][0].start, pieces[-1][0].end), pieces[0][1], band


def _pieces(tariff: Tariff, period: Period, zone: ZoneInfo) -> Iterable[tuple[Period, Version, Band]]:
    for day in _days(period, zone):
        version = tariff.version(day)
        for span, band in spans(version.schedule(day), day, zone):
            start, end = max(span.start, period.start), min(span.end, period.end)
            if start < end:
                yield Period(start, end), version, band


def _days(period: Period, zone: ZoneInfo) -> Sequence[date]:
    first = period.start.astimezone(zone).date()
    last = (period.end - datetime.resolution).astimezone(zone).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)] if period.start < period.end else []
