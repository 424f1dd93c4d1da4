"""The border between xarray and torch: a Cube becomes standardised frames, an array becomes an EmbeddingCube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr

from ecoembed.errors import UnitError
from ecoembed.schema import check_embedding_cube
from ecoembed.sensors import get_sensor

Window = Literal["centred", "causal"]

#: Frames that one embedding sees, and the width in pixels of the neighbourhood that it sees of each.
FRAMES = 11
SUPPORT = 15
MARGIN = SUPPORT // 2
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
        If more than 5 % of the values lie farther outside the valid range than that range is wide: another unit.
    """
    sensor = get_sensor(cube.attrs["sensor"])
    low, high = sensor.valid_range
    values = torch.from_numpy(np.array(cube.transpose("time", "band", "y", "x").values, dtype=np.float32))
    valid = torch.isfinite(values).all(dim=1)
    far = float(((values < 2 * low - high) | (values > 2 * high - low)).sum()) / max(
        float(torch.isfinite(values).sum()), 1
    )
    if far > 0.05:
        raise UnitError(
            f"{far:.0%} of the values cannot be {sensor.title} in {sensor.unit}",
            where=cube.attrs.get("site", sensor.name),
            expected=f"values of about {low:g} to {high:g} {sensor.unit}",
            remedy="Open the files with ecoembed.open_cube, which settles scale and unit",
        )
    values = values.clamp_(low, high).masked_fill_(~valid[:, None], 0.0)
    return Frames(values, valid, days_of(cube["time"].values))


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


def neighbours(days: np.ndarray, centres: np.ndarray, window: Window) -> np.ndarray:
    """Frame of each rank of the window around each centre, -1 where there is none or it is too far; (centre, 11)."""
    index = centres[:, None] + np.asarray(RANKS[window])[None, :]
    there = (index >= 0) & (index < len(days))
    apart = days[np.where(there, index, 0)] - days[centres][:, None]
    return np.where(there & (np.abs(apart) <= MAX_OFFSET_DAYS), index, -1)


def fit_normalisation(places: list[Frames], sensor: str) -> Normalisation:
    """Mean and standard deviation of each band over the valid pixels of all places."""
    low, high = get_sensor(sensor).valid_range
    stacked = torch.cat([f.values.movedim(1, -1)[f.valid][::7] for f in places]).double()
    std = stacked.std(dim=0).clamp(min=1e-3 * (high - low))
    return Normalisation(low, high, tuple(stacked.mean(dim=0).tolist()), tuple(std.tolist()))


def embedding_cube(z: np.ndarray, like: xr.DataArray, attrs: dict[str, Any]) -> xr.DataArray:
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
