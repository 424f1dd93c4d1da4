"""One image of a catalogue as a site needs it: its pass, its share of the window, its metadata; and which are needed.

A pass is delivered in tiles that overlap. Of the tiles of one pass a site needs those that together show its window:
first those of its own UTM zone and of the newest processing, then only what adds to them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ecoembed.archives.stac.place import RESOLUTION, SiteGrid
from ecoembed.archives.stac.providers import Collection

if TYPE_CHECKING:
    import pystac
    from shapely.geometry.base import BaseGeometry

#: A longer gap begins another pass: tiles of one are seconds to minutes apart, a satellite returns after 100 minutes.
PASS = timedelta(minutes=10)

_ELSEWHERE = "beside the window"


@dataclass(frozen=True)
class Scene:
    """One item: what it shows of the window (`footprint`, in the site's CRS) and what the catalogue says of it."""

    sensor: str
    item: pystac.Item
    footprint: BaseGeometry

    @property
    def id(self) -> str:
        return str(self.item.id)

    @property
    def time(self) -> datetime:
        """In UTC."""
        taken = self.item.datetime
        if taken is None:  # the search leaves such items out
            raise ValueError(f"{self.id} has no date")
        return taken

    @cached_property
    def file(self) -> str:
        """Name of its file: sensor, time in UTC, and the item's id, in characters that every file system has."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", self.id)[:120]
        if plain != self.id:
            plain = f"{plain[:100]}_{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"
        return f"{self.sensor}_{self.time:%Y%m%dT%H%M%S}_{plain}.nc"

    @property
    def epsg(self) -> int | None:
        """CRS of its images, if the catalogue says so."""
        for said in (self.item.properties, *(asset.extra_fields for asset in self.item.assets.values())):
            code = str(said.get("proj:code") or said.get("proj:epsg") or "").removeprefix("EPSG:")
            if code.isdigit():
                return int(code)
        return None

    @property
    def baseline(self) -> str | None:
        """Processing baseline, ``"05.10"``: as the item says, or as the product's name does."""
        said = self.item.properties.get("s2:processing_baseline", self.item.properties.get("processing:version"))
        if said is not None:
            return str(said)
        named = re.search(r"_N(\d\d)(\d\d)_", self._name)
        return f"{named[1]}.{named[2]}" if named and self.sensor == "S2_L2A" else None

    @property
    def orbit(self) -> str | None:
        """``A044``: ascending, relative orbit 44; ``D`` where the number is unknown. Sentinel-2 descends by day."""
        state = str(self.item.properties.get("sat:orbit_state") or ("d" if self.sensor == "S2_L2A" else ""))
        named = re.search(r"_R(\d{3})_", self._name)
        number = self.item.properties.get("sat:relative_orbit", named[1] if named else None)
        if not state:
            return None
        return state[0].upper() + (f"{int(number):03d}" if number is not None else "")

    @property
    def _name(self) -> str:
        return f"_{self.item.properties.get('s2:product_uri', '')}_{self.id}_"


def scenes(
    items: Iterable[pystac.Item], sensor: str, collection: Collection, place: SiteGrid
) -> tuple[list[Scene], Counter[str]]:
    """The items that show some of the window in all bands, by time; and the others, counted by reason."""
    found, skipped = [], Counter[str]()
    for item in items:
        said = item.properties.get("sar:polarizations")
        if isinstance(said, list) and not set(collection.assets) <= {str(one).upper() for one in said}:
            skipped[f"polarisation {'+'.join(map(str, said))}, not {'+'.join(collection.assets)}"] += 1
            continue
        footprint = _footprint(item, place)
        if footprint is None:
            skipped["a footprint that cannot be read"] += 1
        elif footprint.area < RESOLUTION**2:
            skipped[_ELSEWHERE] += 1
        else:
            found.append(Scene(sensor, item, footprint))
    return sorted(found, key=lambda scene: (scene.time, scene.id)), skipped


def needed(found: list[Scene], place: SiteGrid) -> tuple[list[Scene], Counter[str]]:
    """The scenes without which some of the window would not be seen in some pass; and the others, counted by reason."""
    kept: list[Scene] = []
    skipped: Counter[str] = Counter()
    for tiles in _passes(found):
        tiles = sorted(tiles, key=lambda s: (s.epsg != place.epsg, -_version(s), -s.footprint.area, s.id))
        seen = tiles[0].footprint
        kept.append(tiles[0])
        for scene in tiles[1:]:
            if scene.footprint.difference(seen).area < RESOLUTION**2:
                skipped["other tiles of the same pass show the same"] += 1
            else:
                kept.append(scene)
                seen = seen.union(scene.footprint)
    return sorted(kept, key=lambda scene: (scene.time, scene.id)), skipped


def _passes(found: list[Scene]) -> Iterator[list[Scene]]:
    """Scenes of one satellite without a gap of `PASS`."""
    by_satellite: dict[Any, list[Scene]] = {}
    for scene in found:
        by_satellite.setdefault(str(scene.item.properties.get("platform", "")).lower(), []).append(scene)
    for group in by_satellite.values():
        current = group[:1]
        for scene in group[1:]:
            if scene.time - current[-1].time > PASS:
                yield current
                current = []
            current.append(scene)
        yield current


def _version(scene: Scene) -> float:
    try:
        return float(scene.baseline or 0.0)
    except ValueError:
        return 0.0


def _footprint(item: pystac.Item, place: SiteGrid) -> BaseGeometry | None:
    """What the item shows of the window, in the site's CRS, where the antimeridian is no edge; None if unreadable."""
    import shapely
    from pyproj import Transformer
    from shapely.geometry import box, shape

    window = box(*place.bounds)
    if item.geometry is None and item.bbox is None:
        return window
    transform = Transformer.from_crs("EPSG:4326", place.epsg, always_xy=True).transform
    try:
        outline = shape(item.geometry) if item.geometry is not None else box(*_flat(item.bbox))
        ground = shapely.transform(outline, lambda lon, lat: transform(lon, lat), interleaved=False)
        return shapely.make_valid(ground).intersection(window)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError):
        return None


def _flat(bbox: Any) -> tuple[float, float, float, float]:
    """West, south, east, north of a box of two or three dimensions; one across the antimeridian runs on beyond 180."""
    half = len(bbox) // 2
    west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
    return west, south, east + 360 if east < west else east, north
