"""The canopy table against the model that it was made by, and what it must do whoever made it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed import errors
from ecoembed.virtual import canopy

BUILD = Path(__file__).parents[2] / "data" / "canopy" / "build.py"
RED, NIR, SWIR = (canopy.BANDS.index(band) for band in ("B04", "B08", "B11"))


@pytest.fixture(scope="module")
def build() -> ModuleType:
    pytest.importorskip("prosail")
    spec = importlib.util.spec_from_file_location("canopy_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def _model(build: ModuleType, weights: np.ndarray, leaf: str, *condition: float) -> np.ndarray:
    """Bands (12,) by prosail alone, all wavelengths over this very ground."""
    from prosail import run_sail

    area, green, sun, view, azimuth, ground = condition
    kind, soil = build.LEAVES[leaf], np.full(2101, ground)
    args = (area * kind.clumping, kind.angle, kind.hotspot, sun, view, azimuth)
    return weights @ (np.ones(2101) * run_sail(*build.elements(kind, green), *args, rsoil0=soil))


def _reflectance(leaf: str, area: np.ndarray, *angles: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Bands (n, 12) of n canopies, from the curves over the leaf area."""
    kind = np.full(len(area), canopy.LEAVES.index(leaf))
    nodes = canopy.table().leaf_area
    curves = canopy.curves(kind, *angles, ground[:, None])[:, 0]
    rows = zip(area, curves, strict=True)
    return np.array([[np.interp(one, nodes, band) for band in curve.T] for one, curve in rows])


def _table(leaf: str, *condition: float) -> np.ndarray:
    *angles, ground = (np.array([value]) for value in condition)
    return _reflectance(leaf, *angles, ground=np.repeat(ground[:, None], 12, 1))[0]


def test_the_form_is_exact_for_any_ground(build: ModuleType) -> None:
    from prosail import run_sail

    rng = np.random.default_rng(1)
    for leaf in build.LEAVES.values():
        area, sun, along, across = rng.uniform(0.1, 7), rng.uniform(18, 80), rng.uniform(-9, 9), rng.uniform(0, 7)
        optics = build.elements(leaf, 40.0)
        above, gap, through, below = build.terms(leaf, optics, area, sun, along, across)
        view, azimuth = np.hypot(along, across), np.degrees(np.arctan2(across, along))
        for ground in (0.03, 0.2, 0.45, 0.9):
            args = (area * leaf.clumping, leaf.angle, leaf.hotspot, sun, view, azimuth)
            seen = run_sail(*optics, *args, rsoil0=np.full(2101, ground))
            mixed = above + gap * ground + through * ground / (1.0 - below * ground)
            np.testing.assert_allclose(mixed, seen, atol=1e-6)


def test_rows_of_the_table_are_prosails(build: ModuleType) -> None:
    weights, rng = build.band_weights(), np.random.default_rng(2)
    axes = (build.LEAF_AREA, build.CHLOROPHYLL, build.SUN)
    for leaf in canopy.LEAVES:
        for _ in range(8):
            node = [float(rng.choice(axis)) for axis in axes]
            along = float(rng.choice(build.ALONG))
            condition = (*node, abs(along), 0.0 if along >= 0 else 180.0, rng.uniform(0.02, 0.5))
            np.testing.assert_allclose(_table(leaf, *condition), _model(build, weights, leaf, *condition), atol=2e-4)


def test_between_the_nodes_interpolation_is_close(build: ModuleType) -> None:
    weights, rng = build.band_weights(), np.random.default_rng(3)
    worst = []
    for leaf in canopy.LEAVES:
        for _ in range(25):
            low, high = (0.0, 5.0, 19.0, 0.0, 0.0, 0.02), (8.0, 75.0, 78.0, 12.0, 180.0, 0.6)
            condition = tuple(rng.uniform(low, high))
            worst.append(np.abs(_table(leaf, *condition) - _model(build, weights, leaf, *condition)).max())
    assert max(worst) < 0.012
    assert np.median(worst) < 0.003


def test_the_file_says_what_it_holds(build: ModuleType) -> None:
    assert canopy.TABLE.stat().st_size < 1_000_000
    assert tuple(build.LEAVES) == canopy.LEAVES
    assert build.BANDS == canopy.BANDS
    with np.load(canopy.TABLE, allow_pickle=False) as file:
        assert tuple(file["band"]) == canopy.BANDS
        assert tuple(file["leaf"]) == canopy.LEAVES
        assert "data/canopy/build.py" in str(file["about"])


def test_another_table_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    canopy.table.cache_clear()
    try:
        damaged = tmp_path / "canopy.npz"
        damaged.write_bytes(canopy.TABLE.read_bytes()[:-1] + b"!")
        for path in (damaged, tmp_path / "absent.npz"):
            monkeypatch.setattr(canopy, "TABLE", path)
            with pytest.raises(errors.FileError, match="canopy table"):
                canopy.table()
    finally:
        canopy.table.cache_clear()


conditions = st.tuples(
    st.sampled_from(canopy.LEAVES),
    st.floats(0, 9),
    st.floats(0, 90),
    st.floats(10, 85),
    st.floats(0, 13),
    st.floats(-360, 360),
)


@settings(max_examples=60, deadline=None)
@given(conditions, st.floats(0.0, 1.0))
def test_reflectance_lies_within_0_and_1_and_grows_with_the_ground(condition: tuple, ground: float) -> None:
    leaf, *rest = condition
    dark, bright = _table(leaf, *rest, ground * 0.5), _table(leaf, *rest, ground)
    assert (dark >= 0).all()
    assert (bright <= 1.0 + 1e-4).all()
    assert (bright >= dark - 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(conditions)
def test_leaves_hide_soil_in_the_red_and_brighten_the_near_infrared(condition: tuple) -> None:
    leaf, _, _, sun, view, azimuth = condition
    soil = np.full((9, 12), 0.15)
    area, one = np.linspace(0, 8, 9), np.ones(9)
    seen = _reflectance(leaf, area, 45 * one, sun * one, view * one, azimuth * one, ground=soil)
    assert (np.diff(seen[:, RED]) <= 1e-3).all()
    assert (np.diff(seen[:, NIR]) >= -2e-3).all()
    ndvi = (seen[:, NIR] - seen[:, RED]) / (seen[:, NIR] + seen[:, RED])
    assert (np.diff(ndvi) >= -1e-3).all()
    np.testing.assert_allclose(seen[0], 0.15, atol=1e-4)  # without leaves: the ground itself


def test_what_is_known_of_leaf_types() -> None:
    dense = {leaf: _table(leaf, 4.0, 45.0, 40.0, 0.0, 0.0, 0.12) for leaf in canopy.LEAVES}
    assert 0.15 < dense["needle"][NIR] < 0.30 < dense["broadleaf"][NIR] < 0.55  # conifers are dark
    assert dense["needle"][NIR] < dense["mixed"][NIR] < dense["broadleaf"][NIR]
    assert dense["needle"][SWIR] < 0.15 < dense["crop"][SWIR]
    for seen in dense.values():
        assert seen[RED] < 0.04
        assert seen[canopy.BANDS.index("B05")] > 2 * seen[RED]
    pale, green = (_table("crop", 3.0, chlorophyll, 40.0, 0.0, 0.0, 0.12) for chlorophyll in (10.0, 60.0))
    assert pale[RED] > 1.5 * green[RED]
    assert pale[canopy.BANDS.index("B05")] > 1.5 * green[canopy.BANDS.index("B05")]
    assert pale[SWIR] == pytest.approx(green[SWIR], abs=1e-3)


def test_the_side_of_the_sun_is_brighter() -> None:
    for leaf in canopy.LEAVES:
        towards, away = (_table(leaf, 2.5, 45.0, 50.0, 8.0, azimuth, 0.2) for azimuth in (40.0, 140.0))
        ratio = towards / away
        assert (ratio > 1.01).all(), leaf
        assert (ratio < 1.25).all(), leaf
        mirrored = _table(leaf, 2.5, 45.0, 50.0, 8.0, -40.0, 0.2)
        np.testing.assert_allclose(mirrored, towards, atol=1e-6)
