"""What guarding costs: row-level security and the record of acts, on the busiest reads and writes."""

from pathlib import Path

from tests.bench import audit_cost, wall_cost
from tests.bench.row import Row


async def measure(folder: Path) -> list[Row]:
    """Measure both; each has a park of its own."""
    rows: list[Row] = []
    for name, bench in {"walls": wall_cost, "record": audit_cost}.items():
        place = folder / name
        place.mkdir(mode=0o711)
        rows += await bench.measure(place)
    return rows
