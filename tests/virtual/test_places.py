from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from ecoembed import schema
from ecoembed.virtual.places import draw_place, grid, streams

numbers, seeds = st.integers(1, 500), st.integers(0, 2**32)


@given(numbers, seeds)
def test_no_place_can_be_taken_for_a_real_site(number: int, seed: int) -> None:
    place = draw_place(number, streams(seed, number)["place"])
    assert re.fullmatch(r"XX-V\d{2,}", place.site_id)  # XX: reserved for users by ISO 3166, no country ever
    assert place.igbp in schema.IGBP


@given(numbers, seeds)
def test_coordinates_zone_and_offset_agree(number: int, seed: int) -> None:
    place = draw_place(number, streams(seed, number)["place"])
    longitude, latitude = Transformer.from_crs(place.epsg, 4326, always_xy=True).transform(
        place.easting, place.northing
    )
    assert abs(longitude - place.longitude) < 1e-6
    assert abs(latitude - place.latitude) < 1e-6
    assert abs(place.easting - 500_000.0) < 380_000.0  # its own zone; 32V is the widest
    assert abs(place.utc_offset - place.longitude / 15.0) <= 0.5
    assert place.measurement_height - place.displacement_height > place.roughness_length


@given(numbers, st.integers(8, 60))
def test_the_tower_stands_in_the_middle_of_nested_grids(number: int, half: int) -> None:
    place = draw_place(number, streams(0, number)["place"])
    x, y = grid(place, 2 * half)
    coarse_x, coarse_y = grid(place, 2 * half, 20.0)
    assert abs(x.mean() - place.easting) <= 10.0
    assert abs(y.mean() - place.northing) <= 10.0
    np.testing.assert_allclose(x.reshape(-1, 2).mean(1), coarse_x)
    np.testing.assert_allclose(y.reshape(-1, 2).mean(1), coarse_y)
    assert (np.diff(y) == -10.0).all()


def test_eight_sites_hold_eight_types_and_every_fifth_lies_in_the_south() -> None:
    places = [draw_place(n, streams(0, n)["place"]) for n in range(1, 11)]
    assert {place.igbp for place in places[:8]} == {"ENF", "DBF", "EBF", "MF", "GRA", "CRO", "SAV", "WET"}
    assert [n for n, place in enumerate(places, start=1) if place.latitude < 0] == [5, 10]
    assert max(place.latitude for place in places) - min(p.latitude for p in places if p.latitude > 0) > 8


def test_streams_differ_between_processes_sites_and_seeds() -> None:
    drawn = [streams(seed, number)[name].random() for seed in (0, 1) for number in (1, 2) for name in ("sky", "radar")]
    assert len(set(drawn)) == 8


def test_seed_fixes_the_place() -> None:
    assert draw_place(4, streams(3, 4)["place"]) == draw_place(4, streams(3, 4)["place"])
    assert draw_place(4, streams(3, 4)["place"]).latitude != pytest.approx(
        draw_place(4, streams(2, 4)["place"]).latitude
    )
