"""How much memory a tree of processes holds, read from /proc (Linux)."""

from collections.abc import Iterable

from deploy.child import PROC


def resident_bytes(roots: Iterable[int]) -> int:
    """Measure the roots and all their descendants: private and file pages of each, the largest shared segment once.

    PostgreSQL's processes all map the same shared buffers; adding them up would count those pages many times.
    """
    own, shared = 0, [0]
    for pid in descendants(roots):
        sizes = _sizes_kb(pid)
        own += sizes.get("RssAnon", 0) + sizes.get("RssFile", 0)
        shared.append(sizes.get("RssShmem", 0))
    return (own + max(shared)) * 1024


def descendants(roots: Iterable[int]) -> set[int]:
    """List the roots and everything that they have started, directly or not."""
    parents = {}
    for entry in PROC.glob("[0-9]*/stat"):
        try:
            parents[int(entry.parts[2])] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended while we looked
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def _sizes_kb(pid: int) -> dict[str, int]:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
