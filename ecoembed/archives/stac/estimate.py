"""How much will be read, and how long it may take, before anything is.

Of a tiled file (COG, JPEG 2000) whole inner tiles are read. Their number follows from the window and the file's grid,
where the catalogue states it; their side is assumed by provider (``Collection.block``). Bytes count them uncompressed:
an upper bound, often twice what travels. The rates are assumptions too, for one site on a usual connection.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ecoembed.archives.stac.place import SiteGrid
from ecoembed.archives.stac.providers import Collection
from ecoembed.archives.stac.scenes import Scene
from ecoembed.sensors import get_sensor

#: What is read of a file beside its tiles, in bytes; seconds to open and read one file; bytes a second in all.
HEADER = 32_768
SECONDS_A_FILE = 0.8
BYTES_A_SECOND = 8e6


def bytes_of(scene: Scene, place: SiteGrid, collection: Collection) -> int:
    """Bytes that will be read of a scene, at most."""
    native = {band.name: band.resolution_m for band in get_sensor(scene.sensor).bands}
    total = 0
    for name, keys in collection.assets.items():
        side = collection.block * native.get(name, 20.0)
        size = 1 if name not in native else np.dtype(collection.dtype).itemsize
        origin = _origin(scene, keys)
        tiles = _tiles(place.bounds, side, origin if scene.epsg == place.epsg else None)
        total += math.ceil(tiles * collection.block**2 * size) + HEADER
    return total


def seconds_of(files: int, read: int, workers: int) -> float:
    """Seconds that reading `files` files and `read` bytes may take with `workers` at once."""
    return files * SECONDS_A_FILE / workers + read / BYTES_A_SECOND


def _tiles(bounds: tuple[float, float, float, float], side: float, origin: tuple[float, float] | None) -> float:
    """Inner tiles of `side` metres under the window: exact if the upper left corner is known, else the expectation."""
    left, bottom, right, top = bounds
    if origin is None:
        return ((right - left) / side + 1) * ((top - bottom) / side + 1)
    across = math.ceil((right - origin[0]) / side) - math.floor((left - origin[0]) / side)
    down = math.ceil((origin[1] - bottom) / side) - math.floor((origin[1] - top) / side)
    return float(across * down)


def _origin(scene: Scene, keys: tuple[str, ...]) -> tuple[float, float] | None:
    asset = next((scene.item.assets[key] for key in keys if key in scene.item.assets), None)
    said: Any = (asset.extra_fields.get("proj:transform") if asset else None) or scene.item.properties.get(
        "proj:transform"
    )
    try:
        return float(said[2]), float(said[5])
    except (TypeError, ValueError, IndexError):
        return None


def readable(amount: float) -> str:
    """Bytes as people write them.

    Examples
    --------
    >>> readable(1_234_000), readable(2.5e9)
    ('1.2 MB', '2.5 GB')
    """
    unit = next((unit for unit in ((1e9, "GB"), (1e6, "MB")) if amount >= unit[0]), (1e3, "kB"))
    return f"{amount / unit[0]:.1f} {unit[1]}"
