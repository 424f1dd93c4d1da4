"""The range in which the Kljun et al. (2015) parameterisation holds, stated once for one footprint and for many.

Source: Kljun et al. (2015), doi 10.5194/gmd-8-3695-2015, Eq. 27, as the authors' FFP code v1.42 checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecoembed.errors import FootprintError

Array = NDArray[np.float64]
Inputs = Mapping[str, Array]

UNITS = {
    "zm": "m",
    "z0": "m",
    "umean": "m s-1",
    "h": "m",
    "ol": "m",
    "sigmav": "m s-1",
    "ustar": "m s-1",
    "wind_dir": "degree",
}
#: Lowest wind-profile stability zm / ol, highest roughness sublayer zm / z0, lowest friction velocity (m s-1).
LOWEST_STABILITY, ROUGHNESS_SUBLAYER, LOWEST_USTAR = -15.5, 12.5, 0.1


class Condition(NamedTuple):
    """One bound: which variable it is about, how it reads, and where it holds."""

    variable: str
    bound: str
    holds: Callable[[Inputs], NDArray[np.bool_]]


_ALWAYS = (
    Condition("zm", "> 0 m", lambda v: v["zm"] > 0),
    Condition("h", "> 10 m", lambda v: v["h"] > 10),
    Condition("zm", "< h, the boundary-layer height", lambda v: v["zm"] < v["h"]),
    Condition("ol", "other than 0 m", lambda v: v["ol"] != 0),
    Condition(
        "ol",
        f"such that zm / ol >= {LOWEST_STABILITY}",
        lambda v: v["zm"] / np.where(v["ol"] == 0, np.nan, v["ol"]) >= LOWEST_STABILITY,
    ),
    Condition("sigmav", "> 0 m s-1", lambda v: v["sigmav"] > 0),
    Condition("ustar", f"> {LOWEST_USTAR} m s-1", lambda v: v["ustar"] > LOWEST_USTAR),
)
_ROUGHNESS = (Condition("z0", "> 0 m", lambda v: v["z0"] > 0),)
_SUBLAYER = (
    Condition(
        "z0",
        f"< zm / {ROUGHNESS_SUBLAYER}, as zm must be above the roughness sublayer",
        lambda v: v["zm"] > ROUGHNESS_SUBLAYER * v["z0"],
    ),
)
_WIND = (Condition("umean", "> 0 m s-1", lambda v: v["umean"] > 0),)
_DIRECTION = (Condition("wind_dir", "in 0 to 360 degree", lambda v: (v["wind_dir"] >= 0) & (v["wind_dir"] <= 360)),)


def gather(**given: Any) -> dict[str, Array]:
    """The inputs that were given, as float64 arrays; `z0` replaces `umean` where both are (the rule of FFP).

    Raises
    ------
    FootprintError
        If a required input is absent.
    """
    required = [name for name in ("zm", "h", "ol", "sigmav", "ustar") if given.get(name) is None]
    if given.get("z0") is None and given.get("umean") is None:
        required.append("z0 or umean")
    if required:
        raise FootprintError(
            f"required input absent: {', '.join(required)}",
            where="footprint",
            expected="zm, z0 or umean, h, ol, sigmav, ustar",
        )
    if given.get("z0") is not None:
        given["umean"] = None
    inputs = {name: np.asarray(value, dtype=np.float64) for name, value in given.items() if value is not None}
    return dict(inputs)


def conditions(inputs: Inputs, rslayer: bool) -> list[Condition]:
    """The bounds that apply to these inputs; `rslayer` accepts heights inside the roughness sublayer, as in FFP."""
    wanted = [Condition(name, "present", lambda v, name=name: ~np.isnan(v[name])) for name in inputs]  # type: ignore[misc]
    wanted += _ALWAYS
    if "z0" in inputs:
        wanted += _ROUGHNESS + (() if rslayer else _SUBLAYER)
    else:
        wanted += _WIND
    return wanted + list(_DIRECTION if "wind_dir" in inputs else ())


def require(inputs: Inputs, rslayer: bool) -> None:
    """Raise the error of the first bound that a single set of inputs breaks.

    Raises
    ------
    FootprintError
        Naming the variable, its value, its unit and the bound.
    """
    for condition in conditions(inputs, rslayer):
        if not bool(condition.holds(inputs)):
            name = condition.variable
            raise FootprintError(
                f"{name} is outside the range of the Kljun et al. (2015) footprint",
                where="footprint",
                found=f"{name} = {float(inputs[name]):g} {UNITS[name]}{_beside(condition, inputs)}",
                expected=f"{name} {condition.bound}",
                remedy=_remedy(condition),
            )


def _beside(condition: Condition, inputs: Inputs) -> str:
    """The second variable of a bound that compares two."""
    if condition in _SUBLAYER or "zm / ol" in condition.bound:
        return f" with zm = {float(inputs['zm']):g} m"
    return f" with h = {float(inputs['h']):g} m" if "< h" in condition.bound else ""


def _remedy(condition: Condition) -> str | None:
    if condition in _SUBLAYER:
        return "Give umean instead of z0, or rslayer=True for a rough estimate"
    if condition.variable == "zm":
        return "zm is the measurement height above the displacement height"
    return None


def screen(inputs: Inputs, rslayer: bool) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which half-hours are valid, and how many are not, each counted once under the first bound that it breaks.

    Parameters
    ----------
    inputs : mapping of str to array
        Arrays of one shape (n,).

    Returns
    -------
    valid : array of bool, shape (n,)
    excluded : dict
        Reason -> number of half-hours; reasons that do not occur are left out.
    """
    valid = np.ones(np.broadcast_shapes(*(v.shape for v in inputs.values())), dtype=bool)
    excluded: dict[str, int] = {}
    for condition in conditions(inputs, rslayer):
        broken = valid & ~condition.holds(inputs)
        if broken.any():
            excluded[f"{condition.variable} not {condition.bound}"] = int(broken.sum())
            valid &= ~broken
    return valid, excluded
