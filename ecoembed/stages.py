"""What a study does at one site: cubes, embeddings, series. Each stage is skipped when nothing it depends on changed.

Beside every output stands a manifest (inputs' hashes, parameters, code version). A stage runs again if its manifest
would differ; what an upstream stage wrote enters by its content.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecoembed._version import __version__
from ecoembed.errors import ConfigError, FileError, ResolutionError, TableError, VariableError
from ecoembed.files import digest, write_json

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from ecoembed.config import FootprintSection, StudyConfig

#: Feature cubes of a site, in the order in which they are extracted; the group names of series/SITE.zarr.
SOURCES = {
    "bands": "bands",
    "indices": "indices",
    "embeddings": "embeddings",
    "embeddings:random": "embeddings_random",
}


def manifest_of(output: Path) -> Path:
    """The manifest that stands beside an output."""
    return output.with_name(output.name + ".json")


def stage(output: Path, inputs: Iterable[Path], parameters: dict[str, Any], make: Callable[[], object]) -> None:
    """Run `make`, which writes `output`, unless the manifest says that it would give what is there already."""
    record = {
        "inputs": {path.name: digest(path) for path in inputs},
        "parameters": parameters,
        "code_version": __version__,
    }
    manifest = manifest_of(output)
    if output.exists() and manifest.is_file():
        try:
            if json.loads(manifest.read_text(encoding="utf-8")) == json.loads(json.dumps(record)):
                return
        except json.JSONDecodeError:
            pass  # a damaged manifest proves nothing: run again
    make()
    write_json(manifest, record)


def write_cubes(place: Path, output: Path, site: str, **choices: Any) -> tuple[xr.DataArray, xr.DataArray]:
    """The 10 m cubes of the files in one folder, S1 smoothed over three acquisitions, as groups of one Zarr store.

    `choices` are keywords of :func:`ecoembed.open_cube` for Sentinel-2.
    """
    from ecoembed.cubes.build import open_cube
    from ecoembed.cubes.pairing import smooth
    from ecoembed.cubes.store import save_cubes

    s2 = open_cube(place, "S2_L2A", **choices).assign_attrs(site=site)
    s1 = smooth(open_cube(place, "S1")).assign_attrs(site=site)
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
            remedy="Fetch them: ecoembed fetch STUDY",
        )
    choices = config.satellite.choices
    stage(output, files, choices, lambda: write_cubes(place, output, site, **choices))
    return output


def embed(folder: Path, site: str, cubes: Path, config: StudyConfig) -> None:
    """cubes/SITE.zarr -> embeddings/SITE.zarr: the trained encoder's, and the same encoder's with random weights."""
    from ecoembed.cubes.store import load_cube, save_cubes
    from ecoembed.embeddings.encode import load_encoder

    encoder = load_encoder(config.encoder(folder))
    output = folder / "embeddings" / f"{site}.zarr"
    encoders = {"embeddings": encoder, "embeddings_random": encoder.random(config.study.seed)}
    parameters = {name: e.weights for name, e in encoders.items()} | {"window": config.embeddings.window}

    def make() -> None:
        # every sensor of the model: a benchmark in which one is silently missing at a site would not be fair
        held = {name: load_cube(cubes, name, lazy=True) for name in encoder.card.sensors}
        s2, s1, more, window = held.pop("S2_L2A"), held.pop("S1", None), tuple(held.values()), config.embeddings.window
        save_cubes({name: e.encode(s2, s1, window=window, more=more) for name, e in encoders.items()}, output)

    stage(output, [cubes], parameters, make)


def flux_table(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> None:
    """flux/ -> series/SITE.flux.zarr: the site's daily fluxes and drivers, checked and accounted for."""
    from ecoembed.archives.flux.folder import site_files
    from ecoembed.archives.flux.reader import open_flux
    from ecoembed.cubes.store import save_series

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
            raise TableError(f"no day of {flux.attrs['target']} is left", where=site, found=flux.attrs["rows"])
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


def extract_series(folder: Path, site: str, sites: gpd.GeoDataFrame, cubes: Path, config: StudyConfig) -> None:
    """Cubes and embeddings through the footprint -> series/SITE.zarr, one group for each source."""
    from ecoembed.archives.flux.folder import site_files
    from ecoembed.cubes.store import load_cube, save_series
    from ecoembed.footprints.extract import extract
    from ecoembed.gpp.indices import index_cube

    embeddings, output = folder / "embeddings" / f"{site}.zarr", folder / "series" / f"{site}.zarr"
    files = site_files(folder / "flux", site)
    row = {k: str(v) for k, v in sites.loc[site].drop("geometry").items()}

    def make() -> None:
        s2 = load_cube(cubes, "S2_L2A")
        weights = site_footprint(site, sites, s2, *files, config.footprint)
        sources = {"bands": s2, "indices": index_cube(s2)}
        sources |= {name: load_cube(embeddings, SOURCES[name]) for name in ("embeddings", "embeddings:random")}
        parts = {SOURCES[name]: extract(cube, weights) for name, cube in sources.items()}
        save_series(parts | {"footprint": weights.to_dataset(name="weight")}, output)

    inputs = [*files.paths, *filter(None, [files.description]), cubes, embeddings]
    stage(output, inputs, {"site": row, **config.footprint.model_dump(exclude={"min_coverage"})}, make)


def run_site(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> None:
    """All stages of one site, in order; the unit of work of a scheduler."""
    flux_table(folder, site, sites, config)  # a tower that cannot be used is refused before the satellite work
    cubes = build_cubes(folder, site, config)
    embed(folder, site, cubes, config)
    extract_series(folder, site, sites, cubes, config)
