"""Few points that look like many: what a chart of a screen's width can show.  Pure.

Raw readings are thinned by MinMaxLTTB (Van Der Donckt et al. 2023, arXiv 2305.00332), which keeps readings as they are;
the least and the greatest of every unbroken run are kept besides, which that choice alone does not promise.  Hours and
days are merged with neighbours, which keeps least and greatest exactly.  Where values are missing the line is broken.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

from hub.readings.rows import RawColumns, RolledColumns

Floats = NDArray[np.float64]
GAP_STEPS = 2.5  # a step so many times as long as is usual around it is a gap
GAP_NEIGHBOURS = 5  # steps before and after that say what is usual
LTTB_LEAST = 3  # fewer points it cannot choose
RUNS_SHARE = 4  # at most one gap for so many points: of more the longest are shown


@dataclass(frozen=True, slots=True)
class Line:
    """A chart's line by column; a gap is one point whose values are all None."""

    at: tuple[datetime, ...]
    value: tuple[float | None, ...]
    min: tuple[float | None, ...]
    max: tuple[float | None, ...]


EMPTY = Line((), (), (), ())


def of_readings(found: RawColumns, most: int) -> Line:
    """Give about ``most`` of the readings; one without a good value breaks the line, and so does a long step."""
    if found.at is None or found.value is None:
        return EMPTY
    at, value = np.array(found.at), np.array(found.value, np.float64)
    none = np.isnan(value)
    broken = _after(none) | _long_steps(at)
    keep = ~none
    at, value, breaks = at[keep], value[keep], _carried(broken, keep)
    runs = _runs(at, breaks, most)
    chosen = [
        start + _thinned(at[start:end], value[start:end], _share(end - start, len(at), most)) for start, end in runs
    ]
    return _line(at, [value, value, value], chosen)


def of_rollups(found: RolledColumns, most: int, step_s: float, *, counter: bool) -> Line:
    """Give at most about ``most`` merged steps: a counter's last value, else the mean; the least and the greatest.

    The mean is that of time; of readings where no time is covered.  Days may be an hour off ``step_s``.
    """
    if found.at is None:
        return EMPTY
    at = np.array(found.at)
    fold = max(1, -(-len(at) // most))
    group = np.rint((at - at[0]) / step_s).astype(np.int64) // fold
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    ends = np.append(starts[1:], len(at)) - 1
    last = np.array(found.last, np.float64)[ends]
    mean = _means(found, starts)
    least = np.minimum.reduceat(np.array(found.min, np.float64), starts)
    greatest = np.maximum.reduceat(np.array(found.max, np.float64), starts)
    # Within a group one missing step does not show; a group whose neighbour is not the next one ends a run.
    breaks = np.append(False, group[starts][1:] - group[starts][:-1] > 1)
    runs = _runs(at[starts], breaks, most)
    columns = [last if counter else mean, least, greatest]
    return _line(at[starts], columns, [np.arange(start, end) for start, end in runs])


def _means(found: RolledColumns, starts: NDArray[np.int64]) -> Floats:
    total, n, integral, covered = (
        np.add.reduceat(np.array(column, np.float64), starts)
        for column in (found.sum, found.n, found.integral, found.covered_s)
    )
    known = covered > 0
    means: Floats = np.where(known, integral, total) / np.where(known, covered, n)
    return means


def _after(none: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the one before has no value."""
    return np.append(False, none[:-1])


def _carried(broken: NDArray[np.bool_], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give, for those kept, whether there is a break between one and the kept one before it."""
    breaks = np.cumsum(broken)[keep]
    return np.append(False, breaks[1:] != breaks[:-1])[: len(breaks)]


def _long_steps(at: Floats) -> NDArray[np.bool_]:
    """Where the step to the one before is a gap: much longer than is usual before it and after it."""
    steps = np.diff(at)
    if len(steps) <= 1:
        return np.zeros(len(at), bool)
    edge = np.full(GAP_NEIGHBOURS, np.nan)
    around = np.lib.stride_tricks.sliding_window_view(np.concatenate((edge, steps, edge)), GAP_NEIGHBOURS)
    usual = np.fmax(_medians(around[: len(steps)]), _medians(around[GAP_NEIGHBOURS + 1 :]))
    return np.append(False, steps > GAP_STEPS * usual)


def _medians(windows: NDArray[np.float64]) -> Floats:
    """Give the median of each row, nan where a row has no number; sorted, nan comes last."""
    ordered = np.sort(windows, axis=1)
    n = np.sum(~np.isnan(windows), axis=1)
    found: Floats = ordered[np.arange(len(ordered)), np.maximum((n - 1) // 2, 0)]
    return found


def _runs(at: Floats, breaks: NDArray[np.bool_], most: int) -> list[tuple[int, int]]:
    """Cut [0, n) at the breaks; of more breaks than can be shown, at those around the longest gaps."""
    if not len(at):
        return []
    cuts = np.flatnonzero(breaks)
    shown = max(1, most // RUNS_SHARE)
    if len(cuts) > shown:
        longest = np.argsort(at[cuts] - at[cuts - 1], kind="stable")[-shown:]
        cuts = np.sort(cuts[longest])
    bounds = [0, *cuts.tolist(), len(at)]
    return list(pairwise(bounds))


def _share(n: int, of: int, most: int) -> int:
    return max(LTTB_LEAST, round(most * n / of))


def _thinned(at: Floats, value: Floats, most: int) -> NDArray[np.int64]:
    """Give the indices of about ``most`` readings, the least and the greatest among them."""
    if len(at) <= most:
        return np.arange(len(at))
    chosen = MinMaxLTTBDownsampler().downsample(at, value, n_out=most)
    extremes = [int(value.argmin()), int(value.argmax())]
    return np.union1d(chosen.astype(np.int64), np.array(extremes, np.int64))


def _line(at: Floats, columns: list[Floats], runs: list[NDArray[np.int64]]) -> Line:
    times: list[datetime] = []
    said: list[list[float | None]] = [[] for _ in columns]
    for run in runs:
        if times:
            before, here = times[-1].timestamp(), float(at[run[0]])
            times.append(datetime.fromtimestamp((before + here) / 2, UTC))
            for values in said:
                values.append(None)
        times.extend(datetime.fromtimestamp(one, UTC) for one in at[run].tolist())
        for values, column in zip(said, columns, strict=True):
            values.extend(column[run].tolist())
    value, least, greatest = said
    return Line(tuple(times), tuple(value), tuple(least), tuple(greatest))
