"""The part of a site file that a gateway needs: pure.

People, tenants and leases are none of its business, and what it does not have nobody can take from it.
"""

import re
import tomllib

LEFT_OUT = ("technician", "tenant", "lease")
_HEADER = re.compile(r"\s*\[\[?\s*\"?([A-Za-z0-9_-]+)")


def excerpt(text: str) -> str:
    """Give a site file without people; raises ValueError with a sentence where that cannot be cut out."""
    kept, passing = [], False
    for line in text.splitlines(keepends=True):
        if header := _HEADER.match(line):
            passing = header[1] in LEFT_OUT
        if not passing:
            kept.append(line)
    cut = "".join(kept)
    wanted = {name: value for name, value in tomllib.loads(text).items() if name not in LEFT_OUT}
    try:
        same = tomllib.loads(cut) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ValueError(
            "Technicians, tenants and leases cannot be cut out of it; write each under a header of its own."
        )
    return cut
