"""Everything that embeds, behind one small interface, by public means only: cubes with frames taken out, and dates.

What has no embedding without an acquisition of its own (raw values, PCA-7, the reference encoder) takes that of the
kept dates around, interpolated linearly in time; with a causal window, that of the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from ecoembed.embeddings.batches import MAX_OFFSET_DAYS, Window, physical
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.probes.places import ProbePlace
from ecoembed.errors import ConfigError
from ecoembed.sensors import S1

if TYPE_CHECKING:
    from ecoembed.embeddings.reference.encode import ReferenceEncoder

#: Pixels of a place, and dates of its run, at which an encoder that works patch by patch is asked.
FEW_PIXELS, FEW_DATES = 4, 6


@dataclass(frozen=True)
class Seen:
    """What an encoder says of the pixels of a square at some dates; NaN where it says nothing.

    Attributes
    ----------
    z : numpy.ndarray (date, pixel, d)
    decoded : numpy.ndarray (date, pixel, 10) or None
        Reflectance rebuilt from z by the encoder's own decoder.
    error : numpy.ndarray (date, pixel) or None
        Its expected mean absolute error, as the encoder states it.
    """

    z: np.ndarray
    decoded: np.ndarray | None = None
    error: np.ndarray | None = None


class Probed(Protocol):
    """An encoder as the probes see it; anything of this form can be probed."""

    #: Sensors whose cubes it is shown.
    sensors: tuple[str, ...]
    windows: tuple[Window, ...]
    #: Whether z is there for every pixel of the square.
    dense: bool
    #: Whether it can do without Sentinel-1.
    optional_s1: bool

    def see(
        self, place: ProbePlace, dates: np.ndarray, *, kept: np.ndarray, s1: bool = True, window: Window = "centred"
    ) -> Seen:
        """Embed the square at the S2 dates `dates` (index), from the frames that are `kept` (mask over S2) only."""
        ...

    def random(self, seed: int) -> Probed:
        """The same with random weights."""
        ...


class Dense:
    """A dense encoder, ours or a random one."""

    windows: tuple[Window, ...] = ("centred", "causal")
    dense = optional_s1 = True

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.sensors = encoder, tuple(encoder.card.sensors)

    def random(self, seed: int) -> Dense:
        return Dense(self.encoder.random(seed))

    def see(
        self, place: ProbePlace, dates: np.ndarray, *, kept: np.ndarray, s1: bool = True, window: Window = "centred"
    ) -> Seen:
        cube = self.encoder.encode(
            place.cubes["S2_L2A"].isel(time=kept),
            place.cubes["S1"] if s1 and "S1" in self.sensors else None,
            dates=place.times[dates],
            window=window,
            more=[place.cubes[name] for name in self.sensors if name not in ("S2_L2A", "S1")],
        )
        values = np.moveaxis(cube.values[:, :, place.inner[0], place.inner[1]], 1, -1)
        values = values.reshape(len(dates), -1, values.shape[-1])
        z = values[..., [str(band).startswith("z") for band in cube["band"].values]]
        error = values[..., list(cube["band"].values).index("error")]
        return Seen(z, decoded(self.encoder, z), error)


@torch.inference_mode()
def decoded(encoder: Encoder, z: np.ndarray) -> np.ndarray:
    """Reflectance (..., 10) that the encoder's decoder of Sentinel-2 rebuilds from z (..., 7) at its pixel and date."""
    model, flat = encoder.model, torch.from_numpy(np.ascontiguousarray(z.reshape(-1, z.shape[-1])))
    code = model.fusion.back["S2_L2A"](flat)
    bands = model.decoder("S2_L2A")(code, torch.zeros(len(flat), 1), torch.zeros(1, 2))[:, 0]
    norm = encoder.card.sensors["S2_L2A"].normalisation
    return physical(bands, norm).numpy().reshape(*z.shape[:-1], -1)


class Raw:
    """The ten bands of Sentinel-2, interpolated in time where hidden, and both of the paired Sentinel-1, from 0 to 1.

    Without Sentinel-1, the ten bands alone.
    """

    sensors: tuple[str, ...] = ("S2_L2A", "S1")
    windows: tuple[Window, ...] = ("centred", "causal")
    dense = optional_s1 = True

    def random(self, seed: int) -> Raw:
        return self

    def see(
        self, place: ProbePlace, dates: np.ndarray, *, kept: np.ndarray, s1: bool = True, window: Window = "centred"
    ) -> Seen:
        days = place.days[kept]
        around = Around(days, place.clear[kept], place.days[dates], window)
        optical = around.interpolate(place.values[kept])
        if not s1:
            return Seen(optical)
        radar, index = place.radar, place.paired[window][dates]
        low, high = S1.valid_range
        paired = np.where((index >= 0)[:, None, None], (radar[index] - low) / (high - low), np.nan)
        return Seen(np.concatenate([optical, paired], axis=-1))


class Pca(Raw):
    """Seven principal components of the standardised raw values; fitted once, on trained places."""

    def __init__(self, raw: np.ndarray) -> None:
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        #: By columns: with and without Sentinel-1.
        self._fitted: dict[int, Any] = {
            columns: make_pipeline(StandardScaler(), PCA(min(7, *raw.shape))).fit(raw[:, :columns])
            for columns in (10, raw.shape[1])
        }

    def see(
        self, place: ProbePlace, dates: np.ndarray, *, kept: np.ndarray, s1: bool = True, window: Window = "centred"
    ) -> Seen:
        raw = super().see(place, dates, kept=kept, s1=s1, window=window).z
        z = self.of(raw)
        return Seen(z, self._rebuilt(z, raw.shape[-1]))

    def of(self, raw: np.ndarray) -> np.ndarray:
        """Components (..., 7) of raw values (..., 10 or 12)."""
        flat = raw.reshape(-1, raw.shape[-1])
        found = np.isfinite(flat).all(axis=-1)
        z = np.full((len(flat), self._fitted[raw.shape[-1]][-1].n_components_), np.nan)
        if found.any():
            z[found] = self._fitted[raw.shape[-1]].transform(flat[found])
        return z.reshape(*raw.shape[:-1], -1)

    def _rebuilt(self, z: np.ndarray, columns: int) -> np.ndarray:
        flat = z.reshape(-1, z.shape[-1])
        found = np.isfinite(flat).all(axis=-1)
        rebuilt = np.full((len(flat), 10), np.nan)
        if found.any():
            rebuilt[found] = self._fitted[columns].inverse_transform(flat[found])[:, :10]
        return rebuilt.reshape(*z.shape[:-1], 10)


class Reference:
    """The reference encoder at few pixels and dates: it works patch by patch, needs S1 and knows centred windows."""

    windows: tuple[Window, ...] = ("centred",)
    dense = optional_s1 = False

    def __init__(self, encoder: ReferenceEncoder) -> None:
        self.encoder, self.sensors = encoder, tuple(encoder.card.sensors)

    def random(self, seed: int) -> Reference:
        return Reference(self.encoder.random(seed))

    def see(
        self, place: ProbePlace, dates: np.ndarray, *, kept: np.ndarray, s1: bool = True, window: Window = "centred"
    ) -> Seen:
        if not s1 or window != "centred":
            raise ConfigError("the reference encoder has no such embedding", found=f"S1 {s1}, window {window}")
        s2 = place.cubes["S2_L2A"].isel(time=kept)
        pixels, clear, days = place.pixels[:FEW_PIXELS], place.clear[kept], place.days[kept]
        around = Around(days, clear[:, pixels], place.days[dates], window)
        date, pixel = (k.ravel() for k in np.broadcast_arrays(around.index, np.arange(len(pixels))[None, None]))
        asked = np.unique(np.stack([date, pixel])[:, date >= 0], axis=1)
        width = place.inner[1].stop - place.inner[1].start
        y, x = np.divmod(pixels[asked[1]], width)
        points = self.encoder.points(
            s2, place.cubes["S1"], asked[0], y + place.inner[0].start, x + place.inner[1].start
        )
        known = np.full((len(days), len(pixels), points.shape[-1]), np.nan)
        known[asked[0], asked[1]] = points
        z = np.full((len(dates), clear.shape[1], points.shape[-1]), np.nan)
        z[:, pixels] = around.interpolate(known)
        return Seen(z)


class Around:
    """The clear kept frames before and after each date, pixel by pixel.

    Parameters
    ----------
    days : (time,)
        Of the kept frames.
    clear : (time, pixel)
    dates : (date,)
        In days.
    window : {"centred", "causal"}

    Attributes
    ----------
    index : (2, date, pixel) int
        The last frame not after the date, and the first not before it; -1 where there is none within the 200 days that
        a window sees. With a causal window, both are the last.
    """

    def __init__(self, days: np.ndarray, clear: np.ndarray, dates: np.ndarray, window: Window) -> None:
        self._days, self._dates = days, dates
        time = np.arange(len(days))[:, None]
        last = np.maximum.accumulate(np.where(clear, time, -1))
        following = np.minimum.accumulate(np.where(clear, time, len(days))[::-1])[::-1]
        ends = np.full((1, clear.shape[1]), -1)
        before = np.concatenate([ends, last])[np.searchsorted(days, dates, side="right")]
        after = np.concatenate([following, ends])[np.searchsorted(days, dates, side="left")]
        after = np.where(after == len(days), -1, after)
        if window == "causal":
            after = before
        index = np.stack([before, after])
        far = np.abs(days[index] - dates[:, None]) > MAX_OFFSET_DAYS if len(days) else True
        self.index = np.where(far, -1, index)

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Values (time, pixel, k) of the kept frames, linear in time between both; where one is absent, the other."""
        before, after = self.index
        day = self._dates[:, None]
        span = np.where((before >= 0) & (after >= 0), self._days[after] - self._days[before], 0.0)
        share = np.divide(day - self._days[before], span, out=np.zeros_like(span), where=span > 0)
        share = np.where(before < 0, 1.0, share)[..., None]
        pixel = np.arange(values.shape[1])[None]
        first, second = (np.where((i >= 0)[..., None], values[i, pixel], 0.0) for i in (before, after))
        found = (before >= 0) | (after >= 0)
        return np.where(found[..., None], (1 - share) * first + share * second, np.nan)


def probed(encoder: Encoder | ReferenceEncoder | Probed) -> Probed:
    """The encoder in the form in which it is probed."""
    from ecoembed.embeddings.reference.encode import ReferenceEncoder

    if isinstance(encoder, ReferenceEncoder):
        return Reference(encoder)
    return Dense(encoder) if isinstance(encoder, Encoder) else encoder
