"""Fixed extents against counted areas and the formulas of a disc and a square."""

from __future__ import annotations

import numpy as np
import pytest

from ecoembed.errors import FootprintError, GridError
from ecoembed.footprints.extents import TARGET_RADII, fixed_radius, fixed_square
from tests.footprints.test_climatology import square


@pytest.mark.parametrize("radius", [3.0, 40.0, 73.3, 200.0])
def test_a_disc_is_weighted_by_exact_overlap(radius):
    grid = square(12, 10)
    weights = fixed_radius(grid, radius, x=2.0, y=-4.0)
    fine = (np.arange(2500) + 0.5) / 10 - 125
    inside = np.hypot(fine - 2, (fine + 4)[:, None]) <= radius
    counted = inside.reshape(25, 100, 25, 100).sum((1, 3)) * 0.01
    np.testing.assert_allclose(weights.values[::-1] * np.pi * radius**2, counted, atol=0.9)
    assert weights.attrs["inside"] == pytest.approx(
        1.0 if radius < 120 else counted.sum() / (np.pi * radius**2), abs=1e-3
    )
    assert f"{radius:g} m" in weights.attrs["method"]


def test_a_disc_needs_a_radius_and_a_tower_inside():
    with pytest.raises(FootprintError, match="radius"):
        fixed_radius(square(5, 10), 0)
    with pytest.raises(GridError, match="outside"):
        fixed_radius(square(5, 10), 30, x=0, y=1000)


@pytest.mark.parametrize("side", [5.0, 37.0, 120.0, 1000.0])
def test_a_square_is_weighted_by_exact_overlap(side):
    weights = fixed_square(square(12, 10), side, x=2.0, y=-4.0)
    fine = (np.arange(2500) + 0.5) / 10 - 125
    inside = (np.abs(fine - 2) <= side / 2) & (np.abs(fine + 4) <= side / 2)[:, None]
    counted = inside.reshape(25, 100, 25, 100).sum((1, 3)) * 0.01
    np.testing.assert_allclose(weights.values[::-1] * side**2, counted, atol=2.1)
    assert weights.attrs["inside"] == pytest.approx(1.0 if side <= 120 else 250**2 / side**2, abs=1e-9)
    assert f"{side:g} m" in weights.attrs["method"]


@pytest.mark.parametrize("radius", TARGET_RADII)
def test_extents_larger_than_the_cube_say_how_much_of_them_it_holds(radius):
    """A cube of 310 m lies within every disc of Chu et al. (2021): its corners are 219 m away."""
    weights = fixed_radius(square(15, 10), radius)
    assert weights.attrs["inside"] == pytest.approx(310**2 / (np.pi * radius**2), rel=1e-9)
    assert weights.attrs["inside"] == float(weights.sum())
    assert float(weights.max() - weights.min()) < 1e-15


def test_a_square_needs_a_side():
    for side in (0.0, -5.0, np.nan, np.inf):
        with pytest.raises(FootprintError, match="side out of range"):
            fixed_square(square(5, 10), side)
