"""From points to the fewest block reads: pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from drivers.driver import Request, Span
from drivers.kinds import Register, Table
from edge_agent.config import EdgeConfig, PolledDevice, PolledPoint


@dataclass(frozen=True, slots=True)
class Block:
    """One request and the points that its answer feeds, by span."""

    request: Request
    points: tuple[tuple[Span, tuple[PolledPoint, ...]], ...]


def plan(device: PolledDevice) -> tuple[Block, ...]:
    """Fold the registers of a device into the fewest reads.

    Reading from the left and closing a block only when the next value would not fit gives the minimum for
    intervals on a line.  No block is longer than the profile's ``max_block``, bridges a gap wider than
    ``max_gap`` or touches a known hole.
    """
    return tuple(
        block for table, points in _by_table(device.points) for block in _blocks(device, table, _by_span(points))
    )


def _by_table(points: Iterable[PolledPoint]) -> Iterable[tuple[Table, list[PolledPoint]]]:
    for table in Table:
        here = [point for point in points if point.register.table is table]
        if here:
            yield table, here


def _span(register: Register) -> Span:
    return Span(register.address, register.encoding.words)


def _by_span(points: list[PolledPoint]) -> list[tuple[Span, tuple[PolledPoint, ...]]]:
    ordered = sorted(points, key=lambda polled: _span(polled.register))
    return [(span, tuple(group)) for span, group in groupby(ordered, key=lambda p: _span(p.register))]


def _blocks(device: PolledDevice, table: Table, spans: list[tuple[Span, tuple[PolledPoint, ...]]]) -> Iterable[Block]:
    open_block = [spans[0]]
    for span, points in spans[1:]:
        if not _fits(device, open_block[0][0].start, open_block[-1][0].end, span):
            yield _closed(device, table, open_block)
            open_block = []
        open_block.append((span, points))
    yield _closed(device, table, open_block)


def _fits(device: PolledDevice, start: int, end: int, span: Span) -> bool:
    profile = device.profile
    return (
        span.end - start <= profile.max_block
        and span.start - end <= profile.max_gap
        and not any(first < span.start and last >= end for first, last in profile.holes)
    )


def _closed(device: PolledDevice, table: Table, block: list[tuple[Span, tuple[PolledPoint, ...]]]) -> Block:
    return Block(Request(device.address, table, tuple(span for span, _ in block)), tuple(block))


def describe(config: EdgeConfig) -> list[str]:
    """Say the plan of a gateway in words, one line per device and one per connection."""
    said = [f"gateway {config.gateway} of site {config.site}: {_count(len(config.lines), 'line')}"]
    for line in config.lines:
        said.append(
            f"  line {line.code} ({line.host}:{line.port}) every {line.poll_s:g} s: "
            f"{_count(len(line.devices), 'device')}, {_count(sum(map(_requests, line.devices)), 'request')} a cycle"
        )
        said.extend(_device_words(device) for device in line.devices)
    return said


def _requests(device: PolledDevice) -> int:
    return len(plan(device))


def _device_words(device: PolledDevice) -> str:
    ranges = ", ".join(
        f"{block.request.table} {block.request.start}..{block.request.start + block.request.count - 1}"
        for block in plan(device)
    )
    return (
        f"    {device.code} ({device.profile.code}, address {device.address}): "
        f"{_count(len(device.points), 'point')} in {_count(_requests(device), 'request')}: {ranges}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
