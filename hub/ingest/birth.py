"""Read births: which points a device has, under which aliases."""

from decimal import Decimal, InvalidOperation

from hub.ingest.acts import Birth, Spec
from rules.model.point import Kind
from rules.wire import topics
from rules.wire.sparkplug import MEASURED, DataType, Metric

NAME_CHARACTERS_MAX = 120
UNIT_CHARACTERS_MAX = 20
DIGITS_MAX = 18
TEXT_CHARACTERS_MAX = 40
RESOLUTION_UNSAID = Decimal("0.001")  # for edges of other makers
_OWN = ("Plantroom/", "Node Control/", "Device Control/", "Properties/", topics.BD_SEQ)


class UnusableBirthError(ValueError):
    """One metric of a birth cannot become a point; the sentence says why."""


def read(device: str, metrics: tuple[Metric, ...]) -> tuple[Birth, tuple[str, ...]]:
    """Give what a DBIRTH declares, and one sentence for each metric that cannot become a point."""
    names: dict[int, str] = {}
    specs: dict[str, Spec] = {}
    faults: list[str] = []
    for metric in metrics:
        if metric.alias is not None:
            names[metric.alias] = metric.name
        if metric.name.startswith(_OWN) or (metric.wire_type or metric.datatype) not in MEASURED:
            continue
        try:
            specs[metric.name] = _spec(metric)
        except UnusableBirthError as error:
            faults.append(f"{device}: {error}")
    return Birth(device, names, specs), tuple(faults)


def _spec(metric: Metric) -> Spec:
    said = metric.properties
    if not metric.name.isprintable() or not 0 < len(metric.name) <= NAME_CHARACTERS_MAX:
        raise UnusableBirthError(f"the metric name {metric.name[:40]!r} is not 1 to {NAME_CHARACTERS_MAX} characters.")
    kind = said.get(topics.KIND, Kind.STATE if metric.datatype is DataType.BOOLEAN else Kind.GAUGE)
    if kind not in set(Kind):
        raise UnusableBirthError(f"'{metric.name}' has kind {kind[:20]!r}; it is counter, gauge or state.")
    unit = said.get(topics.UNIT, "")
    if not unit.isprintable() or len(unit) > UNIT_CHARACTERS_MAX:
        raise UnusableBirthError(f"'{metric.name}' has a unit that is not up to {UNIT_CHARACTERS_MAX} characters.")
    resolution = _positive(metric.name, "resolution", said.get(topics.RESOLUTION)) or RESOLUTION_UNSAID
    modulus = _positive(metric.name, "modulus", said.get(topics.MODULUS))
    return Spec(metric.name, Kind(kind), unit, resolution, modulus, declared=bool(said), wire_type=metric.wire_type)


def _positive(name: str, what: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        number = Decimal(text[:TEXT_CHARACTERS_MAX])
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0 or abs(number.adjusted()) > DIGITS_MAX:
        raise UnusableBirthError(f"'{name}' has {what} {text[:20]!r}; it is a decimal number above zero.")
    return number
