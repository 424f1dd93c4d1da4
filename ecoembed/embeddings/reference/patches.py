"""Windows of 11 dates and patches of 15 x 15 pixels, cut from the frames of a cube when they are needed."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ecoembed.archives.satellite.backscatter import to_db, to_power
from ecoembed.cubes.pairing import pair, pair_coordinates
from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import FRAMES, MARGIN, SUPPORT, Frames
from ecoembed.embeddings.reference.model import MAX_GAP_DAYS, MAX_SPAN_DAYS
from ecoembed.errors import GridError
from ecoembed.sensors import SENSORS

NORMALISATION = "S2_L2A clipped to 0..1; S1 clipped to -30..5 dB, as (dB + 30) / 35; missing as the patch's band mean"
SMOOTHING = "centred mean of 3 acquisitions in linear power"
HALF = FRAMES // 2


class Patches:
    """The frames of one sensor in the method's units, from which patches are cut.

    Attributes
    ----------
    observed : numpy.ndarray (time, y, x), bool
        True where every band was observed.
    days : numpy.ndarray (time,), int64
        Whole calendar days since 1970-01-01 UTC.
    """

    def __init__(self, frames: Frames, sensor: str) -> None:
        low, high = SENSORS[sensor].valid_range
        self.observed = frames.valid.numpy()
        self.days = np.floor(frames.days).astype(np.int64)
        padded = batches.pad_missing(frames)
        self._values = _around((padded.values - low) / (high - low))
        self._valid = _around(padded.valid)

    def cut(self, frames: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[Tensor, Tensor]:
        """Patches around the pixels (y, x) (n,) in the 11 `frames` (n, 11) of each.

        Returns
        -------
        values (n, 11, band, 15, 15), valid (n, 11, 1, 15, 15)
            Missing values are the mean of their band over the rest of the patch; 0 if there is none.
        """
        frame, row, column = (torch.from_numpy(i) for i in (frames, y[:, None], x[:, None]))
        values = self._values[frame, :, row, column]
        valid = self._valid[frame, row, column][:, :, None]
        total = (values * valid).sum(dim=(1, 3, 4), keepdim=True)
        return torch.where(valid, values, total / valid.sum(dim=(1, 3, 4), keepdim=True).clamp(min=1)), valid

    def since_first(self, frames: np.ndarray) -> Tensor:
        """Days of the `frames` (n, 11) since the first of each row."""
        days = self.days[frames]
        return torch.from_numpy(days - days[:, :1])


class Samples(NamedTuple):
    """What the model sees of n pixels at n dates, by sensor; and the days between the sensors' centre frames (n,)."""

    frames: dict[str, Tensor]
    valid: dict[str, Tensor]
    days: dict[str, Tensor]
    gap: Tensor


def samples(patches: dict[str, Patches], rows: dict[str, np.ndarray], y: np.ndarray, x: np.ndarray) -> Samples:
    """The patches around the pixels (y, x) (n,) in the frames `rows` (n, 11) of each sensor."""
    cut = {name: p.cut(rows[name], y, x) for name, p in patches.items()}
    days = {name: p.since_first(rows[name]) for name, p in patches.items()}
    centre = [p.days[rows[name][:, HALF]] for name, p in patches.items()]
    frames, valid = ({name: parts[k] for name, parts in cut.items()} for k in (0, 1))
    return Samples(frames, valid, days, torch.from_numpy(np.abs(centre[0] - centre[-1])))


def _around(padded: Tensor) -> Tensor:
    """The neighbourhood of each pixel, (..., y, x, 15, 15): a view, which takes no memory."""
    return padded.unfold(-2, SUPPORT, 1).unfold(-2, SUPPORT, 1)


def windows(optical: Patches, radar: Patches, index: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
    """The 11 dates of each date's window (time, 11), -1 where it has none; and how many have none, by reason.

    `index` (time,) pairs each date with an acquisition of S1.
    """
    clear = np.flatnonzero(optical.observed.any(axis=(1, 2)))
    found = np.full((len(index), FRAMES), -1)
    without: Counter[str] = Counter()
    for date in range(len(index)):
        rank = int(np.searchsorted(clear, date))
        rows = clear[max(rank - HALF, 0) : rank + HALF + 1]
        reason = ""
        if date not in clear:
            reason = "no clear pixel"
        elif len(rows) < FRAMES:
            reason = "fewer than 5 clear dates before or after"
        elif np.ptp(optical.days[rows]) >= MAX_SPAN_DAYS or np.ptp(radar.days[index[rows]]) > MAX_SPAN_DAYS:
            reason = f"window of {MAX_SPAN_DAYS} days or more"
        elif abs(optical.days[date] - radar.days[index[date]]) > MAX_GAP_DAYS:
            reason = f"Sentinel-1 farther than {MAX_GAP_DAYS} days"
        if reason:
            without[reason] += 1
        else:
            found[date] = rows
    return found, without


class PatchedPlace:
    """One place: both sensors' frames, the window of each date, and which pixels and dates can be encoded.

    Parameters
    ----------
    s2, s1 : xr.DataArray (time, band, y, x)
        On one grid; `s1` smoothed as in training.
    whole_patches : bool
        Whether a patch may not reach beyond the image.

    Attributes
    ----------
    s2 : xr.DataArray
    encoded : numpy.ndarray (time, y, x), bool
    without : Counter
        Dates that have no window, by reason.
    smoothing : str or None
        Of Sentinel-1.
    pairs : dict
        Coordinates over the dates: which acquisition of Sentinel-1 each takes.

    Raises
    ------
    UnitError
        If the values contradict their unit.
    GridError
        If the cubes lie on different grids, or the image is smaller than a whole patch.
    """

    def __init__(self, s2: xr.DataArray, s1: xr.DataArray, whole_patches: bool) -> None:
        self.s2 = s2
        self._index, gap = pair(s2, s1, max_gap_days=np.inf)
        self._patches = {c.attrs["sensor"]: Patches(batches.frames_of(c), c.attrs["sensor"]) for c in (s2, s1)}
        optical, radar = self._patches.values()
        self._rows, self.without = windows(optical, radar, self._index)
        observed = without_edge(optical.observed) if whole_patches else optical.observed
        self.encoded = observed & (self._rows[:, 0] >= 0)[:, None, None]
        self.pairs, self.smoothing = pair_coordinates(s1, self._index, gap), s1.attrs.get("smoothing")

    def samples(self, date: np.ndarray, y: np.ndarray, x: np.ndarray) -> Samples:
        """What the model sees of the pixels (y, x) at the dates (n,)."""
        rows = self._rows[date]
        return samples(self._patches, {"S2_L2A": rows, "S1": self._index[rows]}, y, x)


def without_edge(observed: np.ndarray) -> np.ndarray:
    """`observed` (time, y, x), False where the patch reaches beyond the image.

    Raises
    ------
    GridError
        If the image is smaller than a patch.
    """
    if min(observed.shape[1:]) < SUPPORT:
        found = "{} x {} px".format(*observed.shape[1:])
        raise GridError("the image is smaller than a patch", found=found, expected=f"{SUPPORT} x {SUPPORT} px or more")
    inner = np.zeros_like(observed)
    inside = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    inner[inside] = observed[inside]
    return inner


def centred_mean(s1: xr.DataArray) -> xr.DataArray:
    """Backscatter in dB as the authors smooth it: at each acquisition the mean of it, the one before and the one after.

    In linear power, pixel by pixel over what is valid. :func:`ecoembed.smooth` trails instead, and keeps orbits apart.
    """
    power = np.pad(to_power(s1.values), ((1, 1), (0, 0), (0, 0), (0, 0)), constant_values=np.nan)
    three = [power[lag : lag + s1.sizes["time"]] for lag in range(3)]
    total = sum(np.nan_to_num(part) for part in three)
    count = sum(np.isfinite(part).astype("int64") for part in three)
    mean = np.divide(total, count, out=np.full(s1.shape, np.nan), where=count > 0)
    return s1.copy(data=to_db(mean)).assign_attrs(smoothing=SMOOTHING)
