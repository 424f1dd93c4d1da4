"""The virtual flux network: a whole study folder from a seed, in the formats of the real files, with the truth beside.

Nothing in it is a measurement, and its site ids say so: ``XX`` is no country.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, StudyError
from ecoembed.files import atomic, track
from ecoembed.virtual import fluxtables, processing, products, tower
from ecoembed.virtual.places import VirtualPlace, streams
from ecoembed.virtual.satellites import write_satellites
from ecoembed.virtual.truth import truth, write_truth
from ecoembed.virtual.world import World, make_world

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
        Study folder; made where absent. The inputs of a virtual network in it are replaced.
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

    Notes
    -----
    Twelve sites of two years and 48 x 48 pixels take about 15 s of one core and 0.5 GB; a site at a time, so that more
    of them need more time only. Each further year needs about 60 MB (ten years of 100 x 100 pixels: 2.5 GB).

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
    _clear(folder)
    rows = []
    for number in track(range(1, sites + 1), "virtual flux network"):
        world = make_world(number, years, size, seed, prefix)
        site = world.place.site_id
        record = _write_flux(folder / "flux", world, years, streams(seed, number)["tower"])
        cloud = write_satellites(folder / "satellite" / site, world, number, seed)
        write_truth(folder / "truth" / f"{site}.nc", truth(world, record, cloud, CITATION.format(seed=seed)))
        rows.append(_site_row(world.place, seed))
    with atomic(folder / "sites.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    with atomic(folder / "study.toml") as temporary:
        temporary.write_text(STUDY_TOML.format(seed=seed), encoding="utf-8")
    return folder


def _require(sites: int, years: tuple[int, int], size: int, seed: int, prefix: str) -> None:
    span = isinstance(years, tuple | list) and len(years) == 2 and all(map(_whole, years))
    checks = (
        (_whole(sites) and sites >= 1, "sites", sites, "a whole number, at least 1"),
        (span and 1950 <= years[0] <= years[1] <= 2100, "years", years, "(first, last) within 1950-2100"),
        (_whole(size) and size >= 16 and size % 2 == 0, "size", size, "an even number of 10 m pixels, at least 16"),
        (_whole(seed) and seed >= 0, "seed", seed, "a whole number, 0 or more"),
        (bool(re.fullmatch(r"[A-Z]{1,3}", str(prefix))), "prefix", prefix, "one to three capital letters"),
    )
    for passed, name, found, expected in checks:
        if not passed:
            raise ConfigError(f"impossible {name}", where="write_network", found=found, expected=expected)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


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


def _clear(folder: Path) -> None:
    """Remove the inputs of an older network: the table first, so that no killed run leaves it beside other towers'.

    Only what is named after virtual sites: other files are somebody's.
    """
    for name in ("study.toml", "sites.csv"):
        (folder / name).unlink(missing_ok=True)
    for pattern in ("flux/FLX_XX-*.zip", "satellite/XX-*/*.nc", "truth/XX-*.nc"):
        for path in folder.glob(pattern):
            path.unlink()


def _site_row(place: VirtualPlace, seed: int) -> dict[str, object]:
    """One row of sites.csv."""
    names = ("site_id", "latitude", "longitude", "elevation", "igbp")
    row = {name: getattr(place, name) for name in (*names, "canopy_height", "measurement_height", "utc_offset")}
    row = {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
    return {**row, "licence": LICENCE, "citation": CITATION.format(seed=seed)}


def _write_flux(folder: Path, world: World, years: tuple[int, int], rng: np.random.Generator) -> tower.Record:
    """Record, process and write the tower's fluxes; return the record."""
    place, weather = world.place, world.halfhours
    record = tower.record(place, weather, world.tower_reco - world.tower_gpp, rng)
    versions = processing.versions(place, record, weather, rng)
    tables = {
        "DD": fluxtables.daily_table(place, record, versions, weather, world.daily),
        "HH": fluxtables.half_hourly_table(place, record, versions, weather),
    }
    products.write_fluxnet(folder, place.site_id, years, tables)
    return record
