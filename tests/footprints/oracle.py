"""Independent answers: the authors' code (pyffp), and pixel integrals by quadrature of the paper's equations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from scipy.special import erf


def ffp(**inputs):
    """One footprint by the authors' code."""
    from pyffp.calc_footprint_FFP import FFP

    return FFP(**{"z0": None, "umean": None, "rs": None, **inputs})


def ffp_climatology(inputs, east, north):
    """Mean density of many half-hours by the authors' code, not smoothed, at the centres of an evenly spaced grid."""
    from pyffp.calc_footprint_FFP_climatology import FFP_climatology

    n = len(inputs["ustar"])
    series = {k: [float(x) for x in np.broadcast_to(v, n)] for k, v in inputs.items()}
    series = {"z0": [None] * n, "umean": [None] * n, **series}
    domain = [float(v) for v in (east[0], east[-1], north[0], north[-1])]
    answer = FFP_climatology(
        **series, domain=domain, nx=len(east) - 1, ny=len(north) - 1, rs=None, smooth_data=None, verbosity=0
    )
    assert answer["n"] == n
    return answer["fclim_2d"]


def record(n, zm, seed=0):
    """A plausible record of `n` half-hours."""
    rng = np.random.default_rng(seed)
    ustar = rng.uniform(0.15, 0.8, n)
    ol = np.where(rng.random(n) < 0.7, -np.exp(rng.uniform(1.5, 6.5, n)) * zm / 10, np.exp(rng.uniform(2, 6, n)) * zm)
    return {
        "zm": zm,
        "umean": ustar * rng.uniform(5, 12, n),
        "h": rng.uniform(300, 2000, n),
        "ol": ol,
        "sigmav": ustar * rng.uniform(1.6, 3, n),
        "ustar": ustar,
        "wind_dir": rng.uniform(0, 360, n),
    }


def northerly_pixels(s, t, east_edges, north_edges):
    """Exact pixel integrals for wind from the north: erf across, Gauss-Legendre along (Eqs. 10, 14, 18)."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    rows = np.zeros((north_edges.size - 1, east_edges.size - 1))
    for j, (low, high) in enumerate(pairwise(north_edges)):
        low = max(low, 0.1360 * s)
        if high <= low:
            continue
        panels = np.linspace(low, high, 33)
        half = np.diff(panels)[:, None] / 2
        x = ((panels[1:] + panels[:-1])[:, None] / 2 + half * nodes).ravel() / s
        f = 1.4524 * (x - 0.1359) ** -1.9914 * np.exp(-1.4622 / (x - 0.1359)) / s
        sigma = t * 2.17 * np.sqrt(1.66 * x**2 / (1 + 20 * x))
        across = np.diff(erf(east_edges[:, None] / (np.sqrt(2) * sigma)), axis=0) / 2
        rows[j] = across @ (f * (half * weights).ravel())
    return rows


@st.composite
def halfhour(draw, with_z0=None, zm=(1.5, 60.0)):
    """Valid inputs of one half-hour."""
    number = lambda low, high: draw(st.floats(low, high))  # noqa: E731
    height = number(*zm)
    unstable = draw(st.booleans())
    ol = -number(height / 15, 8000) if unstable else number(2 * height, 8000)
    inputs = {"zm": height, "h": height + number(50, 2500), "ol": ol, "ustar": number(0.11, 1.2)}
    inputs |= {"sigmav": number(0.8, 4) * inputs["ustar"], "wind_dir": number(0, 360)}
    if draw(st.booleans()) if with_z0 is None else with_z0:
        return inputs | {"z0": height / number(13, 400)}
    return inputs | {"umean": inputs["ustar"] * number(4, 20)}
