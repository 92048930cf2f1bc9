"""Languages of the screens: catalogues, names by language, numbers and times as people there write them."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import as_file, files
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

LANGUAGES = ("zh", "en")
DEFAULT = "zh"
TAGS = {"zh": "zh-CN", "en": "en-GB"}  # for <html lang>, which also picks the right glyphs
LOCALES = {"zh": "zh_Hans_CN", "en": "en_GB"}
MISSING = "–"
PLACES_MONEY = 2
PLACES_MAX = 6


class MissingCatalogueError(RuntimeError):
    """The compiled catalogue is not there; `python hatch_build.py` or an installation makes it."""


@cache
def catalogue(language: str) -> NullTranslations:
    """Give the translations of a language; the sources are English."""
    if language == "en":
        return NullTranslations()
    with as_file(files("web") / "locale") as folder:
        found = Translations.load(folder, [language])
    if not isinstance(found, Translations):
        raise MissingCatalogueError(f"web/locale/{language} is not compiled; run: python hatch_build.py")
    return found


def choose(wanted: str | None, accept: str = "") -> str:
    """Give ``wanted`` if it is a language here, else the first that the browser accepts, else Chinese."""
    asked = [wanted or "", *(part.split(";")[0].strip()[:2].lower() for part in accept.split(","))]
    return next((language for language in asked if language in LANGUAGES), DEFAULT)


def pick(row: Any, field: str, language: str) -> str:
    """Give ``field_zh`` or ``field_en`` of a row."""
    return str(getattr(row, f"{field}_{language}"))


def number(value: float | Decimal | None, language: str, places: int | None = None) -> str:
    """Write a number with grouping; a dash where nothing was measured."""
    if value is None:
        return MISSING
    pattern = "#,##0." + ("0" * places if places is not None else "######")
    return str(format_decimal(value, format=pattern.rstrip("."), locale=LOCALES[language]))


def reading(face: str | Decimal, language: str) -> str:
    """Write a counter's reading with the places that it was stored with (an estimated one has no end of them)."""
    exact = Decimal(face)
    own = exact.as_tuple().exponent
    return number(exact, language, min(max(0, -own), PLACES_MAX) if isinstance(own, int) else PLACES_MAX)


def price(value: str | Decimal, language: str) -> str:
    """Write a price: two places, or all of its own where two do not say it."""
    exact = Decimal(value)
    return number(exact, language, PLACES_MONEY) if places(exact) <= PLACES_MONEY else reading(exact, language)


def amount(value: str | Decimal, language: str) -> str:
    """Write an amount before it is rounded: at least two places, then as far as they say something."""
    exact = round(Decimal(value), PLACES_MAX)
    return number(exact, language, max(places(exact), PLACES_MONEY))


def day(value: date | None, language: str) -> str:
    """Write a day."""
    if value is None:
        return MISSING
    return str(format_date(value, "yyyy-MM-dd" if language == "zh" else "d MMM yyyy", locale=LOCALES[language]))


def clock(at: datetime | None, zone: ZoneInfo, language: str, *, seconds: bool = True) -> str:
    """Write a moment in the time of the site."""
    if at is None:
        return MISSING
    form = ("MM-dd HH:mm" if language == "zh" else "d MMM HH:mm") + (":ss" if seconds else "")
    return str(format_datetime(at.astimezone(zone), form, locale=LOCALES[language]))


def instant(at: datetime, zone: ZoneInfo, language: str) -> str:
    """Write a moment in the time of the site to the millisecond, with its year: what evidence needs."""
    form = "yyyy-MM-dd" if language == "zh" else "d MMM yyyy"
    return str(format_datetime(at.astimezone(zone), f"{form} HH:mm:ss.SSS", locale=LOCALES[language]))


def places(resolution: Decimal) -> int:
    """Give how many places a step of ``resolution`` needs."""
    exponent = resolution.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def in_unit(label: str, unit: str, language: str) -> str:
    """Write the head of a column with the unit of what stands below it."""
    if not unit:
        return label
    return f"{label}\uff08{unit}\uff09" if language == "zh" else f"{label}, {unit}"


def comma(parts: Iterable[str], language: str) -> str:
    """Join a list as a sentence of that language does."""
    return ("、" if language == "zh" else ", ").join(parts)
