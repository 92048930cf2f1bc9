"""Nothing is lost and nothing counted twice when processes are killed and the link is cut, each under load."""

from pathlib import Path

import pytest

from tests.fault.rough_run import CUT_S, KILLABLE, Act, run

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]


async def test_kills_of_every_part_and_a_cut_link_lose_and_double_nothing(open_directory: Path) -> None:
    outcome = await run(open_directory / "rough", 1, [*map(Act, KILLABLE), Act("cut", CUT_S)])
    assert outcome.diary.kills == dict.fromkeys(KILLABLE, 1)
    assert outcome.diary.cuts == 1
    assert outcome.row(1) == outcome.row(1) | {"lost": 0, "duplicated": 0}
    assert outcome.tally.falsified == 0
    assert all(outcome.invariants.values()), outcome.invariants
