"""A whole poll of a device in columns: a reading is made of it only for who looks at it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import compress, repeat

from rules.model.quality import Quality
from rules.model.reading import Reading

_made = partial(tuple.__new__, Reading)  # Reading._make without its check, which takes as long as the rest


@dataclass(frozen=True, slots=True)
class Poll:
    """One reading of every point of a device, all of one moment; iterate for the readings.

    All columns are in the order of ``codes``.  A value is None where there is none to show (quality BAD, the others
    are GOOD), and ``errors`` has, by place, the reason of exactly those.
    """

    codes: Sequence[str]
    at: datetime
    values: Sequence[float | None]
    raws: Sequence[tuple[int, ...]]
    errors: Mapping[int, str]

    def __iter__(self) -> Iterator[Reading]:
        """Give every reading, in order."""
        return map(_made, zip(*self._columns(), strict=False))

    def some(self, chosen: Sequence[bool]) -> list[Reading]:
        """Give the readings that are chosen, place by place."""
        columns = (compress(column, chosen) for column in self._columns())
        return list(map(_made, zip(*columns, strict=False)))

    @property
    def troubles(self) -> dict[str, str]:
        """The reasons, by point."""
        return {self.codes[place]: error for place, error in self.errors.items()}

    def _columns(self) -> tuple[Iterable[object], ...]:
        """Give a column for each field of a reading, endless ones for what all have in common."""
        if not self.errors:
            return self.codes, repeat(self.at), self.values, repeat(Quality.GOOD), self.raws, repeat("")
        qualities, errors = [Quality.GOOD] * len(self.codes), [""] * len(self.codes)
        for place, error in self.errors.items():
            qualities[place], errors[place] = Quality.BAD, error
        return self.codes, repeat(self.at), self.values, qualities, self.raws, errors
