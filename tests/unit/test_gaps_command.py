"""What ``plantroom readings gaps`` shows at night."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from deploy.commands.gaps import lasted, lines
from hub.readings.completeness import Gap, Gaps

AT = datetime(2026, 11, 1, 18, tzinfo=UTC)


def gap(hours: float, **more: object) -> Gap:
    said: dict[str, object] = {"open": False, "bad": 0, "recovered_at": None, **more}
    end = AT + timedelta(hours=hours)
    return Gap("GW", "EM", f"EM.{hours}", AT, end, hours * 3600, 60.0, **said)  # type: ignore[arg-type]


def test_open_gaps_come_first_in_the_time_of_the_site_and_say_what_is_known() -> None:
    found = Gaps([gap(1, bad=20), gap(2, recovered_at=AT), gap(50, open=True)], 7, more=True)
    told = lines(found, ZoneInfo("Asia/Shanghai"))
    assert "times of Asia/Shanghai" in told[0]
    assert told[1].split() == ["EM.50", "2026-11-02", "02:00:00", "not", "yet", "2.1", "d", "60", "s"]
    assert told[2].endswith("60 min     60 s  20 readings that are not good")
    assert told[3].endswith("2.0 h     60 s  filled in 2026-11-02 02:00")
    assert told[4:] == [
        "7 more points lack something; ask for one device.", "There are more gaps; ask for a shorter time.",
    ]  # fmt: skip
    assert lines(Gaps([], 0, more=False), ZoneInfo("UTC")) == ["No gap: every point was read as often as usual."]


@pytest.mark.parametrize(("seconds", "said"), [(45, "45 s"), (1_200, "20 min"), (12_600, "3.5 h"), (259_200, "3.0 d")])
def test_lengths_have_one_unit(seconds: float, said: str) -> None:
    assert lasted(seconds) == said
