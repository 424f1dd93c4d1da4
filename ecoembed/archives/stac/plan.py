"""What of an archive a site needs and does not have yet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ecoembed.archives.stac import manifest
from ecoembed.archives.stac.catalogue import search
from ecoembed.archives.stac.estimate import bytes_of, readable, seconds_of
from ecoembed.archives.stac.place import SiteGrid
from ecoembed.archives.stac.providers import Collection, Provider, collection_of, get_provider
from ecoembed.archives.stac.scenes import Scene, needed, scenes
from ecoembed.archives.stac.transport import Patience
from ecoembed.errors import ArchiveError, ConfigError
from ecoembed.sensors import get_sensor

#: Files read at once, unless told otherwise.
WORKERS = 4


@dataclass(frozen=True)
class Plan:
    """What :func:`~ecoembed.archives.stac.fetch` will do.

    Attributes
    ----------
    place : SiteGrid
    provider : Provider
    folder : Path
        Where the files go.
    period : (date, date)
        Both days included.
    items : list of Scene
        All images that are needed, by sensor and time.
    missing : list of Scene
        Those that are not in the folder yet, or have changed there since they were fetched (`changed`).
    skipped : dict of str to int
        What the catalogue gave and the site does not need, by reason.
    bytes : int
        What will be read for the missing ones, at most: an estimate (:mod:`ecoembed.archives.stac.estimate`).
    """

    place: SiteGrid
    provider: Provider
    folder: Path
    period: tuple[date, date]
    items: list[Scene]
    missing: list[Scene]
    changed: list[str]
    skipped: dict[str, int]
    bytes: int

    def seconds(self, workers: int = WORKERS) -> float:
        """How long it may take: an estimate at stated rates."""
        files = sum(len(self.provider.collections[scene.sensor].assets) + 1 for scene in self.missing)
        return seconds_of(files, self.bytes, workers)

    def summary(self) -> str:
        """What is there, what is fetched, what is left out and why: a few lines for a person."""
        counts = Counter(scene.sensor for scene in self.items)
        images = ", ".join(f"{n} of {sensor}" for sensor, n in counts.items())
        lines = [
            f"{self.place.site}: {images} from {self.provider.title}, {self.period[0]} to {self.period[1]}",
            f"  {len(self.items) - len(self.missing)} here already, {len(self.missing)} to fetch",
        ]
        if self.missing:
            minutes = self.seconds() / 60
            lines[1] += f": at most {readable(self.bytes)}, about {max(minutes, 0.1):.1f} min (estimates)"
        if self.changed:
            lines.append(f"  {len(self.changed)} changed since they were fetched, and are fetched again")
        if self.skipped:
            reasons = "; ".join(f"{n} {reason}" for reason, n in sorted(self.skipped.items()))
            lines.append(f"  left out of the catalogue's answer: {reasons}")
        return "\n".join(lines)


def plan_fetch(
    place: SiteGrid,
    folder: str | Path,
    start: date,
    end: date,
    *,
    provider: str | Provider = "planetary-computer",
    sensors: Sequence[str] = ("S2_L2A", "S1"),
    retries: int = 4,
) -> Plan:
    """Search an archive for what a site needs; nothing is downloaded.

    Parameters
    ----------
    place : SiteGrid
        The site and its grid.
    folder : path
        ``satellite/SITE``; what it holds already is not fetched again.
    start, end : date
        Both included, in UTC.
    provider : str or Provider
        A name of ``PROVIDERS``, the address of a STAC API, or one described by hand.
    sensors : sequence of str
    retries : int
        How often a request that failed is repeated.

    Raises
    ------
    ConfigError
        The extra ``cloud`` is not installed; unknown provider or sensor; a sensor that the provider does not have;
        absent credentials; end before start; a folder that holds another provider's images.
    ArchiveError
        The catalogue does not answer, or has nothing of this place and period.
    GridError
        The folder holds images of another window.
    """
    archive = provider if isinstance(provider, Provider) else get_provider(provider)
    check_installed()
    check_access(archive, sensors)
    folder, patience = Path(folder), Patience(retries)
    if start > end:
        raise ConfigError("the period ends before it begins", where=place.site, found=f"{start} to {end}")
    collections = {get_sensor(name).name: collection_of(archive, name) for name in sensors}
    held = manifest.read(folder, place)
    for sensor in collections:
        manifest.check_provider(held, archive.name, sensor, folder)
    items: list[Scene] = []
    skipped: Counter[str] = Counter()
    for sensor, collection in collections.items():
        found, left_out = _search(archive, sensor, collection, place, (start, end), patience)
        items += found
        skipped += left_out
    files, changed = manifest.present(folder, place, {scene.file for scene in items})
    missing = [scene for scene in items if scene.file not in files]
    read = sum(bytes_of(scene, place, collections[scene.sensor]) for scene in missing)
    return Plan(place, archive, folder, (start, end), items, missing, changed, dict(skipped), read)


def _search(
    provider: Provider,
    sensor: str,
    collection: Collection,
    place: SiteGrid,
    period: tuple[date, date],
    patience: Patience,
) -> tuple[list[Scene], Counter[str]]:
    items, skipped = search(provider, collection, place.boxes(), period, patience)
    found, elsewhere = scenes(items, sensor, collection, place)
    skipped += elsewhere
    if not found:
        west, south, east, north = (round(edge, 4) for edge in place.boxes()[0])
        reasons = "; ".join(f"{n} {reason}" for reason, n in sorted(skipped.items()))
        raise ArchiveError(
            f"the archive has no {get_sensor(sensor).title} of this place and period",
            where=f"{place.site} ({place.latitude}, {place.longitude})",
            found=f"{provider.name}, {' or '.join(collection.names)}: {reasons or 'no item'}",
            expected=f"images over {west}..{east} E, {south}..{north} N from {period[0]} to {period[1]}",
            remedy="Check the coordinates (no images are made of the open sea) and the period (Sentinel-1 since October"
            " 2014, Sentinel-2 since June 2015, over most places L2A since 2017), or ask another provider",
        )
    kept, doubled = needed(found, place)
    return kept, skipped + doubled


def check_installed() -> None:
    """Raise ConfigError where the extra ``cloud`` is not installed."""
    try:
        import odc.stac  # noqa: F401
        import planetary_computer  # noqa: F401
        import pystac_client  # noqa: F401
    except ImportError as exc:
        raise ConfigError(
            "what fetching needs is not installed",
            found=f"no {exc.name}",
            remedy="Install it: pip install 'ecoembed[cloud]'",
        ) from None


def check_access(provider: Provider, sensors: Sequence[str]) -> None:
    """Whether an archive can be asked for these sensors; nothing is asked yet.

    Raises
    ------
    ConfigError
        It does not have a sensor; its credentials are absent.
    """
    for name in sensors:
        collection_of(provider, get_sensor(name).name)
    absent = [name for name in provider.credentials if not os.environ.get(name)]
    if absent:
        raise ConfigError(
            "credentials are absent",
            where=provider.name,
            expected=f"{' and '.join(absent)} in the environment",
            remedy=f"Create S3 keys in your account of the {provider.title} and export them, or use another provider",
        )
