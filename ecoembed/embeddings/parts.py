"""Parts of a place: what is read, embedded and written at once, so that memory does not grow with the place."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from ecoembed.cubes.store import chunks
from ecoembed.embeddings.batches import MARGIN

if TYPE_CHECKING:
    import dask.array as da

#: Side of a part in pixels: that of a stored cube's chunks.
PART_SIDE = 256
#: Bytes of a part: bands of all sensors, and embeddings.
PART_BYTES = 512 << 20
#: A place of few parts is cut at dates, for every thread to have one, but not below this many dates: each cut costs
#: the fronts of ten frames.
FEWEST_DATES = 20


def spans(size: int, longest: int) -> list[slice]:
    """``0 ... size - 1`` in equal spans of at most `longest`, but for the last."""
    step = ceil(size / max(1, ceil(size / longest)))
    return [slice(a, min(a + step, size)) for a in range(0, size, step)]


def assembled(
    shape: tuple[int, ...], read: float, threads: int, embed: Callable[[slice, slice, slice], np.ndarray]
) -> da.Array:
    """The array of `shape` (time, band, y, x) whose parts ``embed(times, rows, columns)`` gives when they are needed.

    `read` is the number of values that are read for a pixel and date. Each part reads what it needs itself: dask would
    keep what neighbours share until the last of them is done.
    """
    import dask.array as da
    from dask import delayed

    dates, bands, height, width = shape
    columns, rows = ([slice(a, min(a + PART_SIDE, n)) for a in range(0, n, PART_SIDE)] for n in (width, height))
    wide = min(height, PART_SIDE) + 2 * MARGIN, min(width, PART_SIDE) + 2 * MARGIN
    longest = max(FEWEST_DATES, int(PART_BYTES // (wide[0] * wide[1] * 4 * (read + bands))))
    cuts = min(ceil(threads / (len(rows) * len(columns))), dates // FEWEST_DATES)
    longest = min(longest, ceil(dates / max(cuts, 1)))

    def part(times: slice, y: slice, x: slice) -> da.Array:
        size = (times.stop - times.start, bands, y.stop - y.start, x.stop - x.start)
        return da.from_delayed(delayed(embed, pure=False)(times, y, x), size, dtype=np.float32)

    # cut where stored chunks are, for none to wait for two parts
    unit = chunks(shape)[0]
    times = [slice(s.start * unit, min(s.stop * unit, dates)) for s in spans(ceil(dates / unit), ceil(longest / unit))]
    return da.block([[[[part(t, y, x) for x in columns] for y in rows]] for t in times])
