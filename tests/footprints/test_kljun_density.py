"""The sum of many footprints: the authors' code, one by one and convolved, exact pixel integrals, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.kljun import A, B, C, D, scales
from ecoembed.footprints.kljun_density import CONVOLUTION, END, KERNELS, READING, summed_density
from tests.footprints.oracle import ffp_climatology, halfhour, northerly_pixels, record

CENTRES = np.arange(-50, 51) * 10.0
EAST, NORTH = (v.ravel() for v in np.meshgrid(CENTRES, CENTRES))
SHAPES = st.floats(np.log(min(k.low for k in KERNELS)), np.log(max(k.high for k in KERNELS) * 0.999)).map(np.exp)


def lengths(inputs):
    n = np.size(inputs["wind_dir"])
    return scales({k: np.broadcast_to(np.asarray(v, float), n) for k, v in inputs.items()})


def many(points):
    """As many half-hours as are convolved at so many points."""
    return READING + max(k.directions for k in KERNELS) * CONVOLUTION // points + 1


MANY = many(EAST.size)


def around(s, direction, n=9999):
    """Points from the tower to far away, most of them near the plume's axis; the first is where density peaks."""
    rng = np.random.default_rng(0)
    r = s * np.concatenate([[0.75], np.exp(rng.uniform(np.log(0.1), np.log(900), n))])
    turn = np.concatenate([[0.0], rng.uniform(-1.6, 1.6, n) * rng.random(n)])
    return r * np.sin(np.radians(direction) + turn), r * np.cos(np.radians(direction) + turn)


def copies(n, *one):
    return [np.full(n, v) for v in one]


@pytest.mark.parametrize("n", [60, 2 * MANY])
@pytest.mark.parametrize("zm", [2.5, 10, 40])
def test_the_sum_equals_the_authors_climatology(zm, n):
    inputs = record(n, zm)
    theirs = ffp_climatology(inputs, CENTRES, CENTRES)
    ours = summed_density(EAST, NORTH, *lengths(inputs), inputs["wind_dir"]).reshape(theirs.shape) / n
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=4e-7 * theirs.max())


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 500), SHAPES, st.floats(0, 360))
def test_a_convolution_equals_the_sum_one_by_one_at_every_point(s, shape, direction):
    """The same half-hour, often enough to be convolved."""
    one, points = (s, s * shape, direction), around(s, direction)
    alone, often = (summed_density(*points, *copies(n, *one)) / n for n in (1, many(10_000)))
    assert alone.max() == pytest.approx(alone[0], rel=0.1)
    np.testing.assert_allclose(often, alone, rtol=0, atol=2e-7 * alone.max())


@settings(max_examples=20, deadline=None)
@given(halfhour(), halfhour())
def test_half_hours_of_any_two_kinds_add_up(this, that):
    this, that = ((*(float(v[0]) for v in lengths(h)), h["wind_dir"]) for h in (this, that))
    assume(this[0] > 0 and that[0] > 0)
    both = summed_density(EAST, NORTH, *(np.repeat(pair, MANY) for pair in zip(this, that, strict=True)))
    each = [MANY * summed_density(EAST, NORTH, *copies(1, *one)) for one in (this, that)]
    peaks = sum(MANY * summed_density(*around(one[0], one[2], 0), *copies(1, *one))[0] for one in (this, that))
    np.testing.assert_allclose(both, sum(each), rtol=0, atol=2e-7 * peaks)


def test_shapes_beyond_every_kernel_are_summed_one_by_one():
    for shape in (0.01, 300.0):
        once, often = (summed_density(EAST, NORTH, *copies(n, 8.0, 8.0 * shape, 20.0)) / n for n in (1, 2 * MANY))
        np.testing.assert_allclose(often, once, rtol=1e-12)


def test_nothing_is_negative_or_at_the_tower():
    inputs = record(2 * MANY, 5.0)
    assert (summed_density(EAST, NORTH, *lengths(inputs), inputs["wind_dir"]) >= 0).all()
    with np.errstate(all="raise", under="ignore"):
        assert summed_density(np.zeros(1), np.zeros(1), *lengths(inputs), inputs["wind_dir"])[0] == 0


def test_the_order_of_half_hours_does_not_change_a_bit():
    inputs = record(3000, 5.0)
    s, t = lengths(inputs)
    shuffled = np.random.default_rng(1).permutation(3000)
    sums = [summed_density(EAST, NORTH, s[i], t[i], inputs["wind_dir"][i]) for i in (slice(None), shuffled)]
    np.testing.assert_array_equal(*sums)


def test_the_number_of_threads_does_not_change_a_bit():
    """Of the libraries that could take more than one."""
    code = (
        "import numpy as np, hashlib; from tests.footprints.oracle import record;"
        "from ecoembed.footprints.climatology import footprint_climatology as climatology;"
        "c = np.arange(-50, 51) * 10.0; w = climatology(**record(2000, 5.0), grid={'x': c, 'y': c});"
        "print(hashlib.sha256(w.values.tobytes()).hexdigest())"
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | dict.fromkeys(names, threads),
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(prints) == 1


def test_turning_the_wind_turns_the_sum():
    inputs = record(2 * MANY, 5.0)
    still = summed_density(EAST, NORTH, *lengths(inputs), inputs["wind_dir"])
    for turn in (37.0, 90.0, 300.0):
        sin, cos = np.sin(np.radians(turn)), np.cos(np.radians(turn))
        east, north = EAST * cos + NORTH * sin, NORTH * cos - EAST * sin
        turned = summed_density(east, north, *lengths(inputs), (inputs["wind_dir"] + turn) % 360)
        np.testing.assert_allclose(turned, still, rtol=0, atol=3e-7 * still.max())


@pytest.mark.parametrize("zm", [2.5, 20.0])
def test_weights_of_many_half_hours_are_pixel_integrals(zm):
    inputs = record(12, zm) | {"wind_dir": np.zeros(12)}
    edges = np.arange(-40.5, 41) * 10.0
    exact = np.mean([northerly_pixels(*st, edges, edges) for st in zip(*lengths(inputs), strict=True)], axis=0)
    often = {k: np.repeat(v, MANY) if np.ndim(v) else v for k, v in inputs.items()}
    weights = footprint_climatology(**often, grid={"x": CENTRES[10:91], "y": CENTRES[10:91]}).values
    assert np.abs(weights - exact).max() < 3e-3 * exact.max()
    assert np.abs(weights - exact).sum() < 3e-3


def test_the_curve_has_integrated_to_one_where_it_is_ended():
    from scipy.special import gamma, gammaincc

    whole = A * C ** (B + 1) * gamma(-B - 1)
    assert whole == pytest.approx(1.00157, abs=1e-5)
    assert whole * gammaincc(-B - 1, C / (END - D)) == pytest.approx(1, abs=1e-12)
    beyond, within = np.array([0.0]), np.array([END - 1])
    one = copies(1, 1.0, 1.0, 0.0)
    assert summed_density(beyond, np.array([END + 1]), *one)[0] == 0
    assert summed_density(beyond, within, *one)[0] > 0


def test_memory_does_not_grow_with_the_half_hours():
    """On 101 x 101 pixels 32 000 half-hours at once would take 2.6 GB an array; their inputs are 2 MB."""
    peaks = {}
    for n in (32_000, 2_000, 32_000):  # the first time, kernels are made and kept
        inputs = record(n, 10.0)
        tracemalloc.start()
        footprint_climatology(**inputs, grid={"x": CENTRES, "y": CENTRES})
        peaks.setdefault("first", tracemalloc.get_traced_memory()[1] / 2**20)
        peaks[n] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    assert peaks[32_000] < peaks[2_000] + 8
    assert peaks["first"] < 64
