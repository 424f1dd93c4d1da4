"""Parts of a place: what is read, embedded and written at once, so that memory does not grow with the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ecoembed.cubes.store import chunks
from ecoembed.embeddings.batches import MARGIN, RANKS, Frames, Window, read_frames

if TYPE_CHECKING:
    import dask.array as da

#: Side of a part in pixels: that of a stored cube's chunks.
PART_SIDE = 256
#: Bytes of a part: bands of both sensors, and embeddings.
PART_BYTES = 512 << 20
#: A place of few parts is cut at dates, for every thread to have one, but not below this many dates: each cut costs
#: the fronts of ten frames.
FEWEST_DATES = 20


@dataclass(frozen=True)
class Place:
    """Two cubes of one place, on disk or in memory, and which acquisition of S1 each date of S2 takes (-1: none)."""

    s2: xr.DataArray
    s1: xr.DataArray | None
    index: np.ndarray
    gap: np.ndarray
    window: Window

    def read(self, times: slice, rows: slice, columns: slice) -> Part:
        """The frames that the windows of the dates `times` see, 7 px wider all round than `rows` and `columns`."""
        wide = [slice(s.start - MARGIN, s.stop + MARGIN) for s in (rows, columns)]
        dates = np.arange(times.start, times.stop)
        seen = self._seen(dates, self.s2)
        optical, index, radar = read_frames(self.s2, seen, *wide), self.index[times].copy(), None
        paired = index >= 0
        if self.s1 is not None and paired.any():
            heard = self._seen(index[paired], self.s1)
            radar = read_frames(self.s1, heard, *wide)
            index[paired] -= heard.start
        return Part(optical, radar, dates - seen.start, index, self.gap[times])

    def _seen(self, centres: np.ndarray, cube: xr.DataArray) -> slice:
        before, after = RANKS[self.window][0], RANKS[self.window][-1]
        return slice(max(int(centres.min()) + before, 0), min(int(centres.max()) + after + 1, cube.sizes["time"]))


@dataclass(frozen=True)
class Part:
    """Frames of a part; the dates to embed, as places in `optical`; of each of them, that in `radar`, or -1."""

    optical: Frames
    radar: Frames | None
    centres: np.ndarray
    index: np.ndarray
    gap: np.ndarray


def spans(size: int, longest: int) -> list[slice]:
    """``0 ... size - 1`` in equal spans of at most `longest`, but for the last."""
    step = ceil(size / max(1, ceil(size / longest)))
    return [slice(a, min(a + step, size)) for a in range(0, size, step)]


def assembled(shape: tuple[int, ...], threads: int, embed: Callable[[slice, slice, slice], np.ndarray]) -> da.Array:
    """The array of `shape` (time, band, y, x) whose parts ``embed(times, rows, columns)`` gives when they are needed.

    Each part reads what it needs itself: dask would keep what neighbours share until the last of them is done.
    """
    import dask.array as da
    from dask import delayed

    dates, bands, height, width = shape
    columns, rows = ([slice(a, min(a + PART_SIDE, n)) for a in range(0, n, PART_SIDE)] for n in (width, height))
    wide = min(height, PART_SIDE) + 2 * MARGIN, min(width, PART_SIDE) + 2 * MARGIN
    longest = max(FEWEST_DATES, PART_BYTES // (wide[0] * wide[1] * 4 * (10 + 2 + bands)))
    cuts = min(ceil(threads / (len(rows) * len(columns))), dates // FEWEST_DATES)
    longest = min(longest, ceil(dates / max(cuts, 1)))

    def part(times: slice, y: slice, x: slice) -> da.Array:
        size = (times.stop - times.start, bands, y.stop - y.start, x.stop - x.start)
        return da.from_delayed(delayed(embed, pure=False)(times, y, x), size, dtype=np.float32)

    # cut where stored chunks are, for none to wait for two parts
    unit = chunks(shape)[0]
    times = [slice(s.start * unit, min(s.stop * unit, dates)) for s in spans(ceil(dates / unit), ceil(longest / unit))]
    return da.block([[[[part(t, y, x) for x in columns] for y in rows]] for t in times])
