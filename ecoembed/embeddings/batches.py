"""The border between xarray and torch: a Cube becomes standardised frames, an array becomes an EmbeddingCube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import xarray as xr

from ecoembed.errors import UnitError
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
        As :func:`check_unit`.
    """
    check_unit(cube)
    return read_frames(cube, *(slice(0, cube.sizes[d]) for d in ("time", "y", "x")))


def check_unit(cube: xr.DataArray) -> None:
    """Refuse a Cube whose values cannot be in its sensor's unit; of one on disk, twelve dates are read for it.

    Raises
    ------
    UnitError
        If more than 5 % of the values lie farther outside the valid range than that range is wide: another unit.
    """
    sensor = get_sensor(cube.attrs["sensor"])
    low, high = sensor.valid_range
    dates = cube.sizes["time"]
    far = seen = 0
    for date in np.unique(np.linspace(0, dates - 1, min(dates, 12) if cube.chunks else dates).astype(int)):
        values = cube[date]
        counts = ((values < 2 * low - high) | (values > 2 * high - low)).sum(), np.isfinite(values).sum()
        far, seen = (int(n) + int(count) for n, count in zip((far, seen), counts, strict=True))
    if far > 0.05 * seen:
        raise UnitError(
            f"{far / seen:.0%} of the values cannot be {sensor.title} in {sensor.unit}",
            where=cube.attrs.get("site", sensor.name),
            expected=f"values of about {low:g} to {high:g} {sensor.unit}",
            remedy="Open the files with ecoembed.open_cube, which settles scale and unit",
        )


def read_frames(cube: xr.DataArray, times: slice, rows: slice, columns: slice) -> Frames:
    """Frames of a part of a Cube; what lies beyond the image is missing. Memory: the frames, and what READ reads."""
    low, high = get_sensor(cube.attrs["sensor"]).valid_range
    asked = rows, columns
    there = [slice(max(s.start, 0), min(s.stop, cube.sizes[d])) for s, d in zip(asked, ("y", "x"), strict=True)]
    inside = [slice(t.start - s.start, t.stop - s.start) for t, s in zip(there, asked, strict=True)]
    shape = times.stop - times.start, cube.sizes["band"], *(s.stop - s.start for s in asked)
    values, valid = torch.zeros(shape), torch.zeros(shape[0], *shape[2:], dtype=torch.bool)
    for first in range(times.start - times.start % READ, times.stop, READ):
        step = slice(max(first, times.start), min(first + READ, times.stop))
        part = cube[step, :, there[0], there[1]].compute(scheduler="synchronous")
        read = torch.from_numpy(np.array(part.values, dtype=np.float32))
        seen = torch.isfinite(read).all(dim=1)
        here = slice(step.start - times.start, step.stop - times.start)
        values[here, :, inside[0], inside[1]] = read.clamp_(low, high).masked_fill_(~seen[:, None], 0.0)
        valid[here, inside[0], inside[1]] = seen
    return Frames(values, valid, days_of(cube["time"].values[times]))


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


def fit_normalisation(places: list[Frames], sensor: str) -> Normalisation:
    """Mean and standard deviation of each band over the valid pixels of all places."""
    low, high = get_sensor(sensor).valid_range
    stacked = torch.cat([f.values.movedim(1, -1)[f.valid][::7] for f in places]).double()
    std = stacked.std(dim=0).clamp(min=1e-3 * (high - low))
    return Normalisation(low, high, tuple(stacked.mean(dim=0).tolist()), tuple(std.tolist()))


def embedding_cube(z: np.ndarray | da.Array, like: xr.DataArray, attrs: dict[str, Any]) -> xr.DataArray:
    """An EmbeddingCube (time, band, y, x) from an array of that shape, on the grid and dates of the cube `like`."""
    coords = {k: like.coords[k] for k in ("time", "y", "x", "spatial_ref") if k in like.coords}
    bands = [f"z{i + 1}" for i in range(z.shape[1])]
    kept = {k: like.attrs[k] for k in ("site", "provenance") if k in like.attrs}
    cube = xr.DataArray(
        z.astype(np.float32, copy=False),
        dims=("time", "band", "y", "x"),
        coords={**coords, "band": bands},
        attrs={**kept, **attrs, "sensor": "embedding", "units": "1"},
    )
    return check_embedding_cube(cube.rio.write_crs(like.rio.crs))
