"""Where the virtual towers stand: one `VirtualPlace` for each number, the same whatever the size of the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecoembed.cubes.grid import site_grid

#: Seed streams of one place. A process that is widened draws from its own stream and leaves the others as they were.
STREAMS = ("place", "weather", "landscape", "tower", "sky", "radar")

#: Land cover of the tower's field, in the order of the sites: the first eight hold all eight types.
_SEQUENCE = ("DBF", "CRO", "ENF", "GRA", "EBF", "MF", "SAV", "WET", "CRO", "SAV", "GRA", "ENF")

#: IGBP type -> (northern latitudes, canopy height m, measurement height above the canopy m).
_SETTING: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "DBF": ((40.0, 56.0), (12.0, 18.0), (4.0, 7.0)),
    "ENF": ((44.0, 61.0), (10.0, 16.0), (4.0, 7.0)),
    "MF": ((44.0, 58.0), (11.0, 17.0), (4.0, 7.0)),
    "EBF": ((36.0, 43.0), (6.0, 11.0), (3.0, 6.0)),
    "SAV": ((36.0, 39.0), (4.0, 7.0), (3.0, 6.0)),
    "GRA": ((40.0, 57.0), (0.2, 0.5), (2.0, 3.0)),
    "CRO": ((40.0, 57.0), (0.6, 1.2), (2.5, 4.0)),
    "WET": ((46.0, 61.0), (0.3, 0.8), (2.0, 3.5)),
}


@dataclass(frozen=True)
class VirtualPlace:
    """One virtual tower.

    Attributes
    ----------
    site_id : str
        ``XX-`` (a country code that ISO 3166 leaves to users), a prefix and a number.
    latitude, longitude : float
        Degrees, of the tower.
    elevation, canopy_height, measurement_height : float
        m.
    utc_offset : float
        h, of local standard time.
    wind_from : float
        Centre of the prevailing wind sector, degrees from north.
    """

    site_id: str
    igbp: str
    latitude: float
    longitude: float
    elevation: float
    canopy_height: float
    measurement_height: float
    utc_offset: float
    wind_from: float

    @cached_property
    def epsg(self) -> int:
        """UTM zone of the tower."""
        return site_grid(self.latitude, self.longitude, 2)[0]

    @cached_property
    def _position(self) -> tuple[float, float]:
        from pyproj import Transformer

        return Transformer.from_crs(4326, self.epsg, always_xy=True).transform(self.longitude, self.latitude)

    @property
    def easting(self) -> float:
        """m in that zone."""
        return self._position[0]

    @property
    def northing(self) -> float:
        """m in that zone."""
        return self._position[1]

    @property
    def displacement_height(self) -> float:
        """Zero-plane displacement in m: two thirds of the canopy height (Raupach 1994, doi 10.1007/BF00709229)."""
        return 0.67 * self.canopy_height

    @property
    def roughness_length(self) -> float:
        """Roughness length in m: a tenth of the canopy height (same source)."""
        return 0.1 * self.canopy_height


def streams(seed: int, number: int) -> dict[str, np.random.Generator]:
    """Independent generators for each of :data:`STREAMS`, for the place of this `number` (from 1) under `seed`.

    Examples
    --------
    >>> a, b = streams(0, 3)["sky"], streams(0, 3)["sky"]
    >>> bool(a.random() == b.random())
    True
    """
    children = np.random.SeedSequence(seed, spawn_key=(number,)).spawn(len(STREAMS))
    return {name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)}


def draw_place(number: int, rng: np.random.Generator, prefix: str = "V") -> VirtualPlace:
    """The place of this `number` (from 1): every fifth lies in the south."""
    igbp = _SEQUENCE[(number - 1) % len(_SEQUENCE)]
    latitudes, canopy, above = _SETTING[igbp]
    south = number % 5 == 0
    latitude = rng.uniform(-38.0, -28.0) if south else rng.uniform(*latitudes)
    longitude = rng.uniform(116.0, 150.0) if south else rng.uniform(-8.0, 38.0)
    elevation = rng.uniform(20.0, 700.0)
    height = rng.uniform(*canopy)
    return VirtualPlace(
        site_id=f"XX-{prefix}{number:02d}",
        igbp=igbp,
        latitude=float(latitude),
        longitude=float(longitude),
        elevation=float(elevation),
        canopy_height=float(height),
        measurement_height=float(height + rng.uniform(*above)),
        utc_offset=float(round(longitude / 15.0)),
        wind_from=float(rng.uniform(0.0, 360.0)),
    )


def grid(place: VirtualPlace, size: int, resolution: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres ``x`` (ascending) and ``y`` (descending) in m, of a square of `size` 10 m pixels on the tower.

    Grids of 10 m and of 20 m share their edges, which lie on multiples of 20 m.

    Examples
    --------
    >>> place = draw_place(1, streams(0, 1)["place"])
    >>> x, y = grid(place, 48)
    >>> len(x), bool(abs(x.mean() - place.easting) <= 10), float(x[1] - x[0]), float(y[1] - y[0])
    (48, True, 10.0, -10.0)
    """
    _, x, y = site_grid(place.latitude, place.longitude, size)
    pixels = round(resolution / 10.0)
    return x.reshape(-1, pixels).mean(1), y.reshape(-1, pixels).mean(1)
