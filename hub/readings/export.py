"""Readings as text: CSV and JSON, in the form that ``plantroom readings`` promises.  Pure."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, fields

from hub.readings.rows import Exported
from rules.model.sheet import cell_text

COLUMNS = [field.name for field in fields(Exported)]


def csv_text(lines: Iterable[Exported]) -> str:
    """Give CSV with a head; a missing value is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        row = _row(line)
        value = "" if line.value is None else repr(line.value)
        writer.writerow({**row, "value": value, "unit": cell_text(line.unit)})  # the gateway said it
    return text.getvalue()


def json_text(lines: Iterable[Exported]) -> str:
    """Give a JSON list; a missing value is null."""
    return json.dumps([_row(line) for line in lines], ensure_ascii=False)


def _row(line: Exported) -> dict[str, object]:
    return {**asdict(line), "at": line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
