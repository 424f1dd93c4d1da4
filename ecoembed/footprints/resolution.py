"""How finely a footprint must be sampled, from how sharp it is at a distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ecoembed.footprints.validity import Array

#: Largest error of a sampled density, as a share of the footprint's peak, that the sampling step may leave.
TOLERANCE = 2e-4


class Line(NamedTuple):
    """A footprint along its centre line: upwind distance (m), density over its peak, the absolute fourth derivative of
    that (m-4), and the least and the largest crosswind spread (m) of the half-hours that it stands for."""

    x: Array
    density: Array
    fourth: Array
    narrow: Array
    broad: Array


def resolving_step(lines: Sequence[Line], tolerance: float = TOLERANCE) -> Callable[[Array], Array]:
    """Distance from the tower (m) -> step (m) at which samples of all these footprints keep `tolerance`.

    The pixel operator's leading error is 0.003 step**4 times the density's fourth derivatives along and across the
    wind. At a distance, the sharpest point is any that is as far or farther, or beside the plume's axis nearer upwind.
    Nowhere from where a plume counts is it sampled at more than 1.15 of its spread, which grows with distance.
    """
    distance = np.geomspace(min(line.x[0] for line in lines) / 10, max(line.x[-1] for line in lines), 200)
    step = np.full(distance.size, np.inf)
    for line in lines:
        sharpness = line.fourth + 3 * line.density / line.narrow**4
        beside = np.exp(-np.maximum(distance[:, None] ** 2 - line.x**2, 0) / (2 * line.broad**2))
        sharpest = np.maximum((sharpness * beside).max(axis=1), 1e-300)
        first = int(np.argmax(line.density > tolerance / 10))  # nearer, a plume is narrower yet, but counts for nothing
        spread = np.interp(distance, line.x[first:], line.narrow[first:])
        step = np.minimum(step, np.minimum((tolerance / 0.003 / sharpest) ** 0.25, 1.15 * spread))
    return lambda d: np.interp(d, distance, step)
