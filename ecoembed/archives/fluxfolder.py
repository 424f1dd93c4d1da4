"""Which files of a folder hold the fluxes of which site.

A file belongs to the site that its name holds between separators (``FLX_DE-Gri_FLUXNET2015_...``), else to that which
its content names. An own table or collection is described by the TOML of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ecoembed.archives.fluxfiles import find_tables
from ecoembed.errors import EcoembedError, FileError


class SiteFiles(NamedTuple):
    """The files of one site, and the TOML that describes them."""

    paths: tuple[Path, ...]
    description: Path | None = None


def site_files(folder: Path, site: str) -> SiteFiles:
    """The files of one site: all that name it (days and half-hours may come apart), or its own, described table.

    Raises
    ------
    FileError
        None; or both a network's product and an own table.
    """
    named: list[Path] = []
    own: list[Path] = []
    for path in _files(folder):
        if site in _sites(path, {site}):
            (own if _description(path).is_file() else named).append(path)
    if len(own) > 1 or (own and named) or not own + named:
        example = f"FLX_{site}_FLUXNET2015_FULLSET_2019-2020_1-4.zip"
        raise FileError(
            "no flux file" if not own + named else "several flux files that cannot be read together",
            where=f"{site} in {folder.name}/",
            found=", ".join(path.name for path in own + named) or "none",
            expected=f"files named like {example}, or one own table beside its TOML",
        )
    return SiteFiles(tuple(named)) if named else SiteFiles((own[0],), _description(own[0]))


def foreign_files(folder: Path, sites: Collection[str]) -> list[str]:
    """Names of the files that belong to none of `sites`."""
    return [path.name for path in _files(folder) if not _sites(path, sites)]


def _files(folder: Path) -> list[Path]:
    """All visible files and stores, sorted, but the descriptions of others."""
    return sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() != ".toml")


def _description(path: Path) -> Path:
    return path.with_suffix(".toml")


def _sites(path: Path, sites: Collection[str]) -> set[str]:
    """Those of `sites` whose file it is."""
    described = _description(path).is_file()
    words = set(path.name.split(".")[0].split("_"))
    if words & set(sites) and not described:
        return words & set(sites)
    if any(len(word) == 6 and word[2] == "-" for word in words) and not described:
        return set()  # another site's
    try:
        tables = find_tables(path, _description(path) if described else None)
    except EcoembedError:
        return set()  # named as foreign; a file that names its site is opened, and then its error is told
    found = {str(table.site) for table in tables if table.site}
    return found & set(sites) if found else words & set(sites)
