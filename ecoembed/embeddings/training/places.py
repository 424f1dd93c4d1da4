"""Training places, in memory or on disk, and the crops drawn from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from torch.nn import functional as F  # noqa: N812

from ecoembed.cubes.pairing import pair
from ecoembed.cubes.store import is_store, load_cube
from ecoembed.embeddings.batches import FRAMES, MARGIN, READ, Frames, Normalisation, days_of, read_frames
from ecoembed.embeddings.card import PlaceCard
from ecoembed.embeddings.checks import check_values, quantity_of
from ecoembed.errors import TableError, VariableError
from ecoembed.schema import check_cube
from ecoembed.sensors import get_sensor

#: Places are kept decoded in memory, in the order given, up to this many bytes; the others are read in parts.
CACHE_BYTES = 2 << 30
#: A place is at least this wide and high, in px.
SMALLEST = 4
#: Side in px of the blocks in which a place is read as a whole.
_BLOCK = 256


@dataclass
class Place:
    """One place, in memory if it was held there, else on disk.

    Attributes
    ----------
    card : PlaceCard
    path : Path
    days : dict of numpy.ndarray (time,)
        Sensor -> its acquisitions in days since 1970-01-01 UTC; the anchor first.
    shape : (int, int)
        Rows and columns.
    smoothing : dict
        Sensor -> what its cube's attributes say of smoothing.
    quantity : dict
        Sensor -> gamma0 or sigma0, or None where its cube does not declare it.
    moments : dict of numpy.ndarray (3, band)
        Sensor -> number, sum and sum of squares of each band's valid values.
    """

    card: PlaceCard
    path: Path
    cubes: dict[str, xr.DataArray]
    days: dict[str, np.ndarray]
    shape: tuple[int, int]
    smoothing: dict[str, str | None]
    quantity: dict[str, str | None]
    held: dict[str, Frames]
    moments: dict[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        """Bytes that the place takes in memory, decoded."""
        return sum(cube.size * 4 + cube.size // cube.sizes["band"] for cube in self.cubes.values())

    def hold(self) -> None:
        """Keep the place decoded in memory."""
        for name, cube in self.cubes.items():
            self.held[name] = read_frames(cube, *(slice(0, cube.sizes[d]) for d in ("time", "y", "x")))

    def read(self, sensor: str, times: slice, rows: slice, columns: slice) -> Frames:
        """A part of the place; what lies beyond the image is missing, so rows and columns may begin below 0.

        Memory: the part itself and, of a place on disk, the chunks that hold it, 8 dates at a time.
        """
        if sensor not in self.held:
            return read_frames(self.cubes[sensor], times, rows, columns)
        frames = self.held[sensor]
        inside = [slice(max(s.start, 0), min(s.stop, n)) for s, n in zip((rows, columns), self.shape, strict=True)]
        values, valid = frames.values[times][:, :, *inside], frames.valid[times][:, *inside]
        sides = zip((columns, rows), reversed(inside), strict=True)  # F.pad begins with the last dimension
        pad = [n for asked, there in sides for n in (there.start - asked.start, asked.stop - there.stop)]
        return Frames(F.pad(values, pad), F.pad(valid, pad, value=False), frames.days[times])


@dataclass
class Crop:
    """A square of one place, ``side + 14`` px wide: consecutive dates of the anchor, and what else was seen then."""

    place: str
    frames: dict[str, Frames]


def load_places(paths: Sequence[str | Path], sensors: tuple[str, ...]) -> list[Place]:
    """Training places from Zarr stores that hold a group for each of `sensors`, the anchor first.

    Each place is read once, in blocks. Places are kept decoded in memory as long as all that are kept fit CACHE_BYTES
    (2 GiB); of the others, only what a crop needs is read. Memory: CACHE_BYTES, and the crops of the steps under way.

    Raises
    ------
    VariableError
        If a store lacks one of the sensors; what it holds is named.
    GridError
        If the cubes of a store lie on different grids.
    UnitError
        If values cannot be in the sensor's unit.
    TableError
        If a place is too small, never seen, or has fewer than 11 acquisitions of a sensor.
    """
    places, left = [], CACHE_BYTES
    for path in paths:
        place = _open(Path(path), sensors)
        if place.nbytes <= left:
            left -= place.nbytes
            place.hold()
        for name in sensors:
            place.moments[name] = _moments(place, name)
            if not place.moments[name][0].any():
                raise TableError(f"no clear pixel of {name}", where=path)
        places.append(place)
    return places


def _open(path: Path, sensors: tuple[str, ...]) -> Place:
    absent = [name for name in sensors[1:] if is_store(path) and not (path / name).is_dir()]
    if absent:
        rest = [name for name in sensors if name not in absent]
        remedy = f"Train without: --sensors {' '.join(rest)}"
        raise VariableError(
            f"no group {absent[0]}", where=path, found=", ".join(rest), expected=", ".join(sensors), remedy=remedy
        )
    cubes = {name: check_cube(load_cube(path, name, lazy=True), name, where=path) for name in sensors}
    anchor, *others = cubes.values()
    for name, cube in cubes.items():
        if cube.sizes["time"] < FRAMES:
            found = cube.sizes["time"]
            raise TableError(f"too few {name} acquisitions to learn from", where=path, found=found, expected=FRAMES)
        check_values(cube)
    if min(anchor.shape[2:]) < SMALLEST:
        raise TableError("too small to learn from", where=path, found=anchor.shape[2:], expected=f">= {SMALLEST} px")
    for cube in others:
        if not (pair(anchor, cube)[0] >= 0).any():
            sensor = get_sensor(cube.attrs["sensor"])
            what = f"no date of {sensors[0]} has an acquisition of {sensor.name} near it"
            raise TableError(what, where=path, expected=f"one within {sensor.max_gap_days:g} days")
    return Place(
        card=_card(anchor, path),
        path=path,
        cubes=cubes,
        days={name: days_of(cube["time"].values) for name, cube in cubes.items()},
        shape=(anchor.sizes["y"], anchor.sizes["x"]),
        smoothing={name: cube.attrs.get("smoothing") for name, cube in cubes.items()},
        quantity={name: quantity_of(cube) for name, cube in cubes.items()},
        held={},
        moments={},
    )


def _card(cube: xr.DataArray, path: Path) -> PlaceCard:
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(cube.rio.crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(float(cube["x"].mean()), float(cube["y"].mean()))
    days = cube["time"].values.astype("datetime64[D]").astype(str)
    return PlaceCard(
        id=cube.attrs.get("site", path.stem),
        latitude=latitude,
        longitude=longitude,
        start=days[0],
        end=days[-1],
        dates=len(days),
        role="train",
    )


def _blocks(place: Place, sensor: str) -> Iterator[Frames]:
    """The whole place in parts of bounded size, the same ones whether it is held or not."""
    for t in range(0, len(place.days[sensor]), READ):
        times = slice(t, min(t + READ, len(place.days[sensor])))
        for y in range(0, place.shape[0], _BLOCK):
            for x in range(0, place.shape[1], _BLOCK):
                rows, columns = (slice(a, min(a + _BLOCK, n)) for a, n in zip((y, x), place.shape, strict=True))
                yield place.read(sensor, times, rows, columns)


def _moments(place: Place, sensor: str) -> np.ndarray:
    total = np.zeros((3, len(get_sensor(sensor).bands)))
    for frames in _blocks(place, sensor):
        seen = frames.values.movedim(1, -1)[frames.valid].double().numpy()
        total += [np.full(seen.shape[1], len(seen)), seen.sum(axis=0), (seen**2).sum(axis=0)]
    return total


def fit_normalisation(places: list[Place], sensor: str) -> Normalisation:
    """Mean and standard deviation of each band over all valid pixels of `places`."""
    low, high = get_sensor(sensor).valid_range
    n, first, second = np.sum([place.moments[sensor] for place in places], axis=0)
    mean = first / n
    std = np.sqrt(np.maximum(second / n - mean**2, 0.0)).clip(min=1e-3 * (high - low))
    return Normalisation(low, high, tuple(mean.tolist()), tuple(std.tolist()))


def draw_crop(place: Place, side: int, consecutive: int, rng: np.random.Generator) -> Crop:
    """A random square of `side` px (plus 7 px all round) over `consecutive` dates of the anchor, all sensors.

    Of the other sensors, all acquisitions are there that lie within the span of these dates, or that could be paired
    with one of them. A place that is smaller than `side` gives a crop of the same size that hangs over its edge, and
    what is beyond is missing, as it is when a whole image is embedded; one with fewer dates gives them all.
    """
    anchor, *others = place.days
    n = min(consecutive, len(place.days[anchor]))
    start = int(rng.integers(0, len(place.days[anchor]) - n + 1))
    corner = [int(rng.integers(0, max(size - side, 0) + 1)) - MARGIN for size in place.shape]
    rows, columns = (slice(c, c + side + 2 * MARGIN) for c in corner)
    frames = {anchor: place.read(anchor, slice(start, start + n), rows, columns)}
    for name in others:
        days, gap = frames[anchor].days, get_sensor(name).max_gap_days
        first, last = np.searchsorted(place.days[name], (days[0] - gap, days[-1] + gap)).tolist()
        frames[name] = place.read(name, slice(first, last), rows, columns)
    return Crop(place.card.id, frames)
