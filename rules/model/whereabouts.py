"""In which line of a site file something stands.  Pure.

A sentence about the file begins with what it is about ("device 'EM-1' addres ..."), so the text alone tells the line:
of the table with that code (the last of several: the first was not yet wrong), and of the key in it.
"""

import re
from dataclasses import dataclass, field

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\"-]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*(.*)$")
_CODES = ("code", "login", "point")
_KINDS = {
    "derived point": "derived",
    "local rule": "local_rule",
    "allowed point": "allowed",
    "building, floor or unit": "unit",
}


@dataclass(slots=True)
class _Table:
    name: str
    line: int
    keys: dict[str, int] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    @property
    def codes(self) -> set[str]:
        """By what a sentence may name it."""
        own = {self.values[key] for key in _CODES if key in self.values}
        if self.name == "derived":
            own.add(f"{self.values.get('device', '')}.{self.values.get('measure', '')}")
        return own


class Whereabouts:
    """Where the tables and keys of one file stand."""

    def __init__(self, text: str) -> None:
        """Look through a file that is valid TOML."""
        self._tables: dict[str, list[_Table]] = {}
        self._by_code: dict[tuple[str, str], _Table] = {}
        here, open_until = _Table("", 1), ""
        for number, line in enumerate(text.split("\n"), 1):
            if open_until:  # within a text of several lines
                open_until = "" if open_until in line else open_until
            elif header := _HEADER.match(line):
                here = _Table(header[1].replace('"', ""), number)
                self._tables.setdefault(here.name, []).append(here)
            elif key := _KEY.match(line):
                here.keys[key[1]] = number
                here.values[key[1]] = key[2].split("#")[0].strip().strip("\"'")
                open_until = next((mark for mark in ('"""', "'''") if key[2].count(mark) == 1), "")
        for tables in self._tables.values():
            for table in tables:
                self._by_code.update(((table.name, code), table) for code in table.codes)

    def line(self, sentence: str) -> int | None:
        """Give the line that a sentence is about; None where the file does not tell."""
        kind = next((kind for kind in _KINDS if sentence.startswith(kind)), sentence.partition(" ")[0])
        rest = sentence[len(kind) :]
        name = _KINDS.get(kind, kind)
        about = re.match(r" '([^']*)'| no\. (\d+)", rest)
        table = self._table(name, about)
        if table is None:
            return None
        words = re.findall(r"[A-Za-z0-9_-]+", rest[about.end() if about else 0 :])[:4]
        return next((table.keys[word] for word in words if word in table.keys), table.line)

    def _table(self, name: str, about: re.Match[str] | None) -> _Table | None:
        tables = self._tables.get(name, [])
        if about is None:
            return tables[0] if tables else None
        if about[2]:
            number = int(about[2])
            return tables[number - 1] if 0 < number <= len(tables) else None
        found = self._by_code.get((name, about[1]))
        return found or next((t for (_, code), t in self._by_code.items() if code == about[1]), None)


def located(sentence: str, places: Whereabouts) -> str:
    """Give the sentence with its line before it, where there is one."""
    number = places.line(sentence)
    return sentence if number is None else f"line {number}: {sentence}"
