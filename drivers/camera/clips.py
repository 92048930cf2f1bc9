"""Short clips around events, in a ring on disk: bounded in bytes and in age, whole files only.

A clip is MPEG-4 Part 2 in MP4: a fifth of the bytes of single JPEGs for next to no work (VP8 takes 0.1 s a picture).
It is written under another name and renamed when it is whole and on the disk; what a kill leaves of one is cleared
away at the next start and never counted.  A name tells camera, time (UTC) and cause:
``CAM-1-20261129T181500.123Z-zone.mp4``.
"""

import os
import re
import shutil
import struct
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from drivers.camera.picture import Colour

BEFORE_S, AFTER_S = 4.0, 6.0
LONGEST_S = 30.0
SIDE_MAX = 640  # pixels
QUALITY = 80  # of the pictures that wait in memory
WRITES = 3  # pictures that are written for each that comes, until the clip has caught up
FREE_BYTES_MIN = 64 * 1024 * 1024  # left to what matters more than clips
PICTURES_MAX = int((BEFORE_S + LONGEST_S) * 10) + 10
CODEC = cv2.VideoWriter.fourcc(*"mp4v")
PART = ".part.mp4"
LARGE = 1  # length of a box whose real length follows
INDEX_BYTES_MAX = 1 << 20
TIME = "%Y%m%dT%H%M%S.%f"


class Ring:
    """The clips of one camera in a folder of its own; raises OSError as the disk does."""

    def __init__(self, folder: Path, camera: str, *, bytes_max: int, age_max: timedelta) -> None:
        self._folder = folder
        self._camera = camera
        self._bytes_max = bytes_max
        self._age_max = age_max
        self._name = re.compile(re.escape(camera) + r"-(\d{8}T\d{6}\.\d{3})Z-[a-z]+\.mp4")

    def clear_parts(self) -> None:
        """Remove what a killed process has left half done."""
        for part in self._folder.glob(f".*{PART}"):
            part.unlink(missing_ok=True)

    def clips(self) -> list[tuple[datetime, Path]]:
        """Give all whole clips with their times, oldest first."""
        if not self._folder.is_dir():
            return []
        named = ((self._name.fullmatch(path.name), path) for path in self._folder.iterdir())
        found = [(datetime.strptime(match[1], TIME).replace(tzinfo=UTC), path) for match, path in named if match]
        return sorted(found)

    def prune(self, now: datetime) -> None:
        """Remove clips that are too old, then the oldest while all are too large together."""
        sizes = {path: path.stat().st_size for _, path in self.clips()}
        for at, path in self.clips():
            if now - at <= self._age_max and sum(sizes.values()) <= self._bytes_max:
                continue
            path.unlink(missing_ok=True)
            sizes.pop(path, None)

    def part(self, at: datetime, cause: str) -> Path:
        """Give where a clip is written until it is whole; makes the folder, readable by its owner alone."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(self._folder).free < FREE_BYTES_MIN:
            raise OSError(f"less than {FREE_BYTES_MIN >> 20} MB are free")
        moment = f"{at.astimezone(UTC):{TIME}}"[:-3]
        return self._folder / f".{self._camera}-{moment}Z-{cause}{PART}"

    def keep(self, part: Path, pictures: int, now: datetime) -> None:
        """Take a finished clip in, if it is as long as it should be: on a full disk the writer is silent."""
        if not part.exists() or _length(part) < pictures:
            part.unlink(missing_ok=True)
            raise OSError("it could not be written whole; is the disk full?")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(self._folder / (part.name[1:].removesuffix(PART) + ".mp4"))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.prune(now)


class Recorder:
    """Remembers the last seconds, and writes them with those that follow when something happens."""

    def __init__(self, ring: Ring, per_s: float, complain: Callable[[str], None]) -> None:
        self._ring = ring
        self._per_s = per_s
        self._complain = complain
        self._recent: deque[bytes] = deque(maxlen=max(1, round(BEFORE_S * per_s)))
        self._clip: _Clip | None = None
        self._begun_s = self._end_s = 0.0

    def take(self, picture: Colour, at_s: float, now: datetime) -> None:
        """Take the next picture of the stream."""
        scale = min(1.0, SIDE_MAX / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        self._recent.append(data)
        if self._clip is not None:
            self._clip.waiting.append(data)
            self._clip.write(WRITES)
            if at_s >= self._end_s:
                self.finish(now)

    def begin(self, cause: str, at_s: float, now: datetime) -> None:
        """Write a clip; one that is being written goes on for longer instead."""
        if self._clip is not None:
            self._end_s = min(at_s + AFTER_S, self._begun_s + LONGEST_S)
            return
        self._begun_s, self._end_s = at_s, at_s + AFTER_S
        try:
            self._clip = _Clip(self._ring.part(now, cause), self._per_s, self._recent)
        except OSError as error:
            self._complain(f"a clip was not kept: {error}")

    def finish(self, now: datetime) -> None:
        """End a clip that is being written, with what there is of it."""
        if self._clip is None:
            return
        clip, self._clip = self._clip, None
        clip.write(len(clip.waiting))
        clip.close()
        try:
            self._ring.keep(clip.part, clip.written, now)
        except OSError as error:
            self._complain(f"a clip was not kept: {error}")


class _Clip:
    """A clip that is being written; ``waiting`` are the pictures (JPEG) that are still to be."""

    def __init__(self, part: Path, per_s: float, recent: Iterable[bytes]) -> None:
        self.part = part
        self.waiting = deque(recent, PICTURES_MAX)
        self.written = 0
        self._per_s = per_s
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None

    def write(self, most: int) -> None:
        """Write so many of the waiting pictures."""
        for _ in range(min(most, len(self.waiting))):
            picture = cv2.imdecode(np.frombuffer(self.waiting.popleft(), np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            if self._writer is None:
                self._size = picture.shape[1], picture.shape[0]
                self._writer = cv2.VideoWriter(str(self.part), cv2.CAP_FFMPEG, CODEC, self._per_s, self._size)
            self._writer.write(picture if picture.shape[1::-1] == self._size else cv2.resize(picture, self._size))
            self.written += 1

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.release()


def _length(path: Path) -> int:
    """Give how many pictures an MP4 file holds (ISO/IEC 14496-12: the count in ``stsz``); 0 if a part is missing."""
    size, place, pictures = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            length, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
            if length == LARGE:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:  # noqa: PLR2004  # a box has a head
                return 0
            if kind == b"moov":
                index = file.read(min(length, INDEX_BYTES_MAX))
                found = index.find(b"stsz")
                pictures = int.from_bytes(index[found + 12 : found + 16], "big") if found >= 0 else 0
            place += length
    return pictures if place == size else 0
