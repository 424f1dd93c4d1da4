"""What a tower sees of its landscape, half-hour by half-hour: points of its footprint and the pixels they fall on.

Every half-hour's footprint (Kljun et al. 2015, doi 10.5194/gmd-8-3695-2015) is cut into parts of equal weight,
streamwise by the quantiles of its crosswind-integrated curve and crosswise by those of a normal density, and a point
stands for each part; where in its part it lies takes turns, or many half-hours would draw rings. What lies beyond the
cube is taken to be like what lies inside: the points inside share its weight. Where none is inside, the pixels of the
edge nearest to the points stand in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.places import VirtualPlace

#: Parts of a footprint, streamwise and crosswise.
STREAMWISE, CROSSWISE = 16, 5
#: Places within a part that half-hours take in turn; a number that shares no factor with the half-hours of a day.
_TURNS = 7
#: Where the parameterisation does not hold, the world takes the nearest value at which it does: friction velocity in
#: m s-1, boundary layer over the height of the sensor.
_CALMEST, _SHALLOWEST = 0.1, 1.2
_PIXEL = 10.0
#: Half-hours worked on at once: the points of ten years would need gigabytes.
_PIECE = 4096


@dataclass(frozen=True)
class View:
    """Points of the footprint (Q of them) of each half-hour.

    Attributes
    ----------
    pixel : ndarray of int, shape (n, Q)
        Flat number of the pixel (y, x) that the point falls on.
    weight : ndarray, shape (n, Q)
        Each half-hour's sum is 1.
    inside : ndarray, shape (n,)
        Share of the footprint inside the cube, 0-1.
    """

    pixel: np.ndarray
    weight: np.ndarray
    inside: np.ndarray

    def mean(self, fields: np.ndarray, land: Landscape, absorbed: np.ndarray | None = None) -> np.ndarray:
        """Mean over the footprint, (n,), of a flux given for each field, (n, F); times `absorbed`, (days, y, x)."""
        values = np.take_along_axis(fields, land.field.ravel()[self.pixel], axis=1) * self.weight
        if absorbed is not None:
            days = len(absorbed)
            light = np.take_along_axis(absorbed.reshape(days, -1), self.pixel.reshape(days, -1), axis=1)
            values *= light.reshape(values.shape)
        return np.asarray(values.sum(1, dtype=np.float64))

    def weights(self, period: np.ndarray, chosen: np.ndarray, land: Landscape) -> np.ndarray:
        """Mean share of each pixel over the `chosen` half-hours of each `period`: (periods, y, x), sums of 1."""
        rows, columns = land.field.shape
        count = int(period.max()) + 1
        flat = (period[chosen, None] * (rows * columns) + self.pixel[chosen]).ravel()
        sums = np.bincount(flat, self.weight[chosen].ravel(), count * rows * columns).reshape(count, rows, columns)
        return np.asarray(sums / sums.sum((1, 2), keepdims=True))


def scaled_distances() -> np.ndarray:
    """Scaled upwind distances of the points: equal parts of the crosswind-integrated footprint, (turns, STREAMWISE).

    The curve a u^b exp(-c / u) integrates to an incomplete gamma function of c / u.

    Examples
    --------
    >>> scaled_distances()[3, [0, 7, 15]].round(2).tolist()
    [0.56, 2.09, 47.79]
    """
    from scipy.special import gammainccinv

    from ecoembed.footprints.kljun import B, C, D

    return np.asarray(D + C / gammainccinv(-B - 1.0, _shares(STREAMWISE, 1)))


def _shares(parts: int, stride: int) -> np.ndarray:
    """Shares 0-1 at which the points lie, (turns, parts); `stride` sets the order in which the turns follow."""
    turn = (np.arange(_TURNS)[:, None] * stride % _TURNS + 0.5) / _TURNS
    return (np.arange(parts) + turn) / parts


def tower_view(place: VirtualPlace, land: Landscape, weather: pd.DataFrame) -> View:
    """The footprint's points of every half-hour of `weather`."""
    from ecoembed.footprints.kljun import scales

    inputs = _turbulence(place, weather)
    lengths = np.stack([*scales(inputs), np.radians(inputs["wind_dir"])])
    turns = np.arange(len(weather)) % _TURNS
    pieces = [
        _points(place, land, turns[i : i + _PIECE], *lengths[:, i : i + _PIECE]) for i in range(0, len(weather), _PIECE)
    ]
    pixel, inside = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    counted = inside | ~inside.any(1, keepdims=True)
    weight = counted / counted.sum(1, keepdims=True, dtype=np.float32)
    return View(pixel, weight, inside.mean(1))


def _points(
    place: VirtualPlace,
    land: Landscape,
    turn: np.ndarray,
    streamwise: np.ndarray,
    crosswise: np.ndarray,
    angle: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel of each point, the edge's for those beyond the cube, and which are inside it, (n, Q)."""
    from scipy.special import ndtri

    from ecoembed.footprints.kljun import scaled_dispersion

    distances = scaled_distances()
    upwind = (streamwise[:, None] * distances[turn])[:, :, None]
    across = (crosswise[:, None] * scaled_dispersion(distances)[turn])[:, :, None]
    across = across * ndtri(_shares(CROSSWISE, 3))[turn][:, None, :]
    sin, cos = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    east = place.easting - land.x[0] + _PIXEL / 2.0 + upwind * sin - across * cos
    south = land.y[0] + _PIXEL / 2.0 - place.northing - upwind * cos - across * sin
    column, row = (np.floor(metres / _PIXEL).reshape(len(angle), -1) for metres in (east, south))
    rows, columns = land.field.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    pixel = np.clip(row, 0, rows - 1) * columns + np.clip(column, 0, columns - 1)
    return pixel.astype(np.int32), inside


def _turbulence(place: VirtualPlace, weather: pd.DataFrame) -> dict[str, np.ndarray]:
    """Arguments of the footprint model, on the grid's north, kept within its range."""
    from ecoembed.cubes.grid import true_north
    from ecoembed.footprints.kljun import LOWEST_STABILITY
    from ecoembed.footprints.turbulence import turbulence

    names = {"USTAR": "USTAR", "WD": "WD", "WS_F": "WS", "H_F_MDS": "H", "TA_F": "TA", "PA_F": "PA"}
    halfhours = weather[list(names)].rename(columns=names).rename_axis("time").to_xarray()
    north = true_north(place.epsg, place.latitude, place.longitude)
    inputs = turbulence(halfhours, asdict(place), north=north, when="all")
    zm = inputs["zm"]
    inputs["ustar"] = np.maximum(inputs["ustar"], _CALMEST)
    inputs["ol"] = np.where(zm / inputs["ol"] < LOWEST_STABILITY, zm / LOWEST_STABILITY, inputs["ol"])
    inputs["h"] = np.maximum(inputs["h"], _SHALLOWEST * zm)
    return inputs
