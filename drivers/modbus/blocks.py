"""From registers to the fewest block reads: pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Register, Table


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``count`` registers from ``start`` that belong to one value and are never torn apart."""

    start: int
    count: int

    @property
    def end(self) -> int:
        """First address after the span."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Request:
    """One block read: everything from the first to the last span, of one table of one unit."""

    unit: int
    table: Table
    spans: tuple[Span, ...]  # in rising order
    start: int = field(init=False, compare=False)  # first address asked
    count: int = field(init=False, compare=False)  # registers asked, gaps included

    def __post_init__(self) -> None:
        """Measure once: a request is asked at every poll."""
        object.__setattr__(self, "start", self.spans[0].start)
        object.__setattr__(self, "count", max(span.end for span in self.spans) - self.start)

    def __hash__(self) -> int:
        """Hash what nearly always tells requests apart, not every span."""
        return hash((self.unit, self.table, self.start, self.count))

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.table} {self.start}..{self.start + self.count - 1}"


@dataclass(frozen=True, slots=True)
class Block:
    """One request and, by span, the numbers of the registers that its answer feeds."""

    request: Request
    fed: tuple[tuple[Span, tuple[int, ...]], ...]


def blocks(unit: int, profile: ModbusProfile, registers: Sequence[Register]) -> tuple[Block, ...]:
    """Fold the registers of a unit into the fewest reads.

    Reading from the left and closing a block only when the next value would not fit gives the minimum for
    intervals on a line.  No block is longer than the profile's ``max_block``, bridges a gap wider than
    ``max_gap`` or touches a known hole.
    """
    return tuple(block for table in Table for block in _blocks(unit, profile, table, _by_span(table, registers)))


def _by_span(table: Table, registers: Sequence[Register]) -> list[tuple[Span, tuple[int, ...]]]:
    def span(number: int) -> Span:
        return Span(registers[number].address, registers[number].encoding.words)

    here = sorted((n for n, register in enumerate(registers) if register.table is table), key=span)
    return [(found, tuple(group)) for found, group in groupby(here, key=span)]


def _blocks(
    unit: int, profile: ModbusProfile, table: Table, spans: list[tuple[Span, tuple[int, ...]]]
) -> Iterable[Block]:
    open_block: list[tuple[Span, tuple[int, ...]]] = []
    for span, fed in spans:
        if open_block and not _fits(profile, open_block[0][0].start, open_block[-1][0].end, span):
            yield _closed(unit, table, open_block)
            open_block = []
        open_block.append((span, fed))
    if open_block:
        yield _closed(unit, table, open_block)


def _fits(profile: ModbusProfile, start: int, end: int, span: Span) -> bool:
    return (
        span.end - start <= profile.max_block
        and span.start - end <= profile.max_gap
        and not any(first < span.start and last >= end for first, last in profile.holes)
    )


def _closed(unit: int, table: Table, block: list[tuple[Span, tuple[int, ...]]]) -> Block:
    return Block(Request(unit, table, tuple(span for span, _ in block)), tuple(block))
