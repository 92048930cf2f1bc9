"""A profile and the lines of a site file, drafted from what a server has; the engineer fills in and takes out."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from drivers.opcua.browse import Found, Variable
from drivers.opcua.profile import OPC_NAMESPACE

NAME_MAX = 41  # of a measure
CODE_MAX = 40
FLOATS = ("Float", "Double", "Number")
NUMBERS = (
    *FLOATS, "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Integer", "UInteger",
)  # fmt: skip
COUNTED = ("kWh", "Wh", "MWh", "m³", "m3", "L", "l", "MJ", "GJ", "kvarh")  # units that often count up for ever
FLOAT_RESOLUTION = "0.01"


def draft(found: Found, url: str, code: str) -> tuple[str, dict[str, str]]:
    """Give the line and the device as TOML for a site file, and the profile by its code."""
    taken = [one for one in found.variables if not one.array and (one.type in NUMBERS or one.type in ("Boolean", ""))]
    return _site(url, code), {code: _profile(found, taken, url, code)}


def code_of(url: str) -> str:
    """Make the code of a profile from a server's address."""
    return re.sub(r"[^a-z0-9]+", "-", f"opcua {url.partition('//')[2]}".lower()).strip("-")[:CODE_MAX].strip("-")


def _site(url: str, code: str) -> str:
    return f"""[[line]]
code = "OPCUA-1"
gateway = "GATEWAY"
driver = "opcua"
url = {_text(url)}
poll_s = 10
timeout_s = 2
# security = "Basic256Sha256"  # certificate and key: plantroom edge certificate SITE OPCUA-1 --out DIR
# certificate = "..."
# key = "..."
# trust = "..."

[[device]]
code = "OPCUA-DEVICE-1"
name_zh = "DEVICE"
name_en = "DEVICE"
line = "OPCUA-1"
profile = {_text(code)}
role = "plant"
space = "BUILDING"
"""


def _profile(found: Found, taken: list[Variable], url: str, code: str) -> str:
    spaces = Counter(one.namespace for one in taken)
    namespace = spaces.most_common(1)[0][0] if spaces else OPC_NAMESPACE
    lines = [
        f"# A draft of what {_plain(url)} has: take out what nobody needs, look at kinds, units and limits.",
        *([f"# Not all of it: {_plain(found.ended)}."] if found.ended else []),
        f"code = {_text(code)}",
        f"title = {_text(f'OPC UA server {url}')}",
        'protocol = "opcua"',
        f"namespace = {_text(namespace)}",
        f"source = {_text(f'nodes of {url} as it was scanned')}",
        "# subscribe = true  # the server tells changes by itself",
    ]
    for one, name in zip(taken, _names(taken), strict=True):
        lines += ["", *_measure(one, name, namespace)]
    kept = {id(one) for one in taken}
    left = [one for one in found.variables if id(one) not in kept]
    if left:
        lines += ["", "# Left out, for it is no single number:"]
        lines += [
            f"# {_plain('/'.join(one.path))} ({'array of ' * one.array}{one.type or 'a type of its own'})"
            for one in left
        ]
    return "\n".join(lines) + "\n"


def _measure(one: Variable, name: str, namespace: str) -> Iterator[str]:
    yield f"[[measure]]  # {_plain('/'.join(one.path))}"
    yield f'name = "{name}"'
    if one.type in ("Boolean", ""):
        yield 'kind = "state"' + ("" if one.type else "  # an enumeration?")
        yield 'unit = ""'
    else:
        counts = one.unit in COUNTED
        yield 'kind = "gauge"' + ('  # or "counter", with the modulus at which it starts again' if counts else "")
        yield f"unit = {_text(one.unit)}"
    yield f"node = {_text(one.node)}"
    if one.namespace != namespace:
        yield f"namespace = {_text(one.namespace)}"
    if one.type in FLOATS:
        yield f"resolution = {FLOAT_RESOLUTION}"
    if one.settable:
        yield "# writable = [0, 100]  # from, to: the server lets us set it"


def _names(variables: Iterable[Variable]) -> Iterator[str]:
    """Give each variable a name of its own, from the end of its path."""
    used: set[str] = set()
    for one in variables:
        words = [_snake(word) for word in one.path]
        name = words[-1] if words else ""
        if name in used and len(words) > 1:
            name = f"{words[-2]}_{name}"
        name = (name if name[:1].isalpha() else f"value_{name}")[:NAME_MAX].strip("_") or "value"
        number, wanted = 1, name
        while name in used:
            number += 1
            name = f"{wanted[: NAME_MAX - 6]}_{number}"
        used.add(name)
        yield name


def _snake(word: str) -> str:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def _text(text: str) -> str:
    """Write a TOML string; what JSON escapes TOML takes (TOML 1.0, strings), but for the sign 0x7F."""
    whole = text.encode("utf-8", "replace").decode()
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plain(text: str) -> str:
    """Write text for a comment, which holds no control signs."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
