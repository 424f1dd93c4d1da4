"""`ecoembed fetch`: the satellite images of a study's towers, from a public archive into satellite/SITE/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ecoembed.config import SatelliteSection, StudyConfig
from ecoembed.errors import ConfigError, EcoembedError, check_name
from ecoembed.files import progress
from ecoembed.stages import flux_table

if TYPE_CHECKING:
    import geopandas as gpd

    from ecoembed.archives.stac import Fetched, Plan

#: Days fetched before a tower's first: a causal window looks back over ten clear acquisitions.
LOOK_BACK = 120

#: Sentinel-2A's first images.
FIRST_IMAGE = date(2015, 6, 27)


def plan(
    folder: Path, sites: gpd.GeoDataFrame, config: StudyConfig, names: Sequence[str]
) -> Iterator[tuple[str, list[Plan] | EcoembedError]]:
    """Search the archives for each of these sites; nothing is downloaded.

    Yields
    ------
    (str, list of Plan or EcoembedError)
        The site, and a plan for each archive that has to be asked, or why there is none.

    Raises
    ------
    ConfigError
        A site that the study does not have; a provider that is not known, does not have the sensor or needs
        credentials; the extra ``cloud`` is not installed.
    UnreachableError
        An archive does not answer for the first site, or for two in a row: it would not for the others.
    """
    from ecoembed.archives.stac import UnreachableError, check_installed

    for name in names:
        check_name(name, [str(site) for site in sites.index], "site", where=folder / "sites.csv")
    check_installed()
    _check(config.satellite, folder / "study.toml")
    answered = False
    for name in names:
        try:
            plans = _plans(folder, name, sites, config)
        except UnreachableError as error:
            if not answered:
                raise
            answered = False
            yield name, error
        except EcoembedError as error:
            yield name, error
        else:
            answered = True
            yield name, plans


def _check(asked: SatelliteSection, where: Path) -> None:
    """Refuse what no site could be fetched with."""
    from ecoembed.archives.stac import check_access, get_provider

    for key, sensor in (("provider", "S2_L2A"), ("radar_provider", "S1")):
        try:
            check_access(get_provider(getattr(asked, key)), (sensor,))
        except ConfigError as error:
            error.where = f"{where}, satellite.{key}{f', {error.where}' if error.where else ''}"
            raise
    if asked.start and asked.end and asked.start > asked.end:
        raise ConfigError(
            "the period ends before it begins",
            where=f"{where}, satellite.start and satellite.end",
            found=f"{asked.start} to {asked.end}",
        )


def _plans(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> list[Plan]:
    from ecoembed.archives.stac import SiteGrid, plan_fetch
    from ecoembed.cubes.grid import site_grid

    asked = config.satellite
    start, end = _period(folder, site, sites, config)
    latitude, longitude = (float(sites.loc[site, axis]) for axis in ("latitude", "longitude"))
    place = SiteGrid(site, latitude, longitude, *site_grid(latitude, longitude, asked.size))
    target = folder / "satellite" / site
    return [
        plan_fetch(place, target, start, end, provider=provider, sensors=sensors)
        for provider, sensors in _archives(asked).items()
    ]


def _archives(asked: SatelliteSection) -> dict[str, tuple[str, ...]]:
    """Provider -> the sensors that are taken from it."""
    if asked.provider == asked.radar_provider:
        return {asked.provider: ("S2_L2A", "S1")}
    return {asked.provider: ("S2_L2A",), asked.radar_provider: ("S1",)}


def _period(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> tuple[date, date]:
    """The days to fetch: those of study.toml, else those of the tower and what a causal window sees before them."""
    start, end = config.satellite.start, config.satellite.end
    if start is None or end is None:
        first, last = _tower_days(folder, site, sites, config)
        start = start or max(first - timedelta(days=LOOK_BACK), FIRST_IMAGE)
        end = end or last
    if start > end:
        raise ConfigError(
            "no day to fetch",
            where=site,
            found=f"{start} to {end}",
            expected=f"a first day before the last; the first Sentinel-2 began on {FIRST_IMAGE}",
            remedy="Set satellite.start and satellite.end in study.toml, or leave the tower out",
        )
    return start, end


def _tower_days(folder: Path, site: str, sites: gpd.GeoDataFrame, config: StudyConfig) -> tuple[date, date]:
    """The first and the last day with a target; a tower that cannot be used is refused before anything is fetched."""
    from ecoembed.cubes.store import load_series

    flux_table(folder, site, sites, config)
    flux = load_series(folder / "series" / f"{site}.flux.zarr", "flux")
    days = flux[flux.attrs["target"]].dropna("time").indexes["time"]
    return days[0].date(), days[-1].date()


def download(plans: Sequence[Plan]) -> Fetched:
    """Fetch what the plans of one site miss, with a progress bar; one account of them all."""
    from ecoembed.archives.stac import Fetched, fetch

    parts = []
    for one in plans:
        with progress(len(one.missing), f"{one.place.site} {one.provider.name}") as step:
            parts.append(fetch(one, progress=step))
    return Fetched(
        written=[name for part in parts for name in part.written],
        already=[name for part in parts for name in part.already],
        failed={item: reason for part in parts for item, reason in part.failed.items()},
        bytes=sum(part.bytes for part in parts),
        seconds=sum(part.seconds for part in parts),
    )
