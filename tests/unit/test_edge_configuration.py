"""Pushed configurations on disk: whatever moment the power goes, the next start goes by a file that is whole."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent import configuration as module
from edge_agent.config import load
from edge_agent.configuration import CONFIRM_S, Configuration
from rules.wire.configuration import Pushed, State, digest, unwrap, wrap
from rules.wire.sparkplug import MalformedPayloadError
from tests.field import device_text, site_text, write_site

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OWN = site_text(1502)
TWO = site_text(1502, device_text("EM-1", 1) + device_text("EM-2", 2))
THREE = site_text(1502, device_text("EM-3", 3))


class Bench:
    """A gateway's folder, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.site = write_site(folder, OWN)

    def start(self) -> tuple[Configuration, set[str]]:
        """Start the agent anew; gives the devices that it goes by."""
        started = Configuration(self.site, self.folder, load(self.site), lambda: self.now)
        return started, {device.code for device in started.begin().devices}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def pushed(number: int, text: str) -> Pushed:
    return Pushed(number, digest(text), text)


def test_a_confirmed_configuration_outlives_restarts(bench: Bench) -> None:
    running, _ = bench.start()
    assert running.offer(pushed(1, TWO), {"EM-1", "EM-9"}) is not None
    assert running.told.state is State.TRIAL
    assert running.trial is not None
    assert running.trial.answering == ("EM-1",)
    running.confirm()
    bench.now += timedelta(days=1)
    again, devices = bench.start()
    assert devices == {"EM-1", "EM-2"}
    assert (again.told.state, again.told.sha256, again.told.number) == (State.IN_FORCE, digest(TWO), 1)


def test_a_trial_that_is_overdue_at_a_start_is_rolled_back(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    bench.now += timedelta(seconds=CONFIRM_S)
    again, devices = bench.start()
    assert devices == {"EM-1"}
    assert (again.told.state, again.told.sha256) == (State.ROLLED_BACK, digest(OWN))
    assert "when its time was over" in again.told.reason
    assert list(bench.folder.glob("*.toml")) == [bench.site]
    assert again.offer(pushed(1, TWO), ()) is None  # the same push again does nothing
    assert again.offer(pushed(2, TWO), ()) is not None


def test_a_power_cut_goes_on_with_the_trial_and_a_crash_ends_it(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    bench.now += timedelta(seconds=5)
    again, devices = bench.start()
    assert devices == {"EM-1", "EM-2"}
    assert again.remaining_s() == CONFIRM_S - 5
    third, devices = bench.start()
    assert devices == {"EM-1"}
    assert "did not survive" in third.told.reason


def test_a_clock_that_was_set_back_does_not_make_a_trial_endless(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    bench.now -= timedelta(days=1000)
    assert running.remaining_s() == CONFIRM_S


def test_a_rolled_back_push_leaves_the_one_before_in_force(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    running.confirm()
    running.offer(pushed(2, THREE), ())
    assert {d.code for d in running.roll_back("these no longer answer: EM-1").devices} == {"EM-1", "EM-2"}
    assert bench.start()[1] == {"EM-1", "EM-2"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (OWN.replace('code = "S1"', 'code = "S2"'), "it is of site 'S2', and this gateway of 'S1'"),
        (OWN.replace('"GW-1"', '"GW-2"'), "has no gateway 'GW-1'"),
        (OWN.replace("poll_s", "pol_s"), "line 26: line 'L1' pol_s is not a known key"),
        ("x = [", "is not valid TOML"),
    ],
)
def test_a_file_that_is_not_for_this_gateway_is_refused_and_changes_nothing(
    bench: Bench, text: str, sentence: str
) -> None:
    running, _ = bench.start()
    assert running.offer(pushed(1, text), ()) is None
    assert running.told.state is State.REFUSED
    assert sentence in running.told.reason
    assert running.told.sha256 == digest(OWN)
    assert bench.start()[1] == {"EM-1"}


def test_whoever_changes_the_file_on_the_gateway_sets_the_pushed_one_aside(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    running.confirm()
    write_site(bench.folder, THREE)
    assert {device.code for device in running.changed().devices} == {"EM-3"}
    assert (running.told.state, running.told.sha256, running.told.number) == (State.LOCAL, digest(THREE), 1)
    assert bench.start()[1] == {"EM-3"}


def test_a_file_changed_while_the_agent_was_off_counts_too(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    write_site(bench.folder, THREE)
    again, devices = bench.start()
    assert devices == {"EM-3"}
    assert again.trial is None


def test_damaged_files_of_ours_lead_back_to_the_gateways_own(bench: Bench) -> None:
    running, _ = bench.start()
    running.offer(pushed(1, TWO), ())
    running.confirm()
    (held,) = bench.folder.glob("edge-*.toml")
    held.write_text(TWO + "# changed", encoding="utf-8")
    again, devices = bench.start()
    assert devices == {"EM-1"}
    assert "not the file that was pushed" in again.told.reason
    (bench.folder / "edge-GW-1.configuration.json").write_bytes(b"\x00{")
    assert bench.start()[1] == {"EM-1"}


@pytest.mark.parametrize("cut", range(8))
def test_a_power_cut_at_any_write_leaves_a_gateway_that_starts(
    bench: Bench, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = module.write, [cut]

    def writes(path: Path, data: bytes, mode: int) -> None:
        if left[0] == 0:
            path.with_name(path.name + ".part").write_bytes(data[: len(data) // 2])
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, data, mode)

    running, _ = bench.start()
    monkeypatch.setattr(module, "write", writes)
    try:
        running.offer(pushed(1, TWO), ())
        running.confirm()
        running.offer(pushed(2, THREE), ())
        running.roll_back("tried")
    except KeyboardInterrupt:
        pass
    monkeypatch.setattr(module, "write", real)
    again, devices = bench.start()
    assert devices in ({"EM-1"}, {"EM-1", "EM-2"}, {"EM-3"})
    bench.now += timedelta(days=1)
    again, devices = bench.start()
    assert again.trial is None
    assert devices == ({"EM-1"} if cut < 3 else {"EM-1", "EM-2"})


def test_what_the_wire_carries_is_whole_or_refused() -> None:
    wrapped = wrap(7, TWO)
    assert unwrap(wrapped) == Pushed(7, digest(TWO), TWO)
    for bad in (None, 3, "", "1 2", wrapped[:-4], wrapped.replace("7 ", "x "), f"7 {'0' * 64} {wrapped.split()[2]}"):
        with pytest.raises(MalformedPayloadError):
            unwrap(bad)
    bomb = wrap(1, "a" * 4_000_000)
    assert len(bomb) < 10_000
    with pytest.raises(MalformedPayloadError):
        unwrap(bomb.replace(bomb.split()[1], "0" * 64))
    with pytest.raises(ValueError, match="too large"):
        wrap(1, "a" * 5_000_000)
