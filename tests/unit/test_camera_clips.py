"""Clips in their ring: whole or not there, bounded in bytes and in age."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers.camera import clips
from drivers.camera.clips import AFTER_S, BEFORE_S, LONGEST_S, Recorder, Ring

STARTED = datetime(2026, 3, 2, 8, tzinfo=UTC)
PER_S = 2
DAY = timedelta(days=1)


def ring_in(folder: Path, *, bytes_max: int = 10**7, age_max: timedelta = DAY) -> Ring:
    return Ring(folder / "CAM-1", "CAM-1", bytes_max=bytes_max, age_max=age_max)


class Filmed:
    """A recorder that films something grey; ``begin`` at given seconds."""

    def __init__(self, folder: Path, ring: Ring | None = None) -> None:
        self.folder = folder / "CAM-1"
        self.complaints: list[str] = []
        self.recorder = Recorder(ring or ring_in(folder), PER_S, self.complaints.append)
        self.at_s = 0.0

    def film(self, seconds: float, causes: dict[float, str] | None = None) -> None:
        for n in range(round(seconds * PER_S)):
            now = STARTED + timedelta(seconds=self.at_s)
            self.recorder.take(np.full((90, 160, 3), n % 256, np.uint8), self.at_s, now)
            if cause := (causes or {}).get(n / PER_S):
                self.recorder.begin(cause, self.at_s, now)
            self.at_s += 1 / PER_S

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


def pictures(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def test_a_clip_has_the_seconds_before_and_after_and_is_named_by_camera_time_and_cause(tmp_path: Path) -> None:
    filmed = Filmed(tmp_path)
    filmed.film(20, {8.0: "zone"})
    assert filmed.names == ["CAM-1-20260302T080008.000Z-zone.mp4"]
    assert pictures(filmed.folder / filmed.names[0]) == (BEFORE_S + AFTER_S) * PER_S
    assert filmed.complaints == []
    assert filmed.folder.stat().st_mode & 0o077 == 0


def test_what_happens_meanwhile_makes_the_clip_longer_up_to_a_bound(tmp_path: Path) -> None:
    filmed = Filmed(tmp_path)
    filmed.film(60, dict.fromkeys([8.0 + 3 * n for n in range(10)], "motion"))
    first, *_ = filmed.names
    assert first.startswith("CAM-1-20260302T080008")
    assert pictures(filmed.folder / first) <= (BEFORE_S + LONGEST_S) * PER_S + 1


def test_until_it_is_whole_a_clip_is_not_counted_and_a_kill_leaves_nothing(tmp_path: Path) -> None:
    filmed = Filmed(tmp_path)
    filmed.film(9, {8.0: "motion"})
    ring = ring_in(tmp_path)  # another process, after a kill
    assert [name.startswith(".") for name in filmed.names] == [True]
    assert ring.clips() == []
    ring.clear_parts()
    assert filmed.names == []
    filmed.film(10)  # the first one lives on and finds its file gone
    assert len(filmed.complaints) == 1
    assert filmed.names == []


def test_a_clip_ends_with_its_stream(tmp_path: Path) -> None:
    filmed = Filmed(tmp_path)
    filmed.film(9, {8.0: "line"})
    filmed.recorder.finish(STARTED)
    assert len(filmed.names) == 1
    assert pictures(filmed.folder / filmed.names[0]) == BEFORE_S * PER_S + 1


def test_the_oldest_clips_go_when_all_are_too_large_or_they_are_too_old(tmp_path: Path) -> None:
    folder = tmp_path / "CAM-1"
    folder.mkdir()
    for hour in range(10):
        (folder / f"CAM-1-20260302T{hour:02}0000.000Z-motion.mp4").write_bytes(b"x" * 100)
    others = ["CAM-10-20200101T000000.000Z-motion.mp4", "notes.txt", "CAM-1-20200101T000000.000Z-motion.mp4.bak"]
    for name in others:
        (folder / name).write_bytes(b"x" * 1000)
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    ring_in(tmp_path, bytes_max=450, age_max=DAY).prune(at)
    assert [moment.hour for moment, _ in ring_in(tmp_path).clips()] == [6, 7, 8, 9]
    ring_in(tmp_path, age_max=timedelta(hours=4)).prune(at)
    assert [moment.hour for moment, _ in ring_in(tmp_path).clips()] == [8, 9]
    assert {path.name for path in folder.iterdir()} >= set(others)  # what is not ours stays


def test_a_day_of_events_stays_within_its_bytes(tmp_path: Path) -> None:
    filmed = Filmed(tmp_path, ring_in(tmp_path, bytes_max=20_000))
    filmed.film(200, {8.0 + 20 * n: "motion" for n in range(9)})
    assert 0 < sum(path.stat().st_size for path in filmed.folder.iterdir()) <= 20_000
    assert filmed.complaints == []


def test_a_disk_that_is_nearly_full_loses_the_clip_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "FREE_BYTES_MIN", 1 << 62)
    filmed = Filmed(tmp_path)
    filmed.film(20, {8.0: "zone"})
    assert filmed.names == []
    assert "MB are free" in filmed.complaints[0]


@pytest.mark.parametrize("harm", ["truncated", "emptied", "removed", "overwritten"])
def test_a_file_that_the_disk_did_not_take_whole_is_no_clip(tmp_path: Path, harm: str) -> None:
    ring = ring_in(tmp_path)
    part = ring.part(STARTED, "motion")
    writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, clips.CODEC, PER_S, (160, 90))
    for n in range(10):
        writer.write(np.full((90, 160, 3), 20 * n, np.uint8))
    writer.release()
    whole = part.read_bytes()
    part.write_bytes({"truncated": whole[:-100], "emptied": b"", "overwritten": bytes(len(whole))}.get(harm, whole))
    if harm == "removed":
        part.unlink()
    with pytest.raises(OSError, match="is the disk full"):
        ring.keep(part, 10, STARTED)
    assert list((tmp_path / "CAM-1").iterdir()) == []
