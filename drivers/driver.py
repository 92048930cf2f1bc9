"""What every driver offers, whatever its protocol."""

from dataclasses import dataclass
from typing import Protocol

from drivers.kinds import Table


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
    """One block read: everything from the first to the last span, of one table of one device."""

    device: int
    table: Table
    spans: tuple[Span, ...]  # in rising order

    @property
    def start(self) -> int:
        """First address asked."""
        return self.spans[0].start

    @property
    def count(self) -> int:
        """Registers asked, gaps included."""
        return max(span.end for span in self.spans) - self.start


@dataclass(frozen=True, slots=True)
class Raw:
    """What a device said for one span: its registers, or None and the reason."""

    span: Span
    words: tuple[int, ...] | None
    error: str = ""


class Driver(Protocol):
    """One line to some devices.  It queues: one question at a time, however many ask.

    ``open`` connects (``read`` does so by itself when needed), ``read`` gives one Raw per span in order,
    ``close`` may be called at any time and twice.  All raise ``drivers.errors`` only.
    """

    async def open(self) -> None:
        """Connect; raises UnreachableError."""

    async def read(self, request: Request) -> list[Raw]:
        """Ask one block; raises a DriverError when no span can be answered."""

    async def close(self) -> None:
        """Let go of the line."""
