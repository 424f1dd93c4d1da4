"""What the probes see of a place: one square, cropped once, some hidden clear dates, and a run of clear dates."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed.cubes.pairing import pair
from ecoembed.cubes.store import load_cube, load_series
from ecoembed.embeddings.batches import MARGIN, MAX_OFFSET_DAYS, Window, days_of
from ecoembed.errors import TableError, VariableError
from ecoembed.sensors import get_sensor

#: Side of the square in px, without the margin that windows see.
SIDE = 16
#: Hidden dates of a place, and days between them: beyond the longest gap, clear dates are left between two.
HIDDEN, SPACING = 4, 90.0
#: Days hidden around each; 1 stands for the date itself.
GAPS = (1, 10, 30, 60)
#: Clear dates of a place that are embedded as they are, one after the other.
RUN = 32
#: Share of the square that must be clear on a hidden date, and on one of the run.
HIDDEN_CLEAR, RUN_CLEAR = 0.8, 0.5
#: Pixels of a place, drawn, at which linear models are fitted and scored.
PIXELS = 200


@dataclass(frozen=True)
class Hiding:
    """What an encoder is not shown around the hidden dates of a place: `gap` days of S2; all of S1, or none."""

    gap: int
    s1: bool = True
    window: Window = "centred"

    @property
    def probe(self) -> str:
        """Name of the probe."""
        return f"gap_{self.gap}" + ("" if self.s1 else "_no_s1") + ("" if self.window == "centred" else "_causal")


#: Every hiding that is probed.
HIDINGS = (
    *(Hiding(gap) for gap in GAPS),
    *(Hiding(gap, s1=False) for gap in GAPS),
    *(Hiding(gap, window="causal") for gap in GAPS),
)


@dataclass(frozen=True)
class ProbePlace:
    """The square of one place that is probed.

    Attributes
    ----------
    id : str
    cubes : dict of str to xr.DataArray
        Of each sensor the square and 7 px around it, as far as the image reaches.
    inner : (slice, slice)
        Rows and columns of the square in the cubes.
    labels : xr.Dataset or None
        ``land_cover`` and ``field`` (y, x) of the square, where the store holds them.
    hidden, run : numpy.ndarray of int
        Dates of Sentinel-2: those to be hidden, and the clear ones that are embedded as they are.
    pixels : numpy.ndarray of int
        Drawn pixels of the square (row by row), in the order in which they were drawn.
    """

    id: str
    cubes: dict[str, xr.DataArray]
    inner: tuple[slice, slice]
    labels: xr.Dataset | None
    hidden: np.ndarray
    run: np.ndarray
    pixels: np.ndarray

    @cached_property
    def times(self) -> np.ndarray:
        """Times of Sentinel-2."""
        return np.asarray(self.cubes["S2_L2A"]["time"].values)

    @cached_property
    def days(self) -> np.ndarray:
        """Days since 1970 of Sentinel-2."""
        return days_of(self.times)

    @cached_property
    def values(self) -> np.ndarray:
        """Reflectance (time, pixel, 10) of the square, within 0-1; NaN where any band is missing."""
        return _pixels(self.cubes["S2_L2A"], self.inner)

    @cached_property
    def clear(self) -> np.ndarray:
        """Which pixels Sentinel-2 saw, (time, pixel)."""
        return np.isfinite(self.values[..., 0])

    @cached_property
    def ndvi(self) -> np.ndarray:
        """NDVI (time, pixel); NaN where it was not clear, or dark in both bands."""
        bands = list(get_sensor("S2_L2A").band_names)
        red, near = (self.values[..., bands.index(band)] for band in ("B04", "B08"))
        total = near + red
        return np.divide(near - red, total, out=np.full_like(total, np.nan), where=total > 0)

    @cached_property
    def radar(self) -> np.ndarray:
        """Backscatter (time of S1, pixel, 2) of the square in dB."""
        return _pixels(self.cubes["S1"], self.inner)

    @cached_property
    def paired(self) -> dict[Window, np.ndarray]:
        """By window, the acquisition of S1 that each date of S2 takes, -1 where there is none."""
        cubes = self.cubes["S2_L2A"], self.cubes["S1"]
        return {"centred": pair(*cubes)[0], "causal": pair(*cubes, causal=True)[0]}

    def kept(self, gap: int) -> np.ndarray:
        """Which frames of S2 are shown when `gap` days around every hidden date are not; 0 hides nothing."""
        apart = np.abs(self.days[:, None] - self.days[self.hidden][None, :])
        return ~(apart <= (gap / 2 if gap else -1.0)).any(axis=1)


def _pixels(cube: xr.DataArray, inner: tuple[slice, slice]) -> np.ndarray:
    """(time, pixel, band) of the square, within the sensor's valid range; NaN where any band is missing."""
    values = np.moveaxis(cube.values[:, :, inner[0], inner[1]], 1, -1)
    values = values.reshape(len(values), -1, values.shape[-1])
    missing = ~np.isfinite(values).all(axis=-1, keepdims=True)
    return np.where(missing, np.nan, values.clip(*get_sensor(cube.attrs["sensor"]).valid_range))


def site_of(cube: xr.DataArray, path: str | Path) -> str:
    """What a place is called: cubes of one name are one place."""
    return str(cube.attrs.get("site", Path(path).stem))


def load_probe_place(path: str | Path, sensors: Sequence[str], seed: int) -> ProbePlace:
    """The square of the place stored at `path`: where it lies and which dates are hidden follows from seed and id.

    Raises
    ------
    TableError
        If no clear date can be hidden, with clear dates left on both sides of the longest gap.
    FileError, VariableError
        If there is no such store, or a sensor is not in it.
    """
    path = Path(path)
    whole = {name: load_cube(path, name, lazy=True) for name in dict.fromkeys(("S2_L2A", "S1", *sensors))}
    anchor = whole["S2_L2A"]
    name = site_of(anchor, path)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    size = [anchor.sizes[d] for d in ("y", "x")]
    side = [min(SIDE, n) for n in size]
    corner = [int(rng.integers(0, n - s + 1)) for n, s in zip(size, side, strict=True)]
    wide = [slice(max(c - MARGIN, 0), c + s + MARGIN) for c, s in zip(corner, side, strict=True)]
    starts = [c - w.start for c, w in zip(corner, wide, strict=True)]
    inner = slice(starts[0], starts[0] + side[0]), slice(starts[1], starts[1] + side[1])
    cubes = {k: cube.isel(y=wide[0], x=wide[1]).compute(scheduler="synchronous") for k, cube in whole.items()}
    labels = _labels(path, [slice(c, c + s) for c, s in zip(corner, side, strict=True)], size)
    return ProbePlace(
        name, cubes, inner, labels, *_dates(cubes, inner, name, rng), rng.permutation(side[0] * side[1])[:PIXELS]
    )


def probe_places(
    paths: Iterable[str | Path], sensors: Sequence[str], seed: int, skipped: dict[str, str]
) -> Iterator[ProbePlace]:
    """Places one by one; `skipped` takes the name of those where no date can be hidden, and the reason."""
    for path in paths:
        try:
            place = load_probe_place(path, sensors, seed)
        except TableError as exc:
            skipped[Path(path).name] = str(exc)
        else:
            yield place


def _labels(path: Path, square: list[slice], size: list[int]) -> xr.Dataset | None:
    if not (path / "labels" / "zarr.json").is_file():
        return None
    labels = load_series(path, "labels")
    for name, label in labels.data_vars.items():
        if label.dims != ("y", "x") or list(label.shape) != size:
            raise VariableError(
                f"the label {name} does not fit the cubes", where=path, found=dict(label.sizes), expected=tuple(size)
            )
    return labels.isel(y=square[0], x=square[1])


def _dates(
    cubes: dict[str, xr.DataArray], inner: tuple[slice, slice], name: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Dates to hide and dates of the run; each with Sentinel-1 near it, for all probes to stand on the same dates."""
    clear = np.isfinite(cubes["S2_L2A"].values[:, :, inner[0], inner[1]]).all(axis=1).mean(axis=(1, 2))
    days = days_of(cubes["S2_L2A"]["time"].values)
    paired = np.logical_and.reduce(
        [pair(cubes["S2_L2A"], cubes["S1"], causal=causal)[0] >= 0 for causal in (False, True)]
    )
    run = np.flatnonzero((clear >= RUN_CLEAR) & paired)
    apart = days[run] - days[:, None]
    near = (np.abs(apart) > max(GAPS) / 2) & (np.abs(apart) <= MAX_OFFSET_DAYS)
    around = (near & (apart < 0)).any(axis=1) & (near & (apart > 0)).any(axis=1)
    hidden: list[int] = []
    for date in rng.permutation(np.flatnonzero((clear >= HIDDEN_CLEAR) & paired & around)):
        if len(hidden) < HIDDEN and all(abs(days[date] - days[other]) >= SPACING for other in hidden):
            hidden.append(int(date))
    if not hidden:
        raise TableError(
            "too few clear dates to probe",
            where=name,
            found=f"{len(run)} dates with {RUN_CLEAR:.0%} of a square of {SIDE} px clear and Sentinel-1 near",
            expected=f"one that is {HIDDEN_CLEAR:.0%} clear, with others before and after it, "
            f"{max(GAPS) // 2} to {MAX_OFFSET_DAYS:g} days from it",
        )
    first = int(rng.integers(0, max(len(run) - RUN, 0) + 1))
    return np.sort(hidden), run[first : first + RUN]
