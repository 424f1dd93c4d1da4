"""Kormann and Meixner's footprint against a numerical solution of its own equation, and its bounds."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.linalg import solve_banded
from scipy.special import erf, gamma, gammaincc

from ecoembed.errors import ConfigError, FootprintError
from ecoembed.footprints import kljun, kormann
from ecoembed.footprints.climatology import exclusions, footprint_climatology
from ecoembed.footprints.kormann import footprint, shape
from tests.footprints.oracle import record
from tests.footprints.test_climatology import square

GOOD = {"zm": 20.0, "umean": 4.0, "ol": -100.0, "sigmav": 0.6, "ustar": 0.4, "wind_dir": 30.0}
CASES = {
    "unstable": {"zm": 2.5, "umean": 3.0, "ol": -20.0, "sigmav": 0.6, "ustar": 0.3},
    "convective": {"zm": 20.0, "umean": 3.0, "ol": -10.0, "sigmav": 0.8, "ustar": 0.3},
    "neutral": {"zm": 20.0, "umean": 5.0, "ol": np.inf, "sigmav": 0.8, "ustar": 0.4},
    "stable": {"zm": 2.5, "umean": 3.0, "ol": 30.0, "sigmav": 0.5, "ustar": 0.3},
    "very stable": {"zm": 5.0, "umean": 4.0, "ol": 5.0, "sigmav": 0.3, "ustar": 0.2},
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def arrays(inputs):
    return {name: np.asarray(value, float) for name, value in inputs.items()}


def profiles(zm, umean, ol, ustar, **_):
    """Monin-Obukhov wind and diffusivity over height, from Dyer's gradients alone, and their slopes at `zm`."""

    def gradients(z):
        return (1 + 5 * z / ol,) * 2 if ol > 0 else ((1 - 16 * z / ol) ** -0.25, (1 - 16 * z / ol) ** -0.5)

    def wind(z):  # from the measured wind downwards or upwards; nothing where the profile has ended
        steps = np.geomspace(zm, z, 400)
        return np.maximum(umean + ustar / 0.4 * np.trapezoid(gradients(steps)[0], np.log(steps), axis=0), 1e-6)

    def diffusivity(z):
        return 0.4 * ustar * z / gradients(z)[1]

    e = 1e-4
    m, n = (np.log(f(zm * (1 + e)) / f(zm * (1 - e))) / (2 * e) for f in (wind, diffusivity))
    return wind, diffusivity, m, n


def flux_downwind(wind, diffusivity, zm, x, low, high, cells=700):
    """Vertical flux at `zm` a distance `x` downwind of the edge of a source of 1: u dc/dx = d/dz (K dc/dz), marched
    implicitly in x over finite volumes in z. It is the footprint integrated up to `x`."""
    below = int(cells * np.log(zm / low) / np.log(high / low))
    faces = np.concatenate([np.geomspace(low, zm, below), np.geomspace(zm, high, cells - below)[1:]])
    middle, level = np.sqrt(faces[1:] * faces[:-1]), below - 1
    exchange = diffusivity(faces[1:-1]) / np.diff(middle)
    advection = wind(middle) * np.diff(faces)
    concentration, flux = np.zeros(middle.size), []
    for step in np.diff(x, prepend=0):
        bands = np.zeros((3, middle.size))
        bands[1] = advection / step
        bands[1, :-1] += exchange
        bands[1, 1:] += exchange
        bands[0, 1:] = bands[2, :-1] = -exchange
        gained = advection / step * concentration
        gained[0] += 1
        concentration = solve_banded((1, 1), bands, gained)
        flux.append(exchange[level - 1] * (concentration[level - 1] - concentration[level]))
    return np.array(flux)


def test_solves_the_advection_diffusion_equation_of_its_power_laws(case):
    """Cumulative footprint, density and peak; the powers come from the profiles' slopes, not from the module."""
    wind, diffusivity, m, n = profiles(**case)
    zm, one = case["zm"], footprint(**case)
    x = one.x_ci_max * np.geomspace(2e-3, 200, 2500)
    u, k = float(wind(zm)), float(diffusivity(zm))
    held = flux_downwind(lambda z: u * (z / zm) ** m, lambda z: k * (z / zm) ** n, zm, x, zm * 1e-4, zm * 1e5)
    xi, _, mu, _ = shape(arrays(case))
    np.testing.assert_allclose(held, gammaincc(mu, xi / x), atol=6e-3)
    density = np.interp(one.x_ci, x, np.gradient(held, x))
    np.testing.assert_allclose(density, one.f_ci, atol=0.03 * one.f_ci.max())
    assert x[np.gradient(held, x).argmax()] == pytest.approx(one.x_ci_max, rel=0.015)


def test_power_laws_stand_in_for_the_whole_profiles(case):
    """How far the model's one approximation goes: powers fitted at zm, against the profiles themselves."""
    wind, diffusivity, _, _ = profiles(**case)
    zm, one = case["zm"], footprint(**case)
    x = one.x_ci_max * np.geomspace(2e-3, 60, 1500)
    held = flux_downwind(wind, diffusivity, zm, x, zm * 1e-4, zm * 1e4, cells=400)
    xi, _, mu, _ = shape(arrays(case))
    farther = np.interp(0.8, gammaincc(mu, xi / x), x) / np.interp(0.8, held, x)
    assert 0.95 < farther < 1.3
    assert 0.95 < one.x_ci_max / x[np.gradient(held, x).argmax()] < 1.7


def test_crosswind_spread_is_sigma_v_over_the_wind_that_the_plume_meets(case):
    """sigma_y = sigma_v x / u(x), where u(x) is the wind weighted by the concentration at x (Eqs. 9 and 18)."""
    wind, diffusivity, m, n = profiles(**case)
    zm, r = case["zm"], 2 + m - n
    u, k = float(wind(zm)), float(diffusivity(zm))
    one = footprint(**case)
    for i in (20, 200, 900):

        def concentration(z, x=one.x_ci[i]):
            return np.exp(-u / zm**m * z**r / (r**2 * k / zm**n * x))

        top = (60 * r**2 * k / zm**n * one.x_ci[i] / (u / zm**m)) ** (1 / r)
        carried = quad(lambda z: u * (z / zm) ** m * concentration(z), 0, top, limit=200)[0]
        plume = carried / quad(concentration, 0, top, limit=200)[0]
        assert one._sigma_y[i] == pytest.approx(case["sigmav"] * one.x_ci[i] / plume, rel=1e-3)


def test_the_field_spreads_by_a_normal_density(case):
    one = footprint(**case)
    across = one._across
    for i in range(100, 300, 50):
        row, spread = one.f_2d[i], one._sigma_y[i]
        assert spread > 2 * (across[1] - across[0])
        assert row.sum() * (across[1] - across[0]) == pytest.approx(one.f_ci[i], rel=2e-3)
        assert (row * across**2).sum() / row.sum() == pytest.approx(spread**2, rel=2e-3)


def test_integrates_to_one_and_its_curve_holds_95_percent(case):
    xi, _, mu, _ = (float(v) for v in shape(arrays(case)))
    whole, _ = quad(lambda t: np.exp(t * -mu - np.exp(-t)) / gamma(mu), -8, 80, limit=500)  # over log distance
    assert whole == pytest.approx(1, abs=1e-6)
    one = footprint(**case, nx=4000)
    assert np.trapezoid(one.f_ci, one.x_ci) == pytest.approx(0.95, abs=2e-3)
    assert one.x_ci_max == pytest.approx(xi / (1 + mu))
    assert one.x_ci[one.f_ci.argmax()] == pytest.approx(one.x_ci_max, abs=one.x_ci[1] - one.x_ci[0])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.floats(0.1, 10))
def test_lengths_scale_with_height(name, factor):
    """The same winds over heights and Obukhov lengths `factor` times as large: distances `factor` times as far."""
    one = CASES[name]
    small, large = footprint(**one), footprint(**one | {"zm": one["zm"] * factor, "ol": one["ol"] * factor})
    np.testing.assert_allclose(large.x_ci, factor * small.x_ci, rtol=1e-9)
    np.testing.assert_allclose(large.f_ci, small.f_ci / factor, rtol=1e-9)
    np.testing.assert_allclose(large._sigma_y, factor * small._sigma_y, rtol=1e-9)


def test_neutral_stratification_is_the_limit_of_both():
    peaks = [footprint(**GOOD | {"ol": ol}).x_ci_max for ol in (-1e9, np.inf, 1e9)]
    assert peaks == pytest.approx([peaks[1]] * 3, rel=1e-6)


@pytest.mark.parametrize("ol", [-100.0, -15.0, 1e9, 60.0])
def test_roughness_gives_the_wind_of_its_profile(ol):
    inputs = GOOD | {"umean": None, "z0": 0.05, "ol": ol}
    gradient = (lambda z: 1 + 5 * z / ol) if ol > 0 else (lambda z: (1 - 16 * z / ol) ** -0.25)
    z = np.geomspace(0.05, 20, 20_001)
    umean = 0.4 / 0.4 * np.trapezoid(gradient(z), np.log(z))
    assert footprint(**inputs).x_ci_max == pytest.approx(
        footprint(**GOOD | {"umean": umean, "ol": ol}).x_ci_max, rel=0.01
    )
    assert footprint(**inputs, h=300.0).x_ci_max == footprint(**inputs).x_ci_max


def test_peaks_lie_beyond_kljuns_and_rise_with_them():
    rng = np.random.default_rng(0)
    peaks = []
    while len(peaks) < 300:
        one = {"zm": rng.uniform(2, 60), "ustar": rng.uniform(0.15, 0.9), "h": 2000.0}
        one |= {"umean": one["ustar"] * rng.uniform(8, 16), "sigmav": 2 * one["ustar"]}
        one["ol"] = one["zm"] / rng.uniform(-2, 0.5)
        peaks.append([model.footprint(**one).x_ci_max for model in (kljun, kormann)])
    near, far = np.array(peaks).T
    assert ((far / near > 1) & (far / near < 4)).all()
    assert 1.5 < np.median(far / near) < 2.5
    assert np.corrcoef(np.log(near), np.log(far))[0, 1] > 0.9


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ol": -9.9}, ["Kormann and Meixner", "ol = -9.9 m with zm = 20 m", "zm / ol in -2 to 1"]),
        ({"ol": 19.0}, ["ol = 19 m", "zm / ol in -2 to 1"]),
        ({"umean": 0.5}, ["umean = 0.5 m s-1 with zm = 20 m, ustar = 0.4 m s-1", "power m", "Eq. 36"]),
        ({"umean": None, "z0": 19.0}, ["z0 = 19 m", "roughness sublayer"]),
        ({"ustar": 0.1}, ["ustar = 0.1 m s-1", "ustar > 0.1 m s-1"]),
        ({"umean": None}, ["required input absent: z0 or umean"]),
        ({"sigmav": None, "ol": None}, ["required input absent: ol, sigmav"]),
        ({"ustar": np.array([0.3, 0.4])}, ["more than one half-hour", "footprint_climatology"]),
        ({"rs": (0.95,)}, ["0.95", "(0, 0.9]"]),
    ],
)
def test_an_input_out_of_range_names_variable_value_unit_and_bound(change, says):
    with pytest.raises(FootprintError) as caught:
        footprint(**GOOD | change)
    assert all(words in str(caught.value) for words in says), str(caught.value)


def test_inside_the_roughness_sublayer_the_profile_still_has_to_exist():
    inputs = GOOD | {"umean": None}
    assert footprint(**inputs | {"z0": 2.0}, rslayer=True).x_ci_max > 0
    with pytest.raises(FootprintError, match="power m"):
        footprint(**inputs | {"z0": 19.0}, rslayer=True)


def northerly_pixels(inputs, edges):
    """Exact pixel integrals for wind from the north: erf across, Gauss-Legendre along (Eqs. 9 and 21)."""
    xi, width, mu, p = (float(v) for v in shape(arrays(inputs)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    rows = np.zeros((edges.size - 1, edges.size - 1))
    for j, (low, high) in enumerate(pairwise(edges)):
        panels = np.geomspace(max(low, 0.01 * xi), max(high, 0.01 * xi), 33)
        half = np.diff(panels)[:, None] / 2
        x = ((panels[1:] + panels[:-1])[:, None] / 2 + half * nodes).ravel() / xi
        f = x ** (-1 - mu) * np.exp(-1 / x) / gamma(mu) / xi
        across = np.diff(erf(edges[:, None] / (np.sqrt(2) * width * x**p)), axis=0) / 2
        rows[j] = across @ (f * (half * weights).ravel())
    return rows


@pytest.mark.parametrize("zm", [1.2, 2.5, 6, 20, 60])
@pytest.mark.parametrize("pixel", [10.0, 20.0])
@pytest.mark.parametrize(("sigmav", "stability"), [(0.7, -1.0), (0.7, 0.3), (2.8, -0.1), (0.2, 0.9)])
def test_weights_are_pixel_integrals_however_sharp_the_peak(zm, pixel, sigmav, stability):
    one = {"zm": zm, "umean": 4.5, "ol": zm / stability, "sigmav": sigmav, "ustar": 0.3, "wind_dir": 0.0}
    exact = northerly_pixels(one, (np.arange(-40, 42) - 0.5) * pixel)
    weights = footprint_climatology(**one, grid=square(40, pixel), model="kormann")[::-1]
    assert np.abs(weights.values - exact).max() < 2e-3 * exact.max()
    assert np.abs(weights.values - exact).sum() < 4e-3
    assert float(weights.sum()) == pytest.approx(exact.sum(), abs=1.5e-3)


def test_a_climatology_needs_no_boundary_layer_and_counts_what_it_leaves_out():
    inputs = record(40, 4.0)
    inputs["ol"][:3] = -1.0, 0.5, np.nan
    inputs["umean"][3] = 0.01
    weights = footprint_climatology(**inputs | {"h": None}, grid=square(20, 20), model="kormann")
    assert "Kormann" in weights.attrs["method"]
    reasons = exclusions(inputs, model="kormann")
    assert weights.attrs["n"] == reasons.isna().sum() == 36
    assert json.loads(weights.attrs["excluded"])["ol not such that zm / ol in -2 to 1"] == 2
    assert str(reasons[2]) == "ol not present"
    assert "power m" in str(reasons[3])
    with_h = footprint_climatology(**inputs | {"h": np.full(40, np.nan)}, grid=square(20, 20), model="kormann")
    np.testing.assert_array_equal(with_h, weights)


def test_the_sum_converges_to_the_whole_footprint_and_never_exceeds_it():
    one = {"zm": 2.5, "umean": 3.0, "ol": -5.0, "sigmav": 0.7, "ustar": 0.3, "wind_dir": 45.0}
    sums = [float(footprint_climatology(**one, grid=square(n, 20.0), model="kormann").sum()) for n in (5, 20, 100, 700)]
    assert sums == sorted(sums)
    assert 0.999 < sums[-1] <= 1


def test_a_misspelt_model_is_refused():
    with pytest.raises(ConfigError, match="kormann"):
        footprint_climatology(**record(3, 2.5), grid=square(5, 10), model="korman")


def test_memory_does_not_grow_with_the_half_hours():
    inputs, grid = record(8000, 10.0), square(50, 10)
    footprint_climatology(**record(10, 10.0), grid=grid, model="kormann")
    tracemalloc.start()
    weights = footprint_climatology(**inputs, grid=grid, model="kormann")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert weights.attrs["n"] > 7500
    assert peak < 32 << 20
