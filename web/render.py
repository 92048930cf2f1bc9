"""Templates to text: one Jinja environment per language."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from hub.access.rights import Right
from web import browsers, files, language, record_words, words

UTC_ZONE = ZoneInfo("UTC")


@cache
def environment(spoken: str) -> Environment:
    """Give the environment of a language; anything undefined is an error, anything inserted is escaped."""
    found = Environment(
        loader=PackageLoader("web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    translations = language.catalogue(spoken)
    found.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]  # set by the extension
    found.globals.update(
        static=files.address,
        Right=Right,
        language=spoken,
        tag=language.TAGS[spoken],
        MISSING=language.MISSING,
        zone=UTC_ZONE,
        one_day=timedelta(days=1),
    )
    found.filters.update(
        said=translations.gettext,  # of a sentence that came from elsewhere: _() takes what it is given for markup
        word=lambda code: translations.gettext(record_words.word(code)),
        named=lambda row, field="name": language.pick(row, field, spoken),
        number=lambda value, places=None: language.number(value, spoken, places),
        measured=lambda value, resolution: language.number(value, spoken, language.places(resolution)),
        money=lambda value: language.number(value, spoken, 2),
        face=lambda value: language.reading(value, spoken),
        price=lambda value: language.price(value, spoken),
        amount=lambda value: language.amount(value, spoken),
        exact=lambda value: language.number(Decimal(value), spoken),
        browser=browsers.browser,
        actor=lambda login: translations.gettext(words.actor(login)),
        day=lambda value: language.day(value, spoken),
        comma=lambda parts: language.comma(parts, spoken),
        worded=lambda codes, kind: [translations.gettext(words.word(f"{kind}.{code}")) for code in codes],
        in_unit=lambda label, unit: language.in_unit(label, unit or "", spoken),
        clock=_clock,
        dated=_dated,
        instant=_instant,
        iso=_iso,
        moment=datetime.fromisoformat,
    )
    return found


@pass_context
def _clock(context: Context, at: datetime | None, seconds: bool = True) -> str:
    return language.clock(at, context["zone"], context["language"], seconds=seconds)


@pass_context
def _dated(context: Context, at: datetime | None, last: bool = False) -> str:
    """Write the day of a moment at the site; ``last``: the last day before it."""
    if at is None:
        return language.MISSING
    local = (at - timedelta(microseconds=last)).astimezone(context["zone"])
    return language.day(local.date(), context["language"])


@pass_context
def _instant(context: Context, at: datetime) -> str:
    return language.instant(at, context["zone"], context["language"])


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render(spoken: str, template: str, **context: Any) -> str:
    """Give the text of a template in a language."""
    return environment(spoken).get_template(template).render(context)
