"""The window of one site: its pixels, its outline, and where it lies in degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ecoembed.errors import GridError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

#: Side of a pixel in m.
RESOLUTION = 10


@dataclass(frozen=True)
class SiteGrid:
    """A site and the grid on which its images are wanted.

    Parameters
    ----------
    site : str
    latitude, longitude : float
        Of the tower, in degrees.
    epsg : int
        The grid's CRS, in metres.
    x, y : ndarray of float
        Pixel centres in m, 10 m apart, x ascending and y descending.
    """

    site: str
    latitude: float
    longitude: float
    epsg: int
    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        for name, centres, step in (("x", self.x, RESOLUTION), ("y", self.y, -RESOLUTION)):
            if len(centres) < 2 or not np.allclose(np.diff(centres), step):
                raise GridError(
                    f"{name} is not a grid of {RESOLUTION} m", where=self.site, expected=f"steps of {step:+d} m"
                )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top edge in m."""
        half = RESOLUTION / 2
        return self.x[0] - half, self.y[-1] - half, self.x[-1] + half, self.y[0] + half

    @property
    def grid(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"epsg": self.epsg, "bounds": [float(edge) for edge in self.bounds], "resolution": RESOLUTION}

    def geobox(self) -> GeoBox:
        from affine import Affine
        from odc.geo.geobox import GeoBox

        left, _, _, top = self.bounds
        transform = Affine(RESOLUTION, 0, left, 0, -RESOLUTION, top)
        return GeoBox((len(self.y), len(self.x)), transform, f"EPSG:{self.epsg}")

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """West, south, east and north in degrees; two boxes where the window lies across the antimeridian."""
        from pyproj import Transformer

        transform = Transformer.from_crs(self.epsg, "EPSG:4326", always_xy=True).transform
        left, bottom, right, top = self.bounds
        along, up = np.linspace(left, right, 21), np.linspace(bottom, top, 21)
        edge = np.full(21, 1.0)
        lon, lat = transform(
            np.concatenate([along, along, left * edge, right * edge]),
            np.concatenate([bottom * edge, top * edge, up, up]),
        )
        south, north = float(lat.min()), float(lat.max())
        if np.ptp(lon) > 180:
            return [(float(lon[lon > 0].min()), south, 180.0, north), (-180.0, south, float(lon[lon < 0].max()), north)]
        return [(float(lon.min()), south, float(lon.max()), north)]
