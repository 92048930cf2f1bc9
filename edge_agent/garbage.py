"""Python's search for cycles, tuned for a process that makes ten thousand readings a second and no cycles of them."""

import gc

NEW_OBJECTS = 50_000  # between two looks at the young ones; the usual 700 costs a third of a poll


def collect_seldom() -> None:
    """Look for cycles seldom, and never again among what is there now (modules, the site's points)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 10, 10)
