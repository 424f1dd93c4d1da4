"""Commands that start a study, and add towers to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ecoembed.cli.app import Json, answer, app

if TYPE_CHECKING:
    from ecoembed.additions import Added

#: A number as it was typed: a coordinate keeps its decimals, and the minus of a western one is no option's.
Typed = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@app.command
def new(study: Path, /, *, as_json: Json = False) -> None:
    """Start a study: a commented study.toml, sites.csv, folders for the files, and a README that says what goes where.

    Example: ecoembed new my-study

    Parameters
    ----------
    study
        A folder that is new or empty.
    """
    from ecoembed.additions import new_study

    folder = new_study(study)
    files = sorted(path.name for path in folder.iterdir())
    answer(
        {"study": folder, "files": files}, as_json,
        f"{folder}: {', '.join(files)}",
        f"Next: {folder / 'README.md'} says what goes where; ecoembed add-site adds a tower",
    )  # fmt: skip


@app.command
def add_site(
    study: Path,
    flux: list[Path],
    /,
    *,
    site: str | None = None,
    lat: Typed = None,
    lon: Typed = None,
    elevation: Typed = None,
    igbp: str | None = None,
    zm: Typed = None,
    canopy_height: Typed = None,
    utc_offset: Typed = None,
    description: Path | None = None,
    own: bool = True,
    as_json: Json = False,
) -> None:
    """Add a tower to a study: its files, its row of the site table, its name among your own sites.

    What the files' names, the BADM tables inside them, the tables in STUDY/sites/ and sites.csv know need not be told.
    What is missing is listed, with what it costs. Adding the same again changes nothing.

    Example: ecoembed add-site my-study FLX_DE-Gri_FLUXNET2015_FULLSET_2017-2020_1-4.zip --lat 50.95004 --lon 13.51259

    Parameters
    ----------
    study
        Its folder.
    flux
        All files of the site, as downloaded: FLUXNET2015/ONEFlux, AmeriFlux BASE, raw half-hours, or an own table.
    site
        Site ID, where the file does not hold it, or holds several.
    lat
        Latitude, degrees (WGS 84), with five decimals.
    lon
        Longitude, degrees east.
    elevation
        m above sea level.
    igbp
        Vegetation type, such as GRA.
    zm
        Measurement height, m above ground.
    canopy_height
        m.
    utc_offset
        Local standard time minus UTC, h.
    description
        The TOML that describes an own table.
    own
        Report on the site; --no-own for a tower that models shall only learn from.
    """
    from ecoembed.additions import add_site as add

    told = {
        "latitude": lat, "longitude": lon, "elevation": elevation, "igbp": igbp, "measurement_height": zm,
        "canopy_height": canopy_height, "utc_offset": utc_offset,
    }  # fmt: skip
    known = {name: value for name, value in told.items() if value is not None}
    added = add(study, flux, site=site, own=own, description=description, known=known)
    value, lines = _told(added, study)
    answer(value, as_json, *lines)


def _told(added: Added, study: Path) -> tuple[dict[str, Any], list[str]]:
    """What was added, for a program and for a person."""
    from ecoembed.gpp.rows import describe_rows

    about, rows = added.flux.attrs, added.flux.attrs["rows"]
    days = added.flux[about["target"]].dropna("time").indexes["time"]
    origin = added.origin[["column", "value", "source", "variable"]].to_dict("records")
    value = {
        "site": added.site,
        "own": added.own,
        "copied": added.copied,
        **{name: about[name] for name in ("target", "product", "rows")},
        "first": str(days[0].date()),
        "last": str(days[-1].date()),
        "known": origin,
        "missing": added.missing,
        "next": added.next_step,
    }
    lines = [
        f"{added.site} is in {study}, {'as your own site' if added.own else 'to learn from'}; "
        + (f"copied into flux/: {', '.join(added.copied)}" if added.copied else "its files were there already"),
        f"{value['target']} ({value['product']}), {value['first']} to {value['last']}: {describe_rows(rows, 'days')}",
        *(f"  {one['column']:19s} {one['value']!s:11.60s} {one['source']}, {one['variable']}" for one in origin),
        *(f"MISSING {one['what']}. Costs: {one['costs']}. Remedy: {one['remedy']}." for one in added.missing),
        f"Next: {added.next_step}",
    ]
    return value, lines
