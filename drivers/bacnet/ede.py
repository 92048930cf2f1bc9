"""EDE files (Engineering Data Exchange of the BACnet Interest Group Europe, layout 2): the objects of devices as CSV.

Pure.  Takes what tools really write: comma, semicolon or tab; UTF-8, UTF-16 or Latin-1; headers in other orders and
spellings.  A line that cannot be used is named and left out.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from drivers.bacnet.draft import Listed
from drivers.bacnet.profile import INSTANCE_MAX, WHOLE

BYTES_MAX = 8 * 1024 * 1024
OBJECTS_MAX = 20_000
FIELD_CHARACTERS_MAX = 200
PROBLEMS_MAX = 100
HEADER_LINES_MAX = 50  # the title of an EDE file is a dozen lines

# ASHRAE 135, clause 21, BACnetObjectType: the numbers of those that hold one.
TYPES: Mapping[int, str] = {
    0: "analog-input", 1: "analog-output", 2: "analog-value", 3: "binary-input", 4: "binary-output",
    5: "binary-value", 12: "loop", 13: "multi-state-input", 14: "multi-state-output", 18: "averaging",
    19: "multi-state-value", 23: "accumulator", 24: "pulse-converter", 45: "integer-value",
    46: "large-analog-value", 48: "positive-integer-value",
}  # fmt: skip
TYPE_MAX = 1023
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "device": ("deviceobjinstance", "deviceobjectinstance", "deviceinstance", "device"),
    "name": ("objectname", "name"),
    "type": ("objecttype", "type"),
    "instance": ("objectinstance", "instance"),
    "description": ("description",),
    "settable": ("settable", "commandable"),
    "told": ("supportscov", "cov"),
    "states": ("statetextreference", "statetextref", "statetext"),
    "units": ("unitcode", "engineeringunits", "units", "unit"),
}
_NEEDED = ("device", "name", "type", "instance")
_YES = frozenset({"y", "yes", "1", "true", "x", "ja", "j"})


class InvalidEdeError(ValueError):
    """The file is no EDE file; one sentence."""


@dataclass(slots=True)
class Ede:
    """What an EDE file holds: objects by device number, and a sentence for every line that was left out."""

    project: str = ""
    devices: dict[int, list[Listed]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def complain(self, line: int, what: str) -> None:
        """Note what is wrong with a line and what to do."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"line {line}: {what}")
        elif len(self.problems) == PROBLEMS_MAX:
            self.problems.append("there are more such lines; correct these first")


def read(data: bytes, states: bytes | None = None, unit_texts: bytes | None = None) -> Ede:
    """Give the objects of an EDE file, with the texts of its state and the names of its unit file where given.

    Raises InvalidEdeError.
    """
    rows = list(_rows(data, "EDE file"))
    head, columns = _header(rows)
    texts = state_texts(states) if states is not None else {}
    names = unit_names(unit_texts) if unit_texts is not None else {}
    ede = Ede(project=_project(rows[:head]))
    seen: set[tuple[int, str, int]] = set()
    for number, row in rows[head + 1 :]:
        if not any(row) or row[0].startswith("#"):
            continue
        if len(seen) >= OBJECTS_MAX:
            ede.complain(number, f"more than {OBJECTS_MAX} objects; split the file by device")
            break
        _take(ede, seen, number, row, columns, texts, names)
    if not ede.devices and not ede.problems:
        raise InvalidEdeError("the EDE file has a header and no objects; export it again with its objects")
    return ede


def state_texts(data: bytes) -> dict[int, dict[int, str]]:
    """Give the texts of a state-text file by reference number; binary ones begin at 0, multi-state ones at 1.

    Which of them a reference is decides the object that names it: ``read`` does that.
    """
    found: dict[int, dict[int, str]] = {}
    for _, row in _rows(data, "state-text file"):
        reference = _whole(row[0])
        if reference is not None:
            found[reference] = {n: text for n, text in enumerate(row[1:], start=1) if text}
    return found


def unit_names(data: bytes) -> dict[str, int]:
    """Give the unit numbers of a unit file by their text, as some tools write texts into the EDE file."""
    found: dict[str, int] = {}
    for _, row in _rows(data, "unit file"):
        number = _whole(row[0])
        if number is not None and len(row) > 1 and row[1]:
            found[row[1].casefold()] = number
    return found


def decoded(data: bytes, what: str) -> str:
    """Give the text of a file: UTF-16 by its mark or its zeros, else UTF-8, else Latin-1.  Raises InvalidEdeError."""
    if len(data) > BYTES_MAX:
        raise InvalidEdeError(f"the {what} is larger than {BYTES_MAX} bytes; is it an EDE file?")
    sample = data[:400]
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16")
        if sample.count(0) > len(sample) // 4:  # every other octet of Latin letters is zero
            return data.decode("utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be")
    except UnicodeDecodeError as error:
        raise InvalidEdeError(f"the {what} begins as UTF-16 and is none (octet {error.start}); save it anew") from None
    if 0 in data:
        raise InvalidEdeError(f"the {what} is no text; save it as CSV")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _rows(data: bytes, what: str) -> Iterator[tuple[int, list[str]]]:
    """Give every line with its number, in fields without the blanks around them."""
    text = decoded(data, what).replace("\r\n", "\n").replace("\r", "\n")
    separator = _separator(text)
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            row = next(csv.reader(io.StringIO(line), delimiter=separator), [])
        except csv.Error:  # a field beyond the reader's own bound
            row = line.split(separator)
        yield number, [one.strip()[:FIELD_CHARACTERS_MAX] for one in row] or [""]


def _separator(text: str) -> str:
    """Give what stands between most fields; 'sep=' of spreadsheets says it itself."""
    told = re.match(r"sep=(.)", text, re.IGNORECASE)
    if told:
        return told[1]
    head = text[:20_000]
    return max(";\t,|", key=head.count)


def _header(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, dict[str, int]]:
    """Give which row names the columns, and where each stands."""
    for place, (_, row) in enumerate(rows[:HEADER_LINES_MAX]):
        plain = [re.sub(r"[^a-z]", "", field.casefold()) for field in row]
        columns = {
            key: plain.index(name) for key, names in _COLUMNS.items() for name in reversed(names) if name in plain
        }
        if all(key in columns for key in _NEEDED):
            return place, columns
    raise InvalidEdeError(
        "no line names the columns 'device obj.-instance', 'object-name', 'object-type' and 'object-instance'; "
        "is it the EDE file, not its state-text or unit file?"
    )


def _project(rows: Sequence[tuple[int, list[str]]]) -> str:
    for _, row in rows:
        if re.sub(r"[^a-z]", "", row[0].casefold()) == "projectname" and len(row) > 1:
            return row[1]
    return ""


def _take(
    ede: Ede,
    seen: set[tuple[int, str, int]],
    number: int,
    row: Sequence[str],
    columns: Mapping[str, int],
    texts: Mapping[int, dict[int, str]],
    names: Mapping[str, int],
) -> None:
    said = {key: row[place] if place < len(row) else "" for key, place in columns.items()}
    device, instance, type_ = _whole(said["device"]), _whole(said["instance"]), _type(said["type"])
    if device is None or device > INSTANCE_MAX:
        ede.complain(number, f"'{said['device']}' is no device number; write one from 0 to {INSTANCE_MAX}")
        return
    if type_ is None:
        ede.complain(number, f"'{said['type']}' is no object type; write its BACnet number (0 is analog-input)")
        return
    if instance is None or instance > INSTANCE_MAX:
        ede.complain(number, f"'{said['instance']}' is no object number; write one from 0 to {INSTANCE_MAX}")
        return
    if type_ not in WHOLE:
        return  # devices, schedules, trend logs: they hold no number
    if (device, type_, instance) in seen:
        ede.complain(number, f"{type_},{instance} of device {device} stands more than once; take one of them out")
        return
    units = _units(said.get("units", ""), names)
    if said.get("units") and units is None:
        ede.complain(number, f"unit '{said['units']}' is no BACnet number; give the unit file too, or fill it in")
    seen.add((device, type_, instance))
    ede.devices.setdefault(device, []).append(
        Listed(
            type_,
            instance,
            name=said["name"],
            description=said.get("description", ""),
            units=units,
            states=_states(type_, said.get("states", ""), texts, ede, number),
            settable=said.get("settable", "").casefold() in _YES,
            told=said.get("told", "").casefold() in _YES,
        )
    )


def _states(type_: str, said: str, texts: Mapping[int, dict[int, str]], ede: Ede, number: int) -> Mapping[int, str]:
    reference = _whole(said)
    if reference is None or not texts:
        return {}
    if reference not in texts:
        ede.complain(number, f"state text {reference} is not in the state-text file; its states stay without names")
        return {}
    first = 1 if type_.startswith("multi-state-") else 0
    return {n - 1 + first: text for n, text in texts[reference].items()}


def _units(said: str, names: Mapping[str, int]) -> int | None:
    number = _whole(said)
    return number if number is not None else names.get(said.casefold()) if said else None


def _type(said: str) -> str | None:
    """Give a type by its number or its name ('analog-input', 'Analog Input', 'AI'); '' for one that is not wanted."""
    number = _whole(said)
    if number is not None:
        return TYPES.get(number, "") if number <= TYPE_MAX else None
    plain = re.sub(r"[^a-z]+", "", said.casefold())
    for type_ in TYPES.values():
        if plain in (type_.replace("-", ""), "".join(part[0] for part in type_.split("-"))):
            return type_
    return None


def _whole(text: str) -> int | None:
    """Give a whole number; '12.0' of a spreadsheet is one."""
    found = re.fullmatch(r"\+?(\d{1,9})(?:[.,]0+)?", text.strip())
    return int(found[1]) if found else None
