"""The virtual flux network: a whole study folder from a seed, in the formats of the real files, with the truth beside.

Nothing in it is a measurement, and its site ids say so: ``XX`` is no country.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.errors import ConfigError, StudyError
from ecoembed.files import atomic, track
from ecoembed.virtual import backscatter, production, products, radiance, tower, vegetation, weather
from ecoembed.virtual.landscape import Landscape, draw_landscape
from ecoembed.virtual.places import Place, draw_place, streams

#: The whole study.toml of a virtual network.
STUDY_TOML = """\
# Virtual flux network of ecoembed: simulated from a seed, no measurement in it.
[study]
name = "Virtual flux network: no site is real"
seed = {seed}

[flux]
target = "GPP_NT_VUT_REF"
min_qc = 0.75
"""
CITATION = "virtual flux network of ecoembed, seed {seed}: not a measurement"
LICENCE = "CC0-1.0"

#: Local solar hours of the overpasses, days between them, and slices of one radar pass (s apart) on every n-th date.
_S2_HOUR, _S2_REPEAT = 10.6, 5
_S1_HOUR, _S1_REPEAT, _S1_SLICE_SECONDS, _S1_SLICED = 17.9, 6, 25, 8
#: Every n-th site has a 20 m file that does not declare its scale.
_UNSCALED = 4


@dataclass(frozen=True)
class World:
    """One place with its weather, landscape, vegetation and what its tower sees; the years asked for, no spin-up.

    Attributes
    ----------
    halfhours, daily : DataFrame
        Weather.
    leaf_area, gpp : ndarray, shape (days, y, x)
        Leaf area index and true GPP in gC m-2 d-1.
    weights : ndarray, shape (months, y, x)
        Footprint of each month's daylight, summing to 1 inside the cube: what lies outside is taken to be alike.
    """

    place: Place
    land: Landscape
    halfhours: pd.DataFrame
    daily: pd.DataFrame
    growth: vegetation.Growth
    leaf_area: np.ndarray
    gpp: np.ndarray
    weights: np.ndarray

    @property
    def month(self) -> np.ndarray:
        """Number of each day's month, from 0, (days,)."""
        index = pd.DatetimeIndex(self.daily.index)
        return np.asarray((index.year - index[0].year) * 12 + index.month - 1)

    @property
    def tower_gpp(self) -> np.ndarray:
        """True GPP in the footprint, gC m-2 d-1, (days,)."""
        return np.einsum("dyx,dyx->d", self.gpp, self.weights[self.month], dtype=np.float64)


def make_world(number: int, years: tuple[int, int], size: int, seed: int, prefix: str = "V") -> World:
    """Simulate the place of this `number` (from 1): the same whatever the number of sites in the network."""
    rng = streams(seed, number)
    place = draw_place(number, rng["place"], prefix)
    days = pd.date_range(f"{years[0] - 1}-01-01", f"{years[1]}-12-31", unit="ns")
    spin_up = int((days.year < years[0]).sum())
    halfhours = weather.halfhours(place, days, rng["weather"])
    daily = weather.daily(halfhours)
    land = draw_landscape(place, size, rng["landscape"])
    growth = vegetation.grow(place, daily, land, rng["landscape"]).since(spin_up)
    halfhours, daily = halfhours.iloc[spin_up * weather.HALF_HOURS :], daily.iloc[spin_up:]
    leaf_area = vegetation.pixel_leaf_area(growth, land)
    fields = production.field_production(production.response(halfhours), production.limits(growth, daily, land), land)
    gpp = production.daily_production(fields, production.absorbed(growth, land, leaf_area), land)
    weights = tower.footprint_weights(place, land, halfhours)
    return World(place, land, halfhours, daily, growth, leaf_area, gpp, weights)


def write_network(
    folder: str | Path,
    sites: int = 10,
    years: tuple[int, int] = (2019, 2020),
    size: int = 48,
    seed: int = 0,
    prefix: str = "V",
) -> Path:
    """Write a virtual flux network as a study folder.

    Parameters
    ----------
    folder : path
        Study folder; made where absent. A virtual network in it is overwritten.
    sites : int
        Number of towers. Site k is the same in a network of any size.
    years : (int, int)
        First and last year, both included.
    size : int
        Edge of every cube in 10 m pixels; even.
    seed : int
        The same seed gives the same files.
    prefix : str
        Capital letters after ``XX-`` in the site ids.

    Returns
    -------
    Path
        The folder, holding ``study.toml``, ``sites.csv``, ``flux/``, ``satellite/SITE/`` and ``truth/`` (for tests of
        science only: no stage reads it).

    Raises
    ------
    ConfigError
        If a parameter is impossible.
    StudyError
        If the folder holds a study that is not a virtual network.

    Examples
    --------
    >>> import tempfile
    >>> study = write_network(tempfile.mkdtemp(), sites=1, years=(2020, 2020), size=16)
    >>> sorted(path.name for path in study.iterdir())
    ['flux', 'satellite', 'sites.csv', 'study.toml', 'truth']
    """
    folder = Path(folder)
    _require(sites, years, size, seed, prefix)
    _require_own(folder)
    rows = []
    for number in track(range(1, sites + 1), "virtual flux network"):
        world = make_world(number, years, size, seed, prefix)
        _write_flux(folder / "flux", world, years, streams(seed, number)["tower"])
        cloud = _write_satellites(folder / "satellite" / world.place.site_id, world, number, seed)
        _write_truth(folder / "truth" / f"{world.place.site_id}.nc", world, cloud, seed)
        rows.append(_site_row(world.place, seed))
    with atomic(folder / "sites.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    with atomic(folder / "study.toml") as temporary:
        temporary.write_text(STUDY_TOML.format(seed=seed), encoding="utf-8")
    return folder


def _require(sites: int, years: tuple[int, int], size: int, seed: int, prefix: str) -> None:
    checks = (
        (sites >= 1, "sites", sites, "at least 1"),
        (len(years) == 2 and 1950 <= years[0] <= years[-1] <= 2100, "years", years, "(first, last) within 1950-2100"),
        (size >= 16 and size % 2 == 0, "size", size, "an even number of 10 m pixels, at least 16"),
        (seed >= 0, "seed", seed, "0 or more"),
        (re.fullmatch(r"[A-Z]{1,3}", prefix) is not None, "prefix", prefix, "one to three capital letters"),
    )
    for passed, name, found, expected in checks:
        if not passed:
            raise ConfigError(f"impossible {name}", where="write_network", found=found, expected=expected)


def _require_own(folder: Path) -> None:
    """Nobody's own study is overwritten by a virtual one."""
    table, config = folder / "sites.csv", folder / "study.toml"
    strange = folder.exists() and not folder.is_dir()
    if config.is_file():
        strange = not config.read_text(encoding="utf-8").startswith(STUDY_TOML.splitlines()[0])
    if table.is_file() and not strange:
        strange = not pd.read_csv(table, dtype=str).get("site_id", pd.Series([""])).str.startswith("XX-").all()
    if strange:
        raise StudyError(
            "the folder holds something that is not a virtual network", where=folder, remedy="Choose another folder"
        )


def _site_row(place: Place, seed: int) -> dict[str, object]:
    """One row of sites.csv."""
    names = ("site_id", "latitude", "longitude", "elevation", "igbp")
    row = {name: getattr(place, name) for name in (*names, "canopy_height", "measurement_height", "utc_offset")}
    row = {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
    return {**row, "licence": LICENCE, "citation": CITATION.format(seed=seed)}


def _write_flux(folder: Path, world: World, years: tuple[int, int], rng: np.random.Generator) -> None:
    fluxes = tower.exchange(world.tower_gpp, world.growth.water[:, 0], world.halfhours, rng)
    tables = {
        "DD": tower.daily_table(fluxes, world.daily, rng),
        "HH": tower.halfhourly_table(fluxes, world.halfhours),
    }
    products.write_fluxnet(folder, world.place.site_id, years, tables)


def _overpasses(
    world: World, repeat: int, hour: float, rng: np.random.Generator
) -> tuple[np.ndarray, pd.DatetimeIndex]:
    """Numbers of the days on which a satellite passes at this local solar `hour`, and the times in UTC."""
    day = np.arange(int(rng.integers(0, repeat)), len(world.daily), repeat)
    seconds = np.round((hour - world.place.longitude / 15.0) * 3600.0 + rng.uniform(-600.0, 600.0, len(day)))
    return day, pd.DatetimeIndex(world.daily.index[day]) + pd.to_timedelta(seconds, unit="s")


def _write_satellites(folder: Path, world: World, number: int, seed: int) -> xr.DataArray:
    """Write the Sentinel-2 and Sentinel-1 files of a place; return where cloud or shadow truly stood."""
    rng = streams(seed, number)
    day, times = _overpasses(world, _S2_REPEAT, _S2_HOUR, rng["sky"])
    local = times + pd.Timedelta(hours=world.place.utc_offset)
    cover = world.halfhours["CLOUD"].reindex(local.floor("30min"), method="nearest").to_numpy()
    scenes = radiance.observe(world.growth, world.land, world.leaf_area, day, cover, rng["sky"])
    bands = radiance.digital_numbers(scenes)
    products.write_sentinel2(folder, world.place, times, bands, scenes.classes, unscaled=number % _UNSCALED == 3)
    day, passes = _overpasses(world, _S1_REPEAT, _S1_HOUR, rng["radar"])
    radar = backscatter.backscatter(world.growth, world.land, world.leaf_area, day, rng["radar"])
    products.write_sentinel1(folder, world.place, *_sliced(passes, radar))
    return xr.DataArray(scenes.cloud, dims=("acquisition", "y", "x"), coords={"acquisition": times})


def _sliced(times: pd.DatetimeIndex, bands: dict[str, np.ndarray]) -> tuple[pd.DatetimeIndex, dict[str, np.ndarray]]:
    """Cut every n-th radar pass into the two slices in which it is delivered: they overlap, seconds apart."""
    cut = np.flatnonzero(np.arange(len(times)) % _S1_SLICED == 3)
    order = np.sort(np.concatenate([np.arange(len(times)), cut]))
    second = np.concatenate([[False], order[1:] == order[:-1]])
    first = np.concatenate([second[1:], [False]])
    rows = np.arange(next(iter(bands.values())).shape[1])
    hidden = (first[:, None] & (rows >= 0.6 * len(rows))) | (second[:, None] & (rows < 0.4 * len(rows)))
    times = times[order] + pd.to_timedelta(np.where(second, _S1_SLICE_SECONDS, 0), unit="s")
    return times, {name: np.where(hidden[:, :, None], np.nan, values[order]) for name, values in bands.items()}


def _write_truth(path: Path, world: World, cloud: xr.DataArray, seed: int) -> None:
    """Write what no tower and no satellite can know; GPP of pixels by month, so that weights x GPP can be checked."""
    land, month = world.land, world.month
    kinds = list(vegetation.COVERS)
    months = pd.DatetimeIndex(world.daily.index[np.flatnonzero(np.diff(month, prepend=-1))])
    monthly = np.stack([world.gpp[month == m].mean(0) for m in range(len(months))])
    meaning = {"flag_values": np.arange(len(kinds), dtype=np.int8), "flag_meanings": " ".join(kinds)}
    cover = np.array([kinds.index(name) for name in land.cover], dtype=np.int8)[land.field]
    flux = {"units": "gC m-2 d-1"}
    truth = xr.Dataset(
        {
            "cover": (("y", "x"), cover, meaning),
            "field": (("y", "x"), land.field.astype(np.int16)),
            "weights": (("month", "y", "x"), world.weights.astype(np.float32), {"units": "1"}),
            "gpp_month": (("month", "y", "x"), monthly.astype(np.float32), flux),
            "gpp_tower": ("time", world.tower_gpp, {**flux, "long_name": "GPP in the footprint"}),
            "gpp_cube": ("time", world.gpp.mean((1, 2)), {**flux, "long_name": "mean GPP of the cube"}),
            "soil_water": ("time", world.growth.water[:, 0], {"units": "1", "long_name": "root zone, tower's field"}),
            "cloud": cloud,
        },
        coords={"time": pd.DatetimeIndex(world.daily.index), "month": months, "y": land.y, "x": land.x},
        attrs={"site": world.place.site_id, "epsg": world.place.epsg, "comment": CITATION.format(seed=seed)},
    )
    packed = {name: {"zlib": True, "complevel": 1} for name in ("cover", "field", "weights", "gpp_month", "cloud")}
    with atomic(path) as temporary:
        truth.to_netcdf(temporary, encoding=packed, engine="netcdf4")
