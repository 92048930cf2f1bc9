"""Everything that is known of a person as one file to hand over: a page to read, a table each, data, pictures."""

import io
import json
import zipfile
from typing import Any
from zoneinfo import ZoneInfo

from hub.privacy.rows import Export
from web.export import BOM, text
from web.render import UTC_ZONE, render


def packed(export: Export, language: str, zone: ZoneInfo = UTC_ZONE) -> bytes:
    """Give the ZIP file; its page is in ``language``, with times of ``zone``, its data in UTC."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.html", page(export, language, zone))
        archive.writestr("data.json", data(export))
        for section in export.sections:
            if section.records:
                archive.writestr(f"{section.table}.csv", BOM + text([_cells(record) for record in section.records]))
        for still_id, picture in export.pictures.items():
            archive.writestr(f"stills/{still_id}.jpg", picture)
    return file.getvalue()


def page(export: Export, language: str, zone: ZoneInfo) -> str:
    """Give the page to read."""
    return render(language, "privacy/takeout.html", export=export, zone=zone)


def data(export: Export) -> str:
    """Give the data as JSON: every table of the register, also where nothing is known."""
    said = {
        "made_at": export.made_at.isoformat(),
        "records": [str(one) for one in export.person.ids],
        "tables": {section.table: list(section.records) for section in export.sections},
    }
    return json.dumps(said, ensure_ascii=False, indent=1)


def _cells(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in record.items()
    }
