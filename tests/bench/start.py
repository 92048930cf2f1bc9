"""From ``plantroom demo`` on an empty directory to a live park with 62 days of history and last month's bills."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.bench.row import Row, at_most

READY_S = 120.0
RSS_MB = 1500.0


async def measure(folder: Path) -> list[Row]:
    out = folder / "story.json"
    words = ["demo", "--headless", "--until-story", "--json", str(out), "--data", str(folder / "data")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "deploy", *words, env=clean)
    assert await process.wait() == 0
    figures = json.loads(out.read_text("utf-8"))
    return [
        at_most("demo: start to ready, with history and bills", figures["ready_s"], READY_S, "s"),
        at_most("demo: memory of all processes", figures["rss_mb"], RSS_MB, "MB"),
    ]
