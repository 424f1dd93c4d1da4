"""Commands over one tower: what its files hold, where it stands, what it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from ecoembed.cli.app import Json, Several, answer, app, as_text, refuse_overwriting


@app.command
def flux(
    paths: list[Path],
    /,
    *,
    target: Annotated[list[str] | None, Several] = None,
    min_qc: float = 0.75,
    agreement: float | None = None,
    resolution: str = "DD",
    site: str | None = None,
    sites: Path | None = None,
    description: Path | None = None,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Read a tower's flux files and say what they hold and which rows are lost, and why.

    Example: ecoembed flux AMF_US-Tw3_BASE_HH_5-5.zip --target GPP_NT --sites sites.csv --out US-Tw3.csv

    Parameters
    ----------
    paths
        Files of one site as downloaded: FLUXNET2015/ONEFlux, AmeriFlux BASE, raw half-hours, or an own table.
    target
        The flux by its name in the file, GPP_NT_VUT_REF by default. Several, in order of preference: the first that
        the file has is taken (--target GPP_NT_VUT_REF GPP_NT, after the files).
    min_qc
        Least share of measured or good-quality half-hours of a day.
    agreement
        Keep the days whose NT - DT lies within this central share of all, such as 0.95.
    resolution
        DD (made from half-hours where there is no daily table), HH, WW, MM or YY.
    site
        Site ID, where the file's name does not hold it or the file holds several.
    sites
        Site table: its coordinates and UTC offset check the clock and tell night from day.
    description
        The TOML that describes an own table.
    out
        A CSV to write the table to; beside it comes a .json of the same name with units, columns or formulas, and the
        account of rows. Days whose target is missing stay, with an empty cell, for their drivers.
    """
    from ecoembed.archives.flux.quality import describe_quality
    from ecoembed.archives.flux.reader import open_flux
    from ecoembed.errors import FileError
    from ecoembed.files import atomic

    if out is not None:
        refuse_overwriting(out, *paths, sites, description)
        if out.suffix.lower() != ".csv":
            raise FileError(
                "the table is written as CSV",
                where=out,
                found=out.suffix or "no suffix",
                expected=".csv",
                remedy=f"Name it {out.with_suffix('.csv').name}; units and account come beside it as .json",
            )
    place = {} if sites is None else _place(paths, site, sites, description)
    table = open_flux(
        paths, target or "GPP_NT_VUT_REF", min_qc, resolution=resolution, site=site, agreement=agreement,
        description=description, **place,
    )  # fmt: skip
    name = str(table.attrs["target"])
    values = table[name]
    first, last = (str(table.indexes["time"][i].date()) for i in (0, -1))
    value: dict[str, Any] = {
        **{k: table.attrs[k] for k in ("site", "target", "product", "resolution")},
        "units": values.attrs["units"],
        "first": first,
        "last": last,
        "mean": float(values.mean()) if values.notnull().any() else None,
        **{k: v for k, v in table.attrs.items() if isinstance(v, dict | int | list)},
        "variables": {
            str(n): {k: v.attrs[k] for k in ("units", "column", "formula") if k in v.attrs} for n, v in table.items()
        },
    }
    if out is not None:
        about = out.with_suffix(".json")
        with atomic(out) as temporary:
            table.to_dataframe().to_csv(temporary)
        with atomic(about) as temporary:
            temporary.write_text(as_text(value) + "\n", encoding="utf-8")
        value |= {"table": out, "about": about}
    kept = "nothing is kept" if value["mean"] is None else f"mean of what is kept {value['mean']:.2f} {value['units']}"
    head = f"{value['product']}  {first} to {last}  {kept}"
    columns = [f"{n} ({how['units']}, {how.get('column', 'made')})" for n, how in value["variables"].items()]
    lines = [*describe_quality(table.attrs), "variables: " + ", ".join(columns)]
    answer(value, as_json, head, *lines, *([f"Table: {out}, described by {about.name}"] if out else []))


def _place(paths: list[Path], site: str | None, sites: Path, description: Path | None) -> dict[str, float]:
    """Coordinates and UTC offset of the files' site, as far as the table knows them."""
    from pandas import notna

    from ecoembed.archives.flux.files import find_tables
    from ecoembed.archives.sites.reader import read_site
    from ecoembed.errors import TableError

    name = site or next((table.site for table in find_tables(paths, description) if table.site), None)
    if name is None:
        raise TableError("no site ID in the files", where=sites.name, remedy="Say which site it is (--site)")
    row = read_site(sites, name).loc[name]
    return {k: float(row[k]) for k in ("latitude", "longitude", "utc_offset") if notna(row[k])}


@app.command
def sites(paths: list[Path], /, *, out: Path | None = None, as_json: Json = False) -> None:
    """Merge site information from several sources, and say where it came from and where they disagree.

    Example: ecoembed sites mine.csv FLX_AA-Flx_BIF_LATEST.xlsx fluxnet_shuttle_snapshot.csv --out sites.csv

    Parameters
    ----------
    paths
        In order of trust: for each value the first that knows it wins. Plain CSV or workbook, BIF (.xlsx, .csv, or
        inside a flux product's zip), the FLUXNET shuttle's catalogue.
    out
        A CSV to write; beside it come the origin of every value and the conflicts.
    """
    from ecoembed.archives.sites.reader import count_origins, merge_sites, write_sites

    if out is not None:
        refuse_overwriting(out, *paths)
    records = merge_sites(paths)
    if out is not None:
        write_sites(records, out)
    counts, conflicts = count_origins(records), records.conflicts
    value = {
        "sites": len(records.sites),
        "origins": counts.to_dict("index"),
        "conflicts": conflicts.to_dict("records"),
        **({"table": out} if out else {}),
    }
    lines = [f"{len(records.sites)} sites; how many know each value, by source:", counts.to_string()]
    if len(conflicts):
        shown = conflicts if out is None else conflicts.head(10)
        lines += [f"{len(conflicts)} conflicts:", shown.to_string(index=False)]
    answer(value, as_json, *lines, *([f"Sites: {out}"] if out else []))


@app.command
def footprint(
    flux: list[Path],
    /,
    *,
    sites: Path,
    site: str,
    out: Path,
    cube: Path | None = None,
    description: Path | None = None,
    model: Literal["kljun", "kormann"] = "kljun",
    period: Literal["all", "month", "overpass"] = "all",
    when: Literal["day", "all"] = "day",
    as_json: Json = False,
) -> None:
    """Compute a tower's footprint: weights, 50 and 80 % source areas, a map, and how well it stands for the land.

    Example: ecoembed footprint AMF_US-Tw3_BASE_HH_5-5.zip --sites sites.csv --site US-Tw3 --period month --out US-Tw3

    Parameters
    ----------
    flux
        The tower's half-hourly files.
    sites
        Site table with coordinates and heights.
    site
        The tower.
    out
        Folder to write weights.nc, source_area.geojson and map.png to.
    cube
        Zarr store with the group S2_L2A, whose grid is taken; else a grid of 10 m, 2 km wide.
    description
        The TOML that describes an own flux table.
    model
        Kljun et al. (2015), or Kormann and Meixner (2001).
    period
        One footprint of all half-hours, of each calendar month, or of each overpass.
    when
        Half-hours of daytime, or all.
    """
    from ecoembed.archives.flux.reader import open_halfhours
    from ecoembed.archives.sites.reader import read_site
    from ecoembed.cubes.store import load_cube
    from ecoembed.footprints.report import write_footprint

    row = read_site(sites, site).loc[site]
    halfhours = open_halfhours(flux, site=site, description=description)
    place = None if cube is None else load_cube(cube, "S2_L2A")
    summary = write_footprint(halfhours, row, out, cube=place, model=model, period=period, when=when)
    answer(summary, as_json, *_footprint_lines(summary))


def _footprint_lines(summary: dict[str, Any]) -> list[str]:
    """The summary of a footprint in words."""
    lines = [f"{summary['site']}: {summary['method']}; {summary['inside']:.1%} of it inside the grid"]
    place = ", ".join(f"{name} {summary[name]:.5f}" for name in ("latitude", "longitude"))
    lines += [f"  {place}; half-hours of {summary['first']} to {summary['last']}"]
    lines += [f"{summary['n']:8d}  half-hours used"]
    lines += [f"{count:8d}  {reason}" for reason, count in summary["excluded"].items()]
    lines += [f"  {name}: {how}" for name, how in summary["notes"].items()]
    if "stand_in" in summary:
        lines.append(f"  {summary['stand_in']}")
    lines += _monthly_lines(summary) if "months" in summary else _area_lines(summary["source_areas"])
    for target, bias in summary.get("representativeness", {}).items():
        lines.append(
            f"  NDVI against {target}: bias {_shown(bias['mean_bias'])}, {_shown(bias['location_bias'], '.1%')} of its "
            f"mean ({bias['n']:.0f} dates)"
        )
    if "jitter" in summary:
        moved = summary["jitter"]
        facts = ", ".join(
            f"{name} {_shown(change['relative_mean'], '.1%')}" for name, change in moved["features"].items()
        )
        lines.append(f"  {moved['distance_m']:g} m off, series move by these shares of their deviation: {facts}")
    return [*lines, *(f"{name}: {path}" for name, path in summary["files"].items())]


def _area_lines(areas: list[dict[str, Any]]) -> list[str]:
    return [f"  source area of {area['share']:.0%}: {_hectares(area, area['reason'])}" for area in areas]


def _monthly_lines(summary: dict[str, Any]) -> list[str]:
    """A row for each month, and below them why a source area is not known."""
    lines = [" month  half-hours   inside    50 %, ha    80 %, ha"]
    reasons: dict[str, None] = {}
    for month in summary["months"]:
        areas = [area for area in summary["source_areas"] if area["month"] == month["month"]]
        sizes = "".join(f"{_hectares(area, '-').removesuffix(' ha'):>12}" for area in areas)
        reasons |= dict.fromkeys(area["reason"] for area in areas if area["area_m2"] is None)
        used = f"{month['n']}{'*' if month['stand_in'] else ' '}"
        lines.append(f"{month['month']:6d} {used:>12} {month['inside']:>7.1%}{sizes}")
    lines += ["  * too few: the footprint of all half-hours"] if any(m["stand_in"] for m in summary["months"]) else []
    return lines + [f"  - {reason}" for reason in reasons]


def _hectares(area: dict[str, Any], otherwise: str) -> str:
    return otherwise if area["area_m2"] is None else f"{area['area_m2'] / 1e4:.2f} ha"


def _shown(value: float | None, form: str = "+.4f") -> str:
    return "unknown" if value is None else format(value, form)
