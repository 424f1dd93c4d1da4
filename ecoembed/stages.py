"""What a study does at one site: cubes, embeddings, series. Each stage is skipped when nothing it depends on changed.

What an upstream stage wrote enters the manifest of the next by its content: see :func:`ecoembed.files.stage`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecoembed.errors import ConfigError, FileError, ResolutionError, SensorError, TableError, VariableError
from ecoembed.files import stage

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from ecoembed.config import FootprintSection, StudyConfig
    from ecoembed.embeddings.batches import Window
    from ecoembed.embeddings.encode import Encoder
    from ecoembed.embeddings.reference.encode import ReferenceEncoder

#: Feature sets that come from a site's own cubes, in the order in which they are extracted; their groups in
#: series/SITE.zarr, and those of the embeddings in embeddings/SITE.zarr.
SOURCES = {
    "bands": "bands",
    "indices": "indices",
    "s1": "s1",
    "embeddings": "embeddings",
    "embeddings:random": "embeddings_random",
    "embeddings:s1": "embeddings_s1",
    "embeddings:s2": "embeddings_s2",
}
#: Embeddings from one sensor alone; weights that do not know it, or know no other, have none.
_ONE_SENSOR = {"embeddings:s1": "S1", "embeddings:s2": "S2_L2A"}
#: Made for every study: `bands` are for looking at, and baselines need indices.
_ALWAYS = ("bands", "indices")


def sets_of(config: StudyConfig) -> dict[str, str]:
    """Of the feature sets that a study names those that come from cubes, with their groups in series/SITE.zarr.

    No other is made or joined: a set that nobody compares costs neither time nor rows.
    """
    named = {part for name in config.benchmark.features for part in name.split("+")}
    own = {name: group for name, group in SOURCES.items() if name in named or name in _ALWAYS}
    return own | {name: f"external_{name}" for name in config.external if name in named}


def without_sensors(sets: Iterable[str], encoder: Encoder | ReferenceEncoder) -> dict[str, str]:
    """Those of `sets` that these weights cannot make, and why: embeddings of a sensor that they do not know alone."""
    card, why = encoder.card, {}
    for name, sensor in _ONE_SENSOR.items():
        if card.architecture == "reference":
            why[name] = f"no {name}: the reference encoder needs both sensors"
        elif sensor not in card.sensors or len(card.sensors) == 1:
            why[name] = f"no {name}: the weights know {', '.join(card.sensors)}"
    return {name: why[name] for name in sets if name in why}


def write_cubes(place: Path, output: Path, site: str, **choices: Any) -> tuple[xr.DataArray, xr.DataArray | None]:
    """The 10 m cubes of the files in one folder, S1 smoothed over three acquisitions, as groups of one Zarr store.

    Where no file is of Sentinel-1 there is no group S1. `choices` are keywords of :func:`ecoembed.open_cube` for
    Sentinel-2.
    """
    from ecoembed.cubes.build import open_cube
    from ecoembed.cubes.pairing import smooth
    from ecoembed.cubes.store import save_cubes

    s2 = open_cube(place, "S2_L2A", **choices).assign_attrs(site=site)
    try:
        s1 = smooth(open_cube(place, "S1")).assign_attrs(site=site)
    except SensorError:
        if (output / "S1").exists():
            remedy = "Bring the files of Sentinel-1 back, or delete the store and run again"
            what = "the store holds S1 of an earlier run, these files do not"
            raise FileError(what, where=output, remedy=remedy) from None
        save_cubes({"S2_L2A": s2}, output)
        return s2, None
    save_cubes({"S2_L2A": s2, "S1": s1}, output)
    return s2, s1


def build_cubes(folder: Path, site: str, config: StudyConfig) -> Path:
    """satellite/SITE/ -> cubes/SITE.zarr."""
    place, output = folder / "satellite" / site, folder / "cubes" / f"{site}.zarr"
    # a manifest of what was fetched is no input of a cube
    files = sorted(p for p in place.glob("*") if not p.name.startswith(".") and p.suffix != ".json")
    if not files and output.is_dir():
        return output  # a study may come with cubes that were built elsewhere
    if not files:
        raise FileError(
            "no satellite files",
            where=f"{site} in satellite/{site}/",
            expected="Sentinel-2 and Sentinel-1 rasters",
            remedy=f"Fetch them: ecoembed fetch STUDY --sites {site}",
        )
    choices = config.satellite.choices
    stage(output, files, choices, lambda: write_cubes(place, output, site, **choices))
    return output


def embed(folder: Path, site: str, cubes: Path, config: StudyConfig) -> list[Path]:
    """cubes/SITE.zarr -> embeddings/SITE.zarr: of the trained encoder, of the same with random weights, of one sensor.

    Only what the study compares; each group is a stage of its own, so that one set more costs that set alone.
    """
    from ecoembed.cubes.store import load_cube, save_cube
    from ecoembed.embeddings.encode import load_encoder

    encoder, window = load_encoder(config.encoder(folder)), config.embeddings.window
    store, lacking = folder / "embeddings" / f"{site}.zarr", without_sensors(SOURCES, encoder)
    made = []
    for name in (n for n in sets_of(config) if n.startswith("embeddings") and n not in lacking):
        group, used = SOURCES[name], encoder.random(config.study.seed) if name == "embeddings:random" else encoder

        def make(name: str = name, group: str = group, used: Encoder | ReferenceEncoder = used) -> None:
            # every sensor of the model: a benchmark in which one is silently missing at a site would not be fair
            sensors = ["S2_L2A"] if name == "embeddings:s2" else list(encoder.card.sensors)
            _refuse_absent(cubes, sensors, name)
            held = {sensor: load_cube(cubes, sensor, lazy=True) for sensor in sensors}
            save_cube(_encoded(name, used, held, window), store, group)

        stage(store / group, [cubes], {"weights": used.weights, "window": window}, make)
        made.append(store / group)
    return made


def _refuse_absent(cubes: Path, sensors: Sequence[str], name: str) -> None:
    """Refuse a site of which there is no cube of a sensor that a feature set is made of."""
    if absent := [sensor for sensor in sensors if cubes.is_dir() and not (cubes / sensor).is_dir()]:
        raise VariableError(
            f"no {', '.join(absent)} at this site, which the set {name} is made of",
            where=cubes.stem,
            found=", ".join(sensor for sensor in sensors if sensor not in absent),
            expected=", ".join(sensors),
            remedy="Bring its files, or compare the set embeddings:s2, or weights that do without (embeddings.weights)",
        )


def _encoded(
    name: str, encoder: Encoder | ReferenceEncoder, cubes: Mapping[str, xr.DataArray], window: Window
) -> xr.DataArray:
    """The embedding cube of a feature set, on the dates of Sentinel-2."""
    held = dict(cubes)
    s2, s1 = held.pop("S2_L2A"), held.pop("S1", None)
    if name == "embeddings:s1":
        return encoder.encode(None, s1, dates=s2["time"].values, window=window)
    if name == "embeddings:s2":
        return encoder.encode(s2, None, window=window)
    return encoder.encode(s2, s1, window=window, more=tuple(held.values()))


def flux_table(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> None:
    """flux/ -> series/SITE.flux.zarr: the site's daily fluxes and drivers, checked and accounted for."""
    from ecoembed.archives.flux.folder import site_files
    from ecoembed.archives.flux.reader import open_flux
    from ecoembed.cubes.store import save_series
    from ecoembed.gpp.rows import describe_rows

    files, output = site_files(folder / "flux", site), folder / "series" / f"{site}.flux.zarr"
    row = sites.loc[site]
    # NaN is what no JSON holds, and what the file may know better
    place = {name: float(row[name]) for name in ("latitude", "longitude", "utc_offset") if math.isfinite(row[name])}
    asked = config.flux

    def make() -> None:
        flux = open_flux(
            files.paths, asked.target, asked.min_qc, agreement=asked.agreement, site=site,
            description=files.description, **place,  # type: ignore[arg-type]
        )  # fmt: skip
        if not math.isfinite(flux.attrs["utc_offset"]):
            remedy = "Give the hours that its local standard time is ahead of UTC"
            where = f"{site}, utc_offset in the site table"
            raise TableError("no UTC offset", where=where, found="empty", remedy=remedy)
        if not flux.attrs["rows"]["out"]:
            found = describe_rows(flux.attrs["rows"], "days")
            raise TableError(f"no day of {flux.attrs['target']} is left", where=site, found=found)
        save_series({"flux": flux}, output)

    stage(output, [*files.paths, *filter(None, [files.description])], {**asked.model_dump(), **place}, make)


def site_footprint(
    site: str,
    sites: gpd.GeoDataFrame,
    grid: xr.DataArray,
    flux: Sequence[Path],
    description: Path | None,
    config: FootprintSection,
) -> xr.DataArray:
    """Weights of a tower's footprint on the grid of a cube.

    Where turbulence or heights are not known they are those of a disc, and ``attrs["fallback"]`` says why; what is
    known and contradictory is an error.

    Raises
    ------
    TableError
        If the site table does not hold the site.
    GridError
        If the tower stands outside the grid.
    FootprintError
        If the heights contradict each other, or no half-hour is within the range of the footprint model.
    ConfigError
        If a disc is asked for by period.
    FileError, ProductError
        If a flux file cannot be read, or is of another site.
    """
    from ecoembed.archives.flux.reader import open_halfhours
    from ecoembed.cubes.grid import tower_position
    from ecoembed.footprints.extents import fixed_radius
    from ecoembed.footprints.tower import tower_footprint

    if site not in sites.index:
        raise TableError("no such site in the site table", where=site, found=", ".join(sites.index[:5]) + " ...")
    row = sites.loc[site]
    x, y = tower_position(grid, row["latitude"], row["longitude"])
    disc = fixed_radius(grid, config.radius, x=x, y=y)
    if config.model == "disc" or not flux:
        if config.period != "all":
            remedy = "Give the tower's half-hours and a footprint model, or the period all"
            raise ConfigError("a disc is the same in every period", where=site, found=config.period, remedy=remedy)
        return disc
    try:
        halfhours = open_halfhours(flux, site=site, description=description)
    except (ResolutionError, VariableError) as reason:  # no half-hours in the files, or not the variables
        return disc.assign_attrs(fallback=str(reason))
    if not math.isfinite(row["utc_offset"]):
        row = row.copy()
        row["utc_offset"] = halfhours.attrs["utc_offset"]  # an own table knows it
    return tower_footprint(row, halfhours, grid, model=config.model, period=config.period, radius=config.radius)


def extract_series(
    folder: Path, site: str, sites: gpd.GeoDataFrame, cubes: Path, embeddings: Sequence[Path], config: StudyConfig
) -> None:
    """Cubes and embeddings through the footprint -> series/SITE.zarr, one group for each set that is compared."""
    from ecoembed.archives.flux.folder import site_files
    from ecoembed.cubes.store import load_cube, save_series
    from ecoembed.gpp.external import external_file

    output, files = folder / "series" / f"{site}.zarr", site_files(folder / "flux", site)
    row, wanted = {k: str(v) for k, v in sites.loc[site].drop("geometry").items()}, sets_of(config)
    external = {name: external_file(folder / config.external[name], site) for name in wanted if name in config.external}

    def make() -> None:
        from ecoembed.footprints.extract import extract
        from ecoembed.gpp.external import external_series
        from ecoembed.gpp.radar import radar_series

        s2 = load_cube(cubes, "S2_L2A")
        weights = site_footprint(site, sites, s2, *files, config.footprint)
        made = {"bands": extract(s2, weights), "indices": _index_series(s2, weights, config)}
        if "s1" in wanted:
            made["s1"] = radar_series(load_cube(cubes, "S1"), s2, weights, config.embeddings.window)
        made |= {group.name: extract(load_cube(group.parent, group.name), weights) for group in embeddings}
        for name, path in external.items():
            made[wanted[name]] = external_series(path, name, s2, weights, float(sites.loc[site, "longitude"]))
        shutil.rmtree(output, ignore_errors=True)  # sets that are no longer asked for would stay, as they were
        save_series(made | {"footprint": weights.to_dataset(name="weight")}, output)

    inputs = [*files.paths, *filter(None, [files.description]), cubes, *embeddings, *external.values()]
    asked = {"sets": list(wanted), "indices": list(config.benchmark.indices), "window": config.embeddings.window}
    stage(output, inputs, {"site": row, **config.footprint.model_dump(exclude={"min_coverage"}), **asked}, make)


def _index_series(s2: xr.DataArray, weights: xr.DataArray, config: StudyConfig) -> xr.Dataset:
    """The indices that the study lists, and those that baselines need; ``attrs["listed"]`` tells which are its own."""
    from ecoembed.footprints.extract import extract
    from ecoembed.gpp.indices import BASELINES, INDICES, index_cube

    listed = config.benchmark.indices or tuple(INDICES)
    return extract(index_cube(s2, [*listed, *BASELINES]), weights).assign_attrs(listed=list(listed))


def site_series(folder: Path, site: str, config: StudyConfig) -> dict[str, xr.Dataset]:
    """The footprint series of a site by feature set, as :func:`extract_series` wrote them.

    Raises
    ------
    FileError, VariableError
        If there are none yet, or one is missing.
    """
    from ecoembed.cubes.store import load_series

    path = folder / "series" / f"{site}.zarr"
    names = {n: g for n, g in sets_of(config).items() if n not in _ONE_SENSOR or (path / g).is_dir()}
    return {name: load_series(path, group) for name, group in names.items()}


def run_site(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> None:
    """All stages of one site, in order; the unit of work of a scheduler."""
    flux_table(folder, site, sites, config)  # a tower that cannot be used is refused before the satellite work
    cubes = build_cubes(folder, site, config)
    embeddings = embed(folder, site, cubes, config)
    extract_series(folder, site, sites, cubes, embeddings, config)
