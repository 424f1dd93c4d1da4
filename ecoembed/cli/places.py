"""Commands over the cubes of one place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ecoembed.cli.app import Json, Several, answer, app, refuse_overwriting

if TYPE_CHECKING:
    import xarray as xr


@app.command
def cube(
    place: Path,
    /,
    *,
    out: Path,
    site: str | None = None,
    mask: Literal["scl", "learned", "both"] = "scl",
    as_json: Json = False,
) -> None:
    """Build the 10 m cubes of one place from its Sentinel-2 and Sentinel-1 files, as one Zarr store.

    Where there is no Sentinel-1 it says so, and the store holds Sentinel-2 alone.

    Example: ecoembed cube satellite/DE-Gri --out cubes/DE-Gri.zarr

    Parameters
    ----------
    place
        Folder with the files of one place, Sentinel-2 and Sentinel-1: fetched, or your own (NetCDF, GeoTIFF, Zarr,
        HDF5).
    out
        The Zarr store to write: groups S2_L2A and, where there are files of it, S1.
    site
        Name of the place; by default that of the store.
    mask
        What is clear in Sentinel-2: by its scene classification (scl), by a layer named cloudmask (learned: 0 is clear;
        also one of your own), or by both.
    """
    from ecoembed.stages import write_cubes

    refuse_overwriting(out, place)
    s2, s1 = write_cubes(place, out, site or out.stem, mask=mask)
    made = [s2] if s1 is None else [s2, s1]
    value = {
        "store": out,
        **{c.attrs["sensor"]: {**{str(k): v for k, v in c.sizes.items()}, "units": c.attrs["units"]} for c in made},
        "without": ["S1"] if s1 is None else [],
    }
    absent = [f"Without S1: no file of it in {place}"] if s1 is None else []
    answer(value, as_json, *map(_cube_line, made), *absent, f"Cubes: {out}")


def _cube_line(cube: xr.DataArray) -> str:
    """What a cube holds, in words."""
    n, bands, height, width = cube.shape
    unit = "reflectance 0-1" if cube.attrs["units"] == "1" else cube.attrs["units"]
    first, last = (str(cube["time"].values[i])[:10] for i in (0, -1))
    dropped = f", {cube.attrs['dates_dropped']} more dropped as cloudy" if cube.attrs.get("dates_dropped") else ""
    return (
        f"{cube.attrs['sensor']}: {n} dates{dropped}, {bands} bands, {height} x {width} px, {unit}, {first} to {last}"
    )


@app.command
def extract(
    cube: Path,
    /,
    *,
    out: Path,
    group: str = "S2_L2A",
    sites: Path,
    site: str,
    flux: Annotated[list[Path] | None, Several] = None,
    description: Path | None = None,
    model: Literal["kljun", "kormann", "disc"] = "kljun",
    period: Literal["all", "month", "overpass"] = "all",
    radius: float = 100.0,
    as_json: Json = False,
) -> None:
    """Extract a tower's footprint series from any cube, as CSV.

    Example: ecoembed extract cubes/DE-Gri.zarr --sites sites.csv --site DE-Gri --flux flux/DE-Gri.zip --out bands.csv

    Parameters
    ----------
    cube
        Zarr store.
    out
        The CSV to write: time (UTC), one column for each band, coverage.
    group
        Which cube of the store: S2_L2A, S1 or embeddings.
    sites
        Site table with coordinates and heights.
    site
        The tower.
    flux
        Its half-hourly files (one or several, after the cube), for the footprint climatology; without them a disc of
        `radius` is used.
    description
        The TOML that describes an own flux table.
    model
        Kljun et al. (2015), Kormann and Meixner (2001), or a disc.
    period
        One footprint of all half-hours, of each calendar month, or of each overpass.
    radius
        Radius in m of the disc, also where turbulence or heights are not known.
    """
    import json

    from ecoembed.archives.sites.reader import read_site
    from ecoembed.config import FootprintSection
    from ecoembed.cubes.store import load_cube
    from ecoembed.files import atomic
    from ecoembed.footprints.extract import extract as through
    from ecoembed.stages import site_footprint

    files = flux or []
    refuse_overwriting(out, cube, sites, *files, description)
    source = load_cube(cube, group)
    asked = FootprintSection.model_construct(model=model, period=period, radius=radius)  # judged where it is used
    weights = site_footprint(site, read_site(sites, site), source, files, description, asked)
    series = through(source, weights)
    table = series["value"].to_pandas().assign(coverage=series["coverage"].values)
    with atomic(out) as temporary:
        table.to_csv(temporary, index_label="time")
    about = {k: json.loads(v) if k in ("excluded", "notes") else v for k, v in weights.attrs.items()}
    value = {"series": out, "dates": len(table), "footprint": about}
    if "fallback" in about:
        print(f"disc instead of footprint: {about['fallback']}", file=sys.stderr)
    method = f"{about['method']}; {about['inside']:.1%} of it inside the cube"
    answer(value, as_json, f"{len(table)} dates through {method}", f"Series: {out}")
