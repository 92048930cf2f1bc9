"""Drafts of profiles, from the objects of a device, that an engineer completes."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from drivers.bacnet import units
from drivers.bacnet.profile import WHOLE, WITH_UNITS
from rules.model import quantity

NAME_CHARACTERS_MAX = 41
CODE_CHARACTERS_MAX = 64
COUNTER_MODULUS = 4_294_967_296  # what an accumulator of 32 bits holds; the device's own is to be written in
STATES_SHOWN_MAX = 20
GAUGE_RESOLUTION = "0.01"
_SHORT = {
    "analog-input": "ai", "analog-output": "ao", "analog-value": "av", "large-analog-value": "lav",
    "binary-input": "bi", "binary-output": "bo", "binary-value": "bv", "multi-state-input": "mi",
    "multi-state-output": "mo", "multi-state-value": "mv", "accumulator": "acc", "pulse-converter": "pc",
    "integer-value": "iv", "positive-integer-value": "piv", "averaging": "avg", "loop": "loop",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a device; ``units`` is its BACnet number, None where the device does not say."""

    type: str
    instance: int
    name: str = ""
    description: str = ""
    units: int | None = None
    states: Mapping[int, str] = field(default_factory=dict)
    settable: bool = False
    told: bool = False  # whether it reports changes of value

    @property
    def object(self) -> str:
        """The object as a profile writes it."""
        return f"{self.type},{self.instance}"


def code(text: str, otherwise: str) -> str:
    """Give a text as a profile's code: small letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:CODE_CHARACTERS_MAX].strip("-") or otherwise


def profile(name: str, title: str, source: str, objects: Iterable[Listed]) -> str:
    """Give a profile as TOML that reads every object which holds a number; objects that cannot be are left out."""
    wanted = [one for one in objects if one.type in WHOLE]
    told = bool(wanted) and all(one.told for one in wanted)
    lines = [
        "# A draft: look at each unit, take out what nobody needs, give measures their names.",
        f"code = {_text(name)}",
        f"title = {_text(title)}",
        'protocol = "bacnet"',
        f"source = {_text(source)}",
        *(["cov = true"] if told else []),
    ]
    taken: set[str] = set()
    for one in wanted:
        lines += ["", *_measure(one, _unique(one, taken))]
    return "\n".join(lines) + "\n"


def _measure(one: Listed, name: str) -> Sequence[str]:
    unit, remark = _unit(one)
    kind = _kind(one)
    return [
        *(f"# {plain(text)}" for text in (one.name, one.description) if text),
        *([f"# {_states(one)}"] if one.states else []),
        *([f"# {remark}"] if remark else []),
        *(["# it can be set: give writable = [from, to] where the platform may"] if one.settable else []),
        "[[measure]]",
        f'name = "{name}"',
        f'kind = "{kind}"',
        f"unit = {_text(unit)}",
        f'object = "{one.object}"',
        *([f"modulus = {COUNTER_MODULUS}  # where it starts again: look at the meter"] if kind == "counter" else []),
        *([f"resolution = {GAUGE_RESOLUTION}"] if kind == "gauge" else []),
    ]


def _kind(one: Listed) -> str:
    if one.type == "accumulator":
        return "counter"
    return "state" if one.type.startswith(("binary-", "multi-state-")) else "gauge"


def _unit(one: Listed) -> tuple[str, str]:
    if one.type not in WITH_UNITS:
        return "", ""
    if one.units is None:
        return "", "the device does not say its unit: fill it in"
    found = units.text(one.units)
    if found is None:
        return "", f"its unit is BACnet's number {one.units}: fill it in"
    try:
        quantity.compatible(found, found)
    except quantity.UnknownUnitError:
        return "", f"it is in {found}, which is no unit here"
    return found, ""


def _unique(one: Listed, taken: set[str]) -> str:
    """Give a name for a measure that no other has: from the object's name, else from its kind and number."""
    short = f"{_SHORT.get(one.type, 'o')}{one.instance}"
    plain = code(one.name, "").replace("-", "_")
    stem = plain if plain[:1].isalpha() else short if not plain else f"{short}_{plain}"
    name = stem[:NAME_CHARACTERS_MAX].rstrip("_")
    if name in taken:
        name = f"{stem[: NAME_CHARACTERS_MAX - len(short) - 1]}_{short}"
    taken.add(name)
    return name


def _states(one: Listed) -> str:
    shown = sorted(one.states.items())[:STATES_SHOWN_MAX]
    return plain(", ".join(f"{number} = {text}" for number, text in shown))


def plain(text: str) -> str:
    """Give a text of a device for a comment: one line, nothing that a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _text(text: str) -> str:
    """Give a text as a TOML string (a JSON string without escapes of its own is one)."""
    return json.dumps(plain(text), ensure_ascii=False)
