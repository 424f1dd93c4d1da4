"""Which files of a folder hold the fluxes of which site.

A file belongs to the site that its name holds between separators (``FLX_DE-Gri_FLUXNET2015_...``), else to that which
its content names. An own table or collection is described by the TOML of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ecoembed.archives.flux.files import find_tables
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
    lost: list[str] = []
    for path, description, sites in _found(folder, {site}):
        if isinstance(sites, EcoembedError):
            lost.append(str(sites))
        elif site in sites:
            (named if description is None else own).append(path)
    if len(own) > 1 or (own and named) or not own + named:
        example = f"FLX_{site}_FLUXNET2015_FULLSET_2019-2020_1-4.zip"
        raise FileError(
            "no flux file" if not own + named else "several flux files that cannot be read together",
            where=f"{site} in {folder.name}/",
            found=", ".join(path.name for path in own + named) or "none",
            expected=f"files named like {example}, or one own table beside its TOML",
            remedy=f"Among those that cannot be read: {' '.join(lost)}" if lost and not own + named else None,
        )
    return SiteFiles(tuple(named)) if named else SiteFiles((own[0],), own[0].with_suffix(".toml"))


def foreign_files(folder: Path, sites: Collection[str]) -> dict[str, str]:
    """Names of the files that belong to none of `sites`, and why."""
    reasons = {}
    for path, _, found in _found(folder, sites):
        if isinstance(found, EcoembedError):
            reasons[path.name] = str(found)
        elif not found & set(sites):
            reasons[path.name] = f"of {', '.join(sorted(found))}" if found else "names no site of the study"
    tables = {path.with_suffix("") for path in _files(folder)}
    lonely = [path for path in folder.glob("[!.]*.toml") if path.with_suffix("") not in tables]
    return reasons | {path.name: "a description without its table" for path in sorted(lonely)}


def _files(folder: Path) -> list[Path]:
    """All visible files and stores, sorted, but the descriptions of others."""
    return sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() != ".toml")


def _found(folder: Path, sites: Collection[str]) -> Iterator[tuple[Path, Path | None, set[str] | EcoembedError]]:
    """Each file with its description and the sites that it is of, or the error that hides them."""
    for path in _files(folder):
        description = path.with_suffix(".toml")
        words = set(path.name.split(".")[0].split("_"))
        if description.is_file():
            yield path, description, _named_within(path, description)
        elif named := {word for word in words if word in sites or (len(word) == 6 and word[2] == "-")}:
            yield path, None, named  # opened by whom it belongs to, who is told what is wrong with it
        else:
            yield path, None, _named_within(path, None)


def _named_within(path: Path, description: Path | None) -> set[str] | EcoembedError:
    try:
        return {str(table.site) for table in find_tables(path, description) if table.site}
    except EcoembedError as error:
        return error
