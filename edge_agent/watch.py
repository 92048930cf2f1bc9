"""Whether the site file has changed: looked at every few seconds, believed when it holds still for one look."""

from dataclasses import dataclass
from pathlib import Path

LOOK_S = 1.0

Stamp = tuple[int, int, int] | None  # inode, size, time of change; None: there is no file


@dataclass(slots=True)
class Watch:
    """One file, as it was when it was last taken and when it was last looked at."""

    path: Path
    taken: Stamp
    seen: Stamp

    def settled(self) -> bool:
        """Look; gives whether the file is another than the one taken, and still the one of the look before."""
        now = stamp(self.path)
        still, self.seen = now == self.seen, now
        if not still or now == self.taken:
            return False
        self.taken = now
        return True


def watch(path: Path) -> Watch:
    """Watch a file from what it is now."""
    now = stamp(path)
    return Watch(path, now, now)


def stamp(path: Path) -> Stamp:
    """Give what tells one state of a file from another."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
