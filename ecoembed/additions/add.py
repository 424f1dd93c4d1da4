"""Take a tower's files into a study: read first, written last, and taken back where a write fails."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoembed.additions.copies import checked_file, copy_file, list_copies, other_files, refuse_strange, site_id
from ecoembed.additions.missing import missing, what_is_missing
from ecoembed.additions.rows import as_told, site_row
from ecoembed.additions.texts import with_own
from ecoembed.archives.flux.files import find_tables
from ecoembed.archives.flux.folder import site_files
from ecoembed.archives.flux.reader import open_flux, open_halfhours
from ecoembed.archives.sites.tables import read_tables
from ecoembed.config import StudyConfig, read_config
from ecoembed.errors import ResolutionError, TableError, VariableError
from ecoembed.fetching import FIRST_IMAGE
from ecoembed.files import atomic
from ecoembed.gpp.rows import describe_rows

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Added", "add_site"]


@dataclass(frozen=True)
class Added:
    """What was added.

    Attributes
    ----------
    site : str
    own : bool
        It is in ``[study] own``.
    copied : list of str
        Files that were copied into ``flux/``; empty where they were there already.
    flux : xarray.Dataset
        Its `FluxTable`, as the study reads it.
    origin : pandas.DataFrame
        Where each value of its row comes from, as :class:`ecoembed.archives.sites.reader.SiteRecords` says it.
    missing : list of dict
        ``what``, ``costs``, ``remedy``.
    next_step : str
        The command that comes next.
    """

    site: str
    own: bool
    copied: list[str]
    flux: xr.Dataset
    origin: pd.DataFrame
    missing: list[dict[str, str]]
    next_step: str


def add_site(
    study: str | Path,
    flux: Sequence[str | Path],
    *,
    site: str | None = None,
    own: bool = True,
    description: str | Path | None = None,
    known: Mapping[str, str | float] | None = None,
) -> Added:
    """Add a tower to a study: its files to flux/, its row to sites.csv, its name to ``[study] own`` in study.toml.

    What the files, the tables in sites/ and the row of sites.csv know is not asked for. Adding a site again changes
    nothing.

    Parameters
    ----------
    study : path
    flux : sequence of path
        All files of the site, as :func:`ecoembed.open_flux` reads them; they are copied.
    site : str, optional
        Its ID, where the files do not hold it, or hold several.
    own : bool, default True
        Report on it. The others are there to learn from.
    description : path, optional
        The TOML that describes an own table; it is copied beside it.
    known : mapping, optional
        Column of the site table -> value, for `OPTIONS`. As text a coordinate keeps all its decimals.

    Raises
    ------
    FileError
        A file is absent or damaged, or the study cannot be written; another file of the site is there.
    ProductError, VariableError
        The files hold no fluxes, not the study's target, or are of another site.
    TableError
        No coordinates or UTC offset, an impossible value, one that contradicts sites.csv, or no day with a target.
    ConfigError
        study.toml or the description is wrong.

    Notes
    -----
    The study is as it was after every error. Killed in between it holds whole files, and the same call completes it.
    """
    folder = Path(study)
    folder = folder.parent if folder.name == "study.toml" else folder
    config = read_config(folder / "study.toml")
    paths = [checked_file(Path(one)) for one in flux]
    described = None if description is None else checked_file(Path(description))
    told = {name: as_told(name, value) for name, value in (known or {}).items()}
    tables = find_tables(paths, described)
    refuse_strange(tables)
    name = site_id(tables, site)
    together = [*other_files(folder / "flux", name, tables, paths), *paths]
    copies = list_copies(folder / "flux", name, paths, described)
    halfhours, disc = _half_hours(together, name, described)
    records, table = site_row(folder, name, told, together, tables, halfhours)
    row = records.sites.loc[name]
    fluxes = _fluxes(config, name, together, described, row)
    if halfhours is not None and "sun" not in fluxes.attrs:  # the days are those of a daily table
        _check_clock(halfhours, row)
    if config.footprint.model == "disc":
        disc = None  # as it was asked for
    elif halfhours is not None:
        disc = _disc(halfhours, row)
    lacks = what_is_missing(row, fluxes, disc, config.footprint.radius) + _not_yet(folder, name, fluxes)
    toml = with_own(folder / "study.toml", name) if own else (folder / "study.toml").read_bytes().decode()
    with ExitStack() as undo:
        for source, target in copies:
            undo.callback(target.unlink, missing_ok=True)
            copy_file(source, target)
        site_files(folder / "flux", name)  # what a run will look for is found
        _replace(folder / "sites.csv", table, undo)
        _replace(folder / "study.toml", toml, undo)
        undo.pop_all()
    fetch = [one["remedy"] for one in lacks if one["remedy"].startswith("ecoembed fetch")]
    step = fetch[0] if fetch else f"ecoembed run {shlex.quote(str(folder))}"
    own = name in read_config(folder / "study.toml").study.own
    return Added(name, own, [to.name for _, to in copies], fluxes, records.origin, lacks, step)


def _replace(path: Path, text: str, undo: ExitStack) -> None:
    """Write `text`, and what stood there back if a later step fails."""
    before = path.read_bytes()
    if before == text.encode():
        return

    def write(content: bytes) -> None:
        with atomic(path) as temporary:
            temporary.write_bytes(content)

    write(text.encode())
    undo.callback(write, before)


def _half_hours(paths: Sequence[Path], site: str, description: Path | None) -> tuple[xr.Dataset | None, str | None]:
    """What a footprint needs, or why there is none."""
    try:
        return open_halfhours(paths, site=site, description=description), None
    except (ResolutionError, VariableError) as reason:
        return None, reason.what


def _check_clock(halfhours: xr.Dataset, row: pd.Series) -> None:
    """Warn where the sun tells another UTC offset than the site table."""
    from ecoembed.archives.flux.sun import check_clock
    from ecoembed.footprints.turbulence import step_minutes

    if "SW_IN" in halfhours:
        light = halfhours["SW_IN"].to_series()
        check_clock(light, step_minutes(halfhours), str(row.name), float(row["longitude"]), float(row["utc_offset"]))


def _disc(halfhours: xr.Dataset, row: pd.Series) -> str | None:
    """Why these half-hours and this row give no footprint, if they do not."""
    from ecoembed.footprints.turbulence import turbulence

    try:
        turbulence(halfhours, row, north=0.0)
    except VariableError as reason:
        return reason.what
    return None


def _fluxes(
    config: StudyConfig, site: str, paths: Sequence[Path], description: Path | None, row: pd.Series
) -> xr.Dataset:
    """The days as the study will read them."""
    asked = config.flux
    place = {name: float(row[name]) for name in ("latitude", "longitude", "utc_offset") if math.isfinite(row[name])}
    try:
        flux = open_flux(
            paths, asked.target, asked.min_qc, agreement=asked.agreement, site=site, description=description,
            **place,  # type: ignore[arg-type]
        )  # fmt: skip
    except VariableError as exc:
        if str(exc.remedy).startswith("The closest targets"):
            exc.remedy = f"{exc.remedy}. Name one of them in study.toml: [flux] target = [..., ...]"
        raise
    if not flux.attrs["rows"]["out"]:
        remedy = "Another flux.target or a smaller flux.min_qc in study.toml may keep some"
        raise TableError(
            f"no day of {flux.attrs['target']} is left", where=site,
            found=describe_rows(flux.attrs["rows"], "days"), remedy=remedy,
        )  # fmt: skip
    return flux


def _not_yet(folder: Path, site: str, flux: xr.Dataset) -> list[dict[str, str]]:
    """What a run of the study will lack."""
    found = []
    days = flux[flux.attrs["target"]].dropna("time").indexes["time"]
    where = shlex.quote(str(folder))
    if days[-1].date() < FIRST_IMAGE:
        text = f"a day since the first Sentinel-2 image of {FIRST_IMAGE}: the last with a target is {days[-1].date()}"
        found.append(missing(text, "a run leaves the site out", "a file of later years"))
    elif not _has_images(folder, site):
        remedy = f"ecoembed fetch {where} --sites {site}"
        found.append(missing("satellite images", "a run leaves the site out, and goes on with the others", remedy))
    if all(site in cells for _, cells in read_tables(folder / "sites.csv", "sites.csv")[0].rows):
        remedy = f"ecoembed add-site {where} FILE --no-own for each of them (README.md)"
        found.append(missing("other towers", "there is nothing to learn from: a run needs two sites at least", remedy))
    return found


def _has_images(folder: Path, site: str) -> bool:
    return any((folder / "satellite" / site).glob("[!.]*")) or (folder / "cubes" / f"{site}.zarr").is_dir()
