"""The border between xarray and torch: a Cube becomes standardised frames, an array becomes an EmbeddingCube."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import xarray as xr

from ecoembed.embeddings.checks import check_values, infinite
from ecoembed.schema import check_embedding_cube
from ecoembed.sensors import get_sensor

if TYPE_CHECKING:
    import dask.array as da

Window = Literal["centred", "causal"]

#: Frames that one embedding sees, and the width in pixels of the neighbourhood that it sees of each.
FRAMES = 11
SUPPORT = 15
MARGIN = SUPPORT // 2
#: Dates that are read together.
READ = 8
#: A window sees nothing farther from its date than this, in training and in use.
MAX_OFFSET_DAYS = 200.0

#: Ranks of the acquisitions that a window sees, relative to its own date.
RANKS: dict[Window, tuple[int, ...]] = {
    "centred": tuple(range(-(FRAMES // 2), FRAMES // 2 + 1)),
    "causal": tuple(range(-FRAMES + 1, 1)),
}
#: Where among them the date's own stands.
OWN = {window: ranks.index(0) for window, ranks in RANKS.items()}


@dataclass(frozen=True)
class Normalisation:
    """Clip range and the mean and standard deviation of each band after clipping, over the training places."""

    low: float
    high: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass
class Frames:
    """All acquisitions of one sensor at one place.

    Attributes
    ----------
    values : torch.Tensor (time, band, y, x)
        Clipped physical values; 0 where invalid.
    valid : torch.Tensor (time, y, x), bool
        True where every band was observed.
    days : numpy.ndarray (time,), float64
        Days since 1970-01-01 UTC.
    """

    values: torch.Tensor
    valid: torch.Tensor
    days: np.ndarray

    def __len__(self) -> int:
        return len(self.days)

    def crop(self, rows: slice, columns: slice, times: slice | np.ndarray = slice(None)) -> Frames:
        """The same frames over a part of the image, and of time."""
        return Frames(self.values[times][..., rows, columns], self.valid[times][..., rows, columns], self.days[times])


def days_of(time: np.ndarray) -> np.ndarray:
    """Days since 1970-01-01 as float64, from datetime64."""
    return np.asarray(time).astype("datetime64[ns]").astype(np.int64) / 86_400e9


def frames_of(cube: xr.DataArray) -> Frames:
    """Frames of a Cube, clipped to its sensor's valid range.

    A pixel counts as observed on a date only if all its bands are.

    Raises
    ------
    UnitError
        If its values cannot be in its unit.
    VariableError
        If a band is broken, or nothing is seen.
    """
    check_values(cube)
    return read_frames(cube, *(slice(0, cube.sizes[d]) for d in ("time", "y", "x")))


def read_frames(cube: xr.DataArray, times: slice | np.ndarray, rows: slice, columns: slice) -> Frames:
    """Frames of a part of a Cube; what lies beyond the image is missing. Memory: the frames, and what READ reads."""
    low, high = get_sensor(cube.attrs["sensor"]).valid_range
    wanted, asked = np.arange(cube.sizes["time"])[times], (rows, columns)
    there = [slice(max(s.start, 0), min(s.stop, cube.sizes[d])) for s, d in zip(asked, ("y", "x"), strict=True)]
    inside = [slice(t.start - s.start, t.stop - s.start) for t, s in zip(there, asked, strict=True)]
    shape = len(wanted), cube.sizes["band"], *(s.stop - s.start for s in asked)
    values, valid = torch.zeros(shape), torch.zeros(shape[0], *shape[2:], dtype=torch.bool)
    for here in np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(wanted // READ)) + 1):
        part = cube[wanted[here], :, there[0], there[1]].compute(scheduler="synchronous")
        read = torch.from_numpy(np.array(part.values, dtype=np.float32))
        if read.isinf().any():
            raise infinite(cube, torch.isinf(read).sum(dim=(1, 2, 3)).numpy(), wanted[here])
        seen = torch.isfinite(read).all(dim=1)
        values[here, :, inside[0], inside[1]] = read.clamp_(low, high).masked_fill_(~seen[:, None], 0.0)
        valid[here, inside[0], inside[1]] = seen
    return Frames(values, valid, days_of(cube["time"].values[wanted]))


def observed_dates(cube: xr.DataArray) -> np.ndarray:
    """Which dates (time,) of a Cube have any observed pixel; of one on disk, it reads until it has found one."""
    seen = np.zeros(cube.sizes["time"], dtype=bool)
    sides = cube.chunksizes if cube.chunks else {d: (cube.sizes[d],) for d in ("y", "x")}
    corners = [np.cumsum((0, *sides[d])) for d in ("y", "x")]
    rows, columns = ([slice(*pair) for pair in pairwise(corner.tolist())] for corner in corners)
    for y, x in product(rows, columns):
        left = np.flatnonzero(~seen)
        if not left.size:
            break
        part = cube[:, :, y, x] if len(left) == len(seen) else cube[left, :, y, x]
        seen[left] = part.notnull().all("band").any(("y", "x")).values
    return seen


def standardise(frames: Frames, norm: Normalisation) -> torch.Tensor:
    """Network input (time, band + 1, y, x): standardised bands, 0 where missing, and the validity channel."""
    mean = torch.tensor(norm.mean).view(1, -1, 1, 1)
    std = torch.tensor(norm.std).view(1, -1, 1, 1)
    valid = frames.valid[:, None].to(frames.values.dtype)
    return torch.cat([(frames.values - mean) / std * valid, valid], dim=1)


def scaled(values: torch.Tensor, norm: Normalisation) -> torch.Tensor:
    """Physical values -> the method's units, in which the sensor's valid range is 0 to 1."""
    return (values - norm.low) / (norm.high - norm.low)


def physical(standardised: torch.Tensor, norm: Normalisation) -> torch.Tensor:
    """Standardised values (..., band) -> the method's units."""
    return scaled(standardised * torch.tensor(norm.std) + torch.tensor(norm.mean), norm)


def pad_missing(frames: Frames, margin: int = MARGIN) -> Frames:
    """Frames with a border of missing pixels, so that a valid convolution gives back the image's own size."""
    pad = (margin, margin, margin, margin)
    valid = torch.nn.functional.pad(frames.valid, pad, value=False)
    return Frames(torch.nn.functional.pad(frames.values, pad), valid, frames.days)


def neighbours(days: np.ndarray, centres: np.ndarray, window: Window, kept: np.ndarray | None = None) -> np.ndarray:
    """The frame at each rank of the window around each date.

    Parameters
    ----------
    days : np.ndarray (time,)
        Days of the frames, ascending.
    centres : np.ndarray (centre,)
        The dates, in the same days; a frame at exactly that time is the date's own.
    window : {"centred", "causal"}
    kept : np.ndarray (centre, time), bool, optional
        Where false, the frame does not exist for that date: its window reaches farther.

    Returns
    -------
    np.ndarray (centre, 11), int64
        The nearest frames before and after, and at the rank between them the date's own; -1 where there is none within
        MAX_OFFSET_DAYS.

    Examples
    --------
    >>> neighbours(np.arange(0.0, 60.0, 5.0), np.array([10.0, 27.0]), "centred")
    array([[-1, -1, -1,  0,  1,  2,  3,  4,  5,  6,  7],
           [ 1,  2,  3,  4,  5, -1,  6,  7,  8,  9, 10]])
    """
    apart = days[None] - centres[:, None]
    near = np.abs(apart) <= MAX_OFFSET_DAYS
    if kept is not None:
        near &= kept
    past, future = near & (apart < 0), near & (apart > 0)
    rank = future.cumsum(axis=1) - past[:, ::-1].cumsum(axis=1)[:, ::-1]
    first, last = RANKS[window][0], RANKS[window][-1]
    centre, frame = np.nonzero(near & (rank >= first) & (rank <= last))
    index = np.full((len(centres), FRAMES), -1)
    index[centre, rank[centre, frame] - first] = frame
    return index


def embedding_cube(
    z: np.ndarray | da.Array, like: xr.DataArray, attrs: dict[str, Any], times: np.ndarray | None = None
) -> xr.DataArray:
    """An EmbeddingCube (time, band, y, x) from an array of that shape, on the grid of the cube `like`.

    Its dates are `times`, or those of `like`; with ``error_unit`` in `attrs`, its last band is the error.
    """
    coords = {k: like.coords[k] for k in ("y", "x", "spatial_ref") if k in like.coords}
    dimensions = z.shape[1] - ("error_unit" in attrs)
    bands = [f"z{i + 1}" for i in range(dimensions)] + ["error"] * ("error_unit" in attrs)
    kept = {k: like.attrs[k] for k in ("site", "provenance") if k in like.attrs}
    cube = xr.DataArray(
        z.astype(np.float32, copy=False),
        dims=("time", "band", "y", "x"),
        coords={**coords, "time": like["time"].values if times is None else times, "band": bands},
        attrs={**kept, **attrs, "sensor": "embedding", "units": "1"},
    ).rename(None)  # dask's arrays have names
    return check_embedding_cube(cube.rio.write_crs(like.rio.crs))
