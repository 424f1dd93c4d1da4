"""Windows of 11 dates and patches of 15 x 15 pixels, cut from the frames of a cube when they are needed."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ecoembed.archives.satellite.backscatter import to_db, to_power
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

    def cut(self, frames: np.ndarray, y: np.ndarray, x: np.ndarray) -> Tensor:
        """Patches (n, 11, band, 15, 15) around the pixels (y, x) (n,) of the 11 `frames`.

        Missing values are the mean of their band over the rest of the patch; 0 if there is none.
        """
        frame, row, column = (torch.from_numpy(i) for i in (frames[:, None], y, x))
        values = self._values[frame, :, row, column].transpose(0, 1)
        valid = self._valid[frame, row, column].transpose(0, 1)[:, :, None]
        total = (values * valid).sum(dim=(1, 3, 4), keepdim=True)
        return torch.where(valid, values, total / valid.sum(dim=(1, 3, 4), keepdim=True).clamp(min=1))


def _around(padded: Tensor) -> Tensor:
    """The neighbourhood of each pixel, (..., y, x, 15, 15): a view, which takes no memory."""
    return padded.unfold(-2, SUPPORT, 1).unfold(-2, SUPPORT, 1)


def windows(optical: Patches, radar: Patches, index: np.ndarray) -> list[tuple[int, np.ndarray | None, str]]:
    """Each date with the 11 dates of its window, or with the reason why it has none; `index` pairs it with S1."""
    clear = np.flatnonzero(optical.observed.any(axis=(1, 2)))
    found: list[tuple[int, np.ndarray | None, str]] = []
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
        found.append((date, None if reason else rows, reason))
    return found


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
