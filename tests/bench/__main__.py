"""``python -m tests.bench [NAME ...] [--json FILE]``: each figure beside its limit; exit 1 when a bar breaks."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.bench import (
    edge,
    edge_bacnet,
    edge_camera,
    edge_command,
    edge_dead,
    edge_kills,
    edge_load,
    edge_opcua,
    edge_outage,
    edge_recovery,
    growth,
    guard,
    ingest,
    ingest_burst,
    ingest_more,
    overlay,
    query,
    sign_in,
    start,
    store,
    walk,
)
from tests.bench.row import Row

BENCHES = {
    "edge": edge.measure,
    "edge_bacnet": edge_bacnet.measure,
    "edge_camera": edge_camera.measure,
    "edge_command": edge_command.measure,
    "edge_kills": edge_kills.measure,
    "edge_opcua": edge_opcua.measure,
    "edge_outage": edge_outage.measure,
    "edge_load": edge_load.measure,
    "edge_dead": edge_dead.measure,
    "edge_recovery": edge_recovery.measure,
    "growth": growth.measure,
    "guard": guard.measure,
    "overlay": overlay.measure,
    "query": query.measure,
    "ingest": ingest.measure,
    "ingest_burst": ingest_burst.measure,
    "ingest_backfill": ingest_more.backfill,
    "ingest_rows": ingest_more.rows,
    "start": start.measure,
    "store": store.measure,
    "walk": walk.measure,
    "sign_in": sign_in.measure,
}


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all when none is named")
    words.add_argument("--json", type=Path)
    words.add_argument("--minutes", type=float, default=edge_load.MINUTES, help="how long edge_load looks on")
    asked = words.parse_args()
    unknown = set(asked.names) - set(BENCHES)
    if unknown:
        words.error(f"no bench is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    rows = [row for name in asked.names or BENCHES for row in _measured(name, asked.minutes)]
    for row in rows:
        sys.stdout.write(
            f"{'holds' if row.holds else 'FAILS':<6} {row.name}: {row.ours:g} {row.unit} (bar {row.bar})\n"
        )
    if asked.json:
        asked.json.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n", "utf-8")
    return 0 if all(row.holds for row in rows) else 1


def _measured(name: str, minutes: float) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
        Path(folder).chmod(0o711)  # as root the database runs as somebody else
        if name == "edge_load":
            return asyncio.run(edge_load.measure(Path(folder), minutes))
        return asyncio.run(BENCHES[name](Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
