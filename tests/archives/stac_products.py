"""Sentinel images whose ground is known, and their files.

The ground is known: a :data:`Surface` says the reflectance (as whole ten-thousandths) of each band at each native
pixel, so that what comes out at the end can be compared exactly. A tile is a small window of a real tile's grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

Surface = Callable[[str, np.ndarray, np.ndarray], np.ndarray]
#: Reflectance x 10000 of (band, x, y), x and y the centres of native pixels in the tile's own CRS, in m.

FINE = ("B02", "B03", "B04", "B08")
COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")
BANDS = (*FINE, *COARSE)
VEGETATION, CLOUD = 4, 9


def pattern(band: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Another number at each pixel and band, 200 to 4700 of ten thousand; no two neighbours are alike."""
    return 200 + 37 * [*BANDS, "VV", "VH"].index(band) + ((x // 10) * 7 + (y // 10) * 131) % 4000


def noise(band: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Ground that no file format can compress: sizes are then those of real products."""
    return np.random.default_rng(1).integers(200, 4000, np.broadcast(x, y).shape)


@dataclass(frozen=True)
class Tile:
    """A window of an MGRS tile: `size` metres from the upper left corner at `left`, `top`."""

    name: str
    epsg: int
    left: float
    top: float
    size: float = 1280.0

    def footprint(self, west: float = -180.0, east: float = 180.0) -> Any:
        """In degrees; split at the antimeridian as RFC 7946 asks, and cut at `west` and `east`."""
        to_degrees = Transformer.from_crs(self.epsg, 4326, always_xy=True).transform
        right, low = self.left + self.size, self.top - self.size
        corners = [(self.left, self.top), (right, self.top), (right, low), (self.left, low)]
        lon, lat = to_degrees(*np.array(corners).T)
        if np.ptp(lon) > 180:
            lon = np.where(lon < 0, lon + 360, lon)
        ring = shapely.Polygon(zip(lon, lat, strict=True))
        whole = shapely.intersection(ring, shapely.box(-180, -90, 180, 90))
        beyond = shapely.transform(shapely.intersection(ring, shapely.box(180, -90, 540, 90)), lambda c: c - [360, 0])
        pieces = [p for p in (whole, beyond) if p.area > 0]
        return shapely.intersection(shapely.union_all(pieces), shapely.box(west, -90, east, 90))


@dataclass(frozen=True)
class Scene:
    """One Sentinel-2 acquisition of one tile."""

    tile: Tile
    time: datetime
    baseline: str = "03.01"
    applied: bool = False
    surface: Surface = pattern
    orbit: int = 51
    made: str = "20201004T123456"
    valid: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda x, y: np.ones(np.broadcast(x, y).shape, dtype=bool)
    west: float = -180.0
    east: float = 180.0
    sun: tuple[float, float] = (29.6, 152.9)
    view: tuple[float, float] = (7.25, 104.5)
    cloudy: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda x, y: np.zeros(np.broadcast(x, y).shape, dtype=bool)

    @property
    def offset(self) -> int:
        """What the producer has added to every number and the archive has left there."""
        return 1000 if float(self.baseline) >= 4 and not self.applied else 0

    def numbers(self, name: str) -> np.ndarray:
        step = 10 if name in FINE else 20
        x, y = centres(self.tile, step)
        if name == "SCL":
            classes = np.where(self.cloudy(x, y), CLOUD, VEGETATION)
            return np.where(self.valid(x, y), classes, 0).astype("uint8")
        values = np.round(self.surface(name, x, y)) + self.offset
        return np.where(self.valid(x, y), values, 0).astype("uint16")


def centres(tile: Tile, step: float) -> tuple[np.ndarray, np.ndarray]:
    within = (np.arange(round(tile.size / step)) + 0.5) * step
    return (tile.left + within)[None, :], (tile.top - within)[:, None]


def raster(values: np.ndarray, tile: Tile, nodata: float | None, driver: str = "COG") -> bytes:
    """A tiled file with overviews, as its bytes; ``JP2OpenJPEG`` declares no fill value, as the producer's own."""
    height, width = values.shape
    how: dict[str, Any] = {"driver": driver, "width": width, "height": height, "count": 1, "dtype": values.dtype}
    how |= {"crs": f"EPSG:{tile.epsg}", "transform": from_origin(tile.left, tile.top, *[tile.size / width] * 2)}
    cog = {"nodata": nodata, "blocksize": 512 if width > 256 else 128, "overviews": "AUTO", "compress": "DEFLATE"}
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES", "BLOCKXSIZE": 64, "BLOCKYSIZE": 64}
    with warnings.catch_warnings(), MemoryFile(ext=".tif" if driver == "COG" else ".jp2") as memory:
        warnings.simplefilter("ignore")
        with memory.open(**how, **(cog if driver == "COG" else lossless)) as file:
            file.write(values, 1)
        return bytes(memory.read())


@dataclass(frozen=True)
class Radar:
    """One slice of a Sentinel-1 pass, terrain-corrected: gamma0 in linear power, float32, -32768 where none."""

    tile: Tile
    time: datetime
    state: str = "ascending"
    orbit: int = 59
    valid: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda x, y: np.ones(np.broadcast(x, y).shape, dtype=bool)
    polarisations: tuple[str, ...] = field(default=("VV", "VH"))

    def power(self, name: str) -> np.ndarray:
        x, y = centres(self.tile, 10)
        values = pattern("VV" if name in ("VV", "HH") else "VH", x, y) / 20_000
        return np.where(self.valid(x, y), values, -32768).astype("float32")


def granule(scene: Scene) -> bytes:
    """MTD_TL.xml with the sun's mean angles and, for each of the 13 bands, those of the view."""
    views = "".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{n}"><ZENITH_ANGLE unit="deg">{scene.view[0] + (n - 6) * 0.01}'
        f'</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">{(scene.view[1] + (n - 6) * 0.2) % 360}</AZIMUTH_ANGLE>'
        "</Mean_Viewing_Incidence_Angle>"
        for n in range(13)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:General_Info>
<SENSING_TIME metadataLevel="Standard">{scene.time:%Y-%m-%dT%H:%M:%S}.024Z</SENSING_TIME></n1:General_Info>
<n1:Geometric_Info><Tile_Angles metadataLevel="Standard">
<Mean_Sun_Angle><ZENITH_ANGLE unit="deg">{scene.sun[0]}</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">{scene.sun[1]}</AZIMUTH_ANGLE></Mean_Sun_Angle>
<Mean_Viewing_Incidence_Angle_List>{views}</Mean_Viewing_Incidence_Angle_List>
</Tile_Angles></n1:Geometric_Info></n1:Level-2A_Tile_ID>""".encode()
