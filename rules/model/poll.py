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
        if self.errors:
            return map(self._reading, range(len(self.codes)))
        return _good(self.codes, self.at, self.values, self.raws)

    def some(self, chosen: Sequence[bool]) -> list[Reading]:
        """Give the readings that are chosen, place by place."""
        if self.errors:
            return [self._reading(place) for place in compress(range(len(self.codes)), chosen)]
        codes, values = compress(self.codes, chosen), compress(self.values, chosen)
        return list(_good(codes, self.at, values, compress(self.raws, chosen)))

    @property
    def troubles(self) -> dict[str, str]:
        """The reasons, by point."""
        return {self.codes[place]: error for place, error in self.errors.items()}

    def _reading(self, place: int) -> Reading:
        value = self.values[place]
        quality = Quality.BAD if value is None else Quality.GOOD
        return Reading(self.codes[place], self.at, value, quality, self.raws[place], self.errors.get(place, ""))


def _good(
    codes: Iterable[str], at: datetime, values: Iterable[float | None], raws: Iterable[tuple[int, ...]]
) -> Iterator[Reading]:
    return map(_made, zip(codes, repeat(at), values, repeat(Quality.GOOD), raws, repeat(""), strict=False))
