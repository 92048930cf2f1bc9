"""``python -m tests.fault``: a seeded run with kills and cuts; exit 1 when a reading is lost or stored twice."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.fault.rough_run import acts, run


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.fault", description=__doc__)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--minutes", type=float, default=2.0)
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="plantroom-fault-") as folder:
        Path(folder).chmod(0o711)  # as root the database runs as somebody else
        outcome = asyncio.run(run(Path(folder), asked.seed, acts(asked.seed, asked.minutes)))
    text = json.dumps(outcome.row(asked.seed), indent=1)
    sys.stdout.write(text + "\n")
    if asked.json:
        asked.json.write_text(text + "\n", "utf-8")
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())
