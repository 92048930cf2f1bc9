"""The whole story by its command: from the device's register to the invoice, counted against the park's own truth."""

import asyncio
import json
import os
import sys
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rules.model.period import Period
from simulators.world import World
from tests.builders import site_file
from tests.e2e.recount import totals

SEED = 5
pytestmark = [pytest.mark.timeout(300)]


async def _story(folder: Path) -> dict[str, Any]:
    out = folder / "story.json"
    words = ["demo", "--headless", "--until-story", "--json", str(out), "--seed", str(SEED), "--data", str(folder)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLANTROOM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", *words, stderr=asyncio.subprocess.PIPE, env=clean
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    figures: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return figures


async def test_the_story_loses_nothing_and_bills_what_the_meters_truly_counted(open_directory: Path) -> None:
    folder = open_directory / "story"
    folder.mkdir(mode=0o711)
    figures = await _story(folder)
    assert (figures["lost"], figures["duplicated"], figures["falsified"]) == (0, 0, 0)
    assert figures["stored"] > 150_000
    assert figures["order_verified"]
    assert figures["balanced"]
    assert figures["alarm_to_order_s"] < 2
    world = World(site_file(), SEED)
    metered = [line for invoice in figures["invoices"] for line in invoice["lines"] if line["meter"]]
    assert len(figures["invoices"]) == 8
    assert len(metered) == 16
    for line in metered:
        period = Period(datetime.fromisoformat(line["start"]["at"]), datetime.fromisoformat(line["end"]["at"]))
        assert period.end > period.start
        truth = world.true_consumption(line["meter"], period.start, period.end)
        assert Decimal(line["quantity"]) == truth, line
    ends = {(line["start"]["at"], line["end"]["at"]) for line in metered}
    start, end = (datetime.fromisoformat(at) for at in ends.pop())
    assert not ends
    counted = [total for _, total in totals(site_file(), folder / "history.csv", start, end)]
    assert [Fraction(invoice["total"]) for invoice in figures["invoices"]] == counted
