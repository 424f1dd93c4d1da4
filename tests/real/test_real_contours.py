"""Source areas against the 80 % contours of FFP v1.42."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.contours import source_area


@pytest.mark.parametrize("number", range(5))
def test_the_80_percent_source_area_lies_where_ffp_has_it(real, number):
    case = json.loads((real / "footprint" / "kljun_ffp_v1.42_cases.json").read_text())[number]
    expected = np.array(case["contour80_bbox"])  # x and y; without wind x is upwind, as with wind from the east
    inputs = case["input"] | {"wind_dir": 90.0 if case["input"]["wind_dir"] is None else case["input"]["wind_dir"]}
    pixel, margin = case["x_ci_max"] / 12, 0.3 * np.ptp(expected)
    grid = {
        axis: np.arange(low - margin, high + margin, pixel)
        for axis, (low, high) in zip("xy", expected.reshape(2, 2), strict=True)
    }
    weights = footprint_climatology(**inputs, grid=grid, x=0.0, y=0.0)
    west, south, east, north = source_area(weights, [0.8]).geometry[0].bounds
    np.testing.assert_allclose([west, east, south, north], expected, rtol=0, atol=0.015 * np.ptp(expected))
