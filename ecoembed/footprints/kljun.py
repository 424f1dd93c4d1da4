"""The flux footprint of one half-hour: the parameterisation FFP of Kljun et al. (2015).

Source: Kljun, N., Calanca, P., Rotach, M. W., Schmid, H. P. (2015): A simple two-dimensional parameterisation for Flux
Footprint Prediction (FFP). Geosci. Model Dev. 8, 3695-3713, doi 10.5194/gmd-8-3695-2015. Equation numbers below are
that paper's. Written from its equations.

In scaled coordinates every footprint is the same function. With a streamwise length ``S`` and a crosswind length
``T``::

    f(x, y) = F*(x / S) / S  *  normal density of y with standard deviation T sigma*(x / S)

so that a half-hour is fully described by (S, T, wind direction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ecoembed.errors import FootprintError
from ecoembed.footprints.validity import Array, Condition, Inputs, common, gather, require, stability_between

#: Parameters of the crosswind-integrated footprint (Eq. 17) and of its crosswind dispersion (Eq. 19).
A, B, C, D = 1.4524, -1.9914, 1.4622, 0.1359
AC, BC, CC = 2.17, 1.66, 20.0
VON_KARMAN = 0.4
#: How results and errors name the model, and what it needs beside z0 or umean.
NAME, REQUIRED = "Kljun et al. (2015)", ("zm", "h", "ol", "sigmav", "ustar")
#: Lowest wind-profile stability zm / ol (Eq. 27).
LOWEST_STABILITY = -15.5
#: Beyond this Obukhov length (m), of either sign, stratification counts as neutral; the length used there.
NEUTRAL_LENGTH, NEUTRAL = 5000.0, -1e6
#: Scaled distance of the peak (Eq. 20) and the far end of the reference's own grid.
PEAK, FAR_END = -C / B + D, 30.0


def stability_correction(zm: Array, ol: Array) -> Array:
    """Integrated stability function of the wind profile, dimensionless (Eq. 5)."""
    with np.errstate(invalid="ignore", over="ignore"):
        chi = (1 - 19 * zm / ol) ** 0.25
        unstable = np.log((1 + chi**2) / 2) + 2 * np.log((1 + chi) / 2) - 2 * np.arctan(chi) + np.pi / 2
    return np.where((ol > 0) & (ol < NEUTRAL_LENGTH), -5.3 * zm / ol, unstable)


def conditions(inputs: Inputs, rslayer: bool) -> list[Condition]:
    """The range in which the parameterisation holds: the bounds that the authors' FFP code v1.42 checks.

    The paper's Eq. 27 is narrower at the heights' ends: 20 z0 < zm < the height of the entrainment layer.
    """
    own = [
        Condition("h", "> 10 m", lambda v: v["h"] > 10),
        Condition("zm", "< h, the boundary-layer height", lambda v: v["zm"] < v["h"], ("h",)),
        stability_between(LOWEST_STABILITY, np.inf),
    ]
    if "z0" in inputs:
        solved = Condition(
            "z0",
            "such that ln(zm / z0) - psi > 0 (Eq. 7): the wind profile has no solution at zm",
            lambda v: _profile(v) > 0,
            ("zm", "ol"),
            "Check z0, or give umean instead",
        )
        own.append(solved)
    return common(inputs, rslayer) + own


def _profile(inputs: Inputs) -> Array:
    """Wind speed at `zm` over ustar / k: the fourth of the paper's dimensionless groups (Eq. 4)."""
    if "z0" in inputs:
        return np.log(inputs["zm"] / inputs["z0"]) - stability_correction(inputs["zm"], inputs["ol"])
    return inputs["umean"] / inputs["ustar"] * VON_KARMAN


def scales(inputs: Inputs) -> tuple[Array, Array]:
    """Streamwise length ``S`` and crosswind length ``T`` in m of valid inputs (Eqs. 6, 7 and 13)."""
    zm, ol = inputs["zm"], inputs["ol"]
    streamwise = zm / (1 - zm / inputs["h"]) * _profile(inputs)
    length = np.where(np.abs(ol) > NEUTRAL_LENGTH, NEUTRAL, ol)
    dispersion = np.minimum(1.0, 1e-5 * np.abs(length / zm) + np.where(length <= 0, 0.80, 0.55))
    return streamwise, zm * inputs["sigmav"] / inputs["ustar"] / dispersion


def scaled_footprint(x: Array) -> Array:
    """Crosswind-integrated footprint ``F*`` at scaled distances (Eq. 14); zero up to ``D``."""
    u = np.maximum(np.asarray(x, dtype=np.float64) - D, np.finfo(float).tiny)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        value = A * u**B * np.exp(-C / u)
    return np.where(u > 1e-3, value, 0.0)


def scaled_dispersion(x: Array) -> Array:
    """Crosswind standard deviation ``sigma_y*`` at scaled distances (Eq. 18)."""
    return AC * np.sqrt(BC * x**2 / (1 + CC * x))


@dataclass(frozen=True)
class Footprint:
    """One footprint, with FFP's own names; the two-dimensional field is computed when it is first asked for.

    Attributes
    ----------
    x_ci_max : float
        Upwind distance of the peak, m.
    x_ci, f_ci : array, shape (nx + 1,)
        Upwind distance, m, and the crosswind-integrated footprint there, m-1.
    x_2d, y_2d, f_2d : array, shape (nx + 1, ny)
        Positions, m, and footprint, m-2. Without `wind_dir` x is upwind and y across; with it x is east and y north
        of the tower.
    fr : dict
        Share of the source area -> footprint value, m-2, whose contour encloses it (None where the field holds less).
    """

    x_ci_max: float
    x_ci: Array
    f_ci: Array
    wind_dir: float | None
    rs: tuple[float, ...]
    _sigma_y: Array = field(repr=False)

    @cached_property
    def f_2d(self) -> Array:
        centre = self.f_ci / (np.sqrt(2 * np.pi) * self._sigma_y)  # Eq. 10
        return centre[:, None] * np.exp(-(self._across**2) / (2 * self._sigma_y[:, None] ** 2))

    @cached_property
    def x_2d(self) -> Array:
        return self._rotated[0]

    @cached_property
    def y_2d(self) -> Array:
        return self._rotated[1]

    @cached_property
    def fr(self) -> dict[float, float | None]:
        step = self.x_ci[2] - self.x_ci[1]
        falling = np.sort(self.f_2d, axis=None)[::-1]
        inside = np.cumsum(falling) * step**2
        nearest = {r: int(np.abs(inside - r).argmin()) for r in self.rs}
        return {r: float(falling[i]) if inside[-1] >= r else None for r, i in nearest.items()}

    @cached_property
    def _across(self) -> Array:
        step = self.x_ci[2] - self.x_ci[1]
        half = np.arange(np.ceil(self.x_ci.size / 2 * 1.5)) * step  # the width of the reference's field
        return np.concatenate([-half[:0:-1], half])

    @cached_property
    def _rotated(self) -> tuple[Array, Array]:
        x, y = np.meshgrid(self.x_ci, self._across, indexing="ij")
        if self.wind_dir is None:
            return x, y
        sin, cos = np.sin(np.radians(self.wind_dir)), np.cos(np.radians(self.wind_dir))
        return x * sin - y * cos, x * cos + y * sin


def footprint(
    zm: float,
    z0: float | None = None,
    umean: float | None = None,
    h: float | None = None,
    ol: float | None = None,
    sigmav: float | None = None,
    ustar: float | None = None,
    wind_dir: float | None = None,
    *,
    rs: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    nx: int = 1000,
    rslayer: bool = False,
) -> Footprint:
    """The footprint of one half-hour; arguments are named as in FFP.

    Parameters
    ----------
    zm : float
        Measurement height above the displacement height, m.
    z0, umean : float
        Roughness length, m, or mean wind speed at `zm`, m s-1. One is required; `z0` is used where both are given.
    h, ol : float
        Boundary-layer height and Obukhov length, m (an infinite `ol` is neutral). Required.
    sigmav, ustar : float
        Standard deviation of the crosswind and friction velocity, m s-1. Required.
    wind_dir : float, optional
        Degrees clockwise from north, from which the wind blows; rotates the two-dimensional field.
    rs : sequence of float
        Shares of the source area, 0 to 0.9, for which `fr` gives the contour's level.
    nx : int
        Intervals of the scaled distance; at least 600, as in FFP.
    rslayer : bool
        Accept a `zm` inside the roughness sublayer (zm <= 12.5 z0): a rough estimate only.

    Returns
    -------
    Footprint

    Raises
    ------
    FootprintError
        If an input is absent or outside the range in which the parameterisation holds.

    Notes
    -----
    Nothing is normalised: on its own grid, which ends at the scaled distance 30, the curve integrates to 0.952, like
    the authors' code. The tail beyond holds the rest.

    Source: Kljun et al. (2015), doi 10.5194/gmd-8-3695-2015; agrees with FFP v1.42.

    Examples
    --------
    >>> near = footprint(zm=20, z0=0.1, h=2000, ol=-100, sigmav=0.6, ustar=0.4, wind_dir=30)
    >>> round(near.x_ci_max, 2)
    84.08
    >>> near.f_2d.shape
    (1001, 1501)
    """
    inputs = one_halfhour(
        REQUIRED, zm=zm, z0=z0, umean=umean, h=h, ol=ol, sigmav=sigmav, ustar=ustar, wind_dir=wind_dir
    )
    require_options(rs, nx)
    require(inputs, conditions(inputs, rslayer), NAME)
    s, t = (float(v) for v in scales(inputs))
    x = np.linspace(D, FAR_END, nx + 2)[1:]
    return Footprint(PEAK * s, x * s, scaled_footprint(x) / s, wind_dir, tuple(rs), t * scaled_dispersion(x))


def one_halfhour(required: Sequence[str], **given: float | None) -> dict[str, Array]:
    """The inputs of a single half-hour.

    Raises
    ------
    FootprintError
        If an input is absent, or holds more than one value.
    """
    inputs = gather(required, given)
    many = {name: v.shape for name, v in inputs.items() if v.ndim}
    if many:
        raise FootprintError(
            "more than one half-hour",
            where="footprint",
            found=many,
            expected="numbers",
            remedy="Use footprint_climatology for many half-hours",
        )
    return inputs


def require_options(rs: Sequence[float], nx: int) -> None:
    """Refuse shares and numbers of intervals outside FFP's own range.

    Raises
    ------
    FootprintError
        Naming both.
    """
    if any(not 0 < r <= 0.9 for r in rs):
        raise FootprintError("source-area share out of range", found=list(rs), expected="shares in (0, 0.9]")
    if nx < 600:
        raise FootprintError("too few intervals", found=f"nx = {nx}", expected="nx >= 600, as in FFP")
