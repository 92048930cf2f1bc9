"""Drafts of site files: what a scan has found, with everything else left to be filled in."""

import json
from collections.abc import Iterable

NAME_CHARACTERS_MAX = 80
HEAD = """\
# A draft: what answered a scan.  Replace what is written in capital letters, then try `plantroom edge check`.
[organisation]
code = "ORGANISATION"
name_zh = "ORGANISATION"
name_en = "ORGANISATION"

[site]
code = "SITE"
name_zh = "SITE"
name_en = "SITE"
timezone = "Asia/Shanghai"
currency = "CNY"

[[building]]
code = "BUILDING"
name_zh = "BUILDING"
name_en = "BUILDING"
floors = []

[[gateway]]
code = "GATEWAY"
"""


def table(kind: str, values: dict[str, str | float], notes: Iterable[str] = ()) -> str:
    """Write one table of a site file; ``notes`` stand above it."""
    lines = [f"\n[[{kind}]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())]
    return "".join(f"\n# {note}" for note in notes) + "\n".join(lines) + "\n"


def device(code: str, name: str, line: str, address: str, profile: str) -> str:
    """Write a device that hangs in the building as plant."""
    called = name[:NAME_CHARACTERS_MAX] or code
    return table(
        "device",
        {"code": code, "name_zh": called, "name_en": called, "line": line, "address": address, "profile": profile,
         "role": "plant", "space": "BUILDING"},
    )  # fmt: skip
