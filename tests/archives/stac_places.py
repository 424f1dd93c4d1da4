"""Places to fetch for, archives that stand on this machine, and what a fetched cube must then hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
from pyproj import Transformer

from ecoembed.archives.stac import PROVIDERS, Fetched, Plan, Provider, SiteGrid, fetch, plan_fetch
from tests.archives import stac_archives as archives
from tests.archives import stac_products as products
from tests.archives.stac_server import StacServer

LAYOUTS: dict[str, Callable[..., tuple[archives.Json, dict[str, bytes]]]] = {
    "planetary-computer": archives.planetary_computer,
    "earth-search": archives.earth_search,
    "copernicus": archives.copernicus,
}
YEAR = (date(2019, 1, 1), date(2019, 12, 31))


def place(latitude: float, longitude: float, epsg: int, *, size: int = 24, site: str = "XX-Tst") -> SiteGrid:
    """`size` x `size` pixels of 10 m about a tower, edges on multiples of 20 m."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    left, top = (round((value + sign * size * 5) / 20) * 20 for value, sign in ((x, -1), (y, 1)))
    within = (np.arange(size) + 0.5) * 10
    return SiteGrid(site, latitude, longitude, epsg, left + within, top - within)


#: A French field in the strip that the tiles 31UDS and 31UES of one pass share.
FIELD = place(49.8721, 3.0207, 32631)


def tile_of(where: SiteGrid, name: str = "31UDS", *, east: float = 0.0, north: float = 0.0, size: float = 1280) -> (
    products.Tile
):  # fmt: skip
    """A tile whose middle lies `east` and `north` metres of the place, its corner on multiples of 20 m."""
    left = np.floor((where.x.mean() + east - size / 2) / 20) * 20
    top = np.floor((where.y.mean() + north + size / 2) / 20) * 20
    return products.Tile(name, where.epsg, float(left), float(top), size)


def provider(name: str, server: StacServer) -> Provider:
    """The entry of the table, its asset names and rules with it, at another address and without signing."""
    entry = PROVIDERS[name]
    storage = {"AWS_S3_ENDPOINT": server.url.removeprefix("http://"), "AWS_HTTPS": "NO"} if entry.gdal else {}
    return dataclasses.replace(entry, url=server.url, signing=None, gdal={**entry.gdal, **storage})


def scene(day: int, tile: products.Tile, *, month: int = 7, **details: object) -> products.Scene:
    return products.Scene(tile, datetime(2019, month, day, 10, 56, 21), **details)  # type: ignore[arg-type]


def run(
    where: SiteGrid,
    folder: Path,
    archive: Provider,
    sensors: Sequence[str] = ("S2_L2A",),
    period: tuple[date, date] = YEAR,
    **how: int,
) -> tuple[Plan, Fetched]:
    plan = plan_fetch(where, folder, *period, provider=archive, sensors=tuple(sensors))
    return plan, fetch(plan, **how)


def delivered(scene: products.Scene | products.Radar, band: str, where: SiteGrid) -> np.ndarray:
    """The numbers of the file in the pixels of the place; in those beyond it, its fill value."""
    radar = isinstance(scene, products.Radar)
    values = scene.power(band) if radar else scene.numbers(band)
    step = scene.tile.size / values.shape[0]
    column = np.floor((where.x - scene.tile.left) / step).astype(int)
    row = np.floor((scene.tile.top - where.y) / step).astype(int)
    inside = ((row >= 0) & (row < len(values)))[:, None] & ((column >= 0) & (column < len(values)))[None, :]
    taken = values[np.clip(row, 0, len(values) - 1)][:, np.clip(column, 0, len(values) - 1)]
    return np.where(inside, taken, -32768 if radar else 0).astype(values.dtype)


def reflectance(scene: products.Scene, band: str, where: SiteGrid) -> np.ndarray:
    """What the ground reflects there, missing where the file has nothing."""
    numbers = delivered(scene, band, where).astype("float64")
    return np.where(numbers > 0, (numbers - scene.offset) / 10_000, np.nan)
