"""The inputs of a footprint and the bounds they must keep, checked alike for one half-hour and for many.

What holds for both models stands here; each model adds its own bounds (:func:`ecoembed.footprints.kljun.conditions`,
:func:`ecoembed.footprints.kormann.conditions`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecoembed.errors import FootprintError

Array = NDArray[np.float64]
Inputs = Mapping[str, Array]

#: In the order in which a missing value is looked for: what towers measure before what is estimated from it.
UNITS = {
    "zm": "m",
    "z0": "m",
    "ustar": "m s-1",
    "umean": "m s-1",
    "wind_dir": "degree",
    "ol": "m",
    "sigmav": "m s-1",
    "h": "m",
}
#: Highest roughness sublayer zm / z0, and lowest friction velocity (m s-1): FFP's, and taken for every model, as all
#: rest on developed turbulence above that layer.
ROUGHNESS_SUBLAYER, LOWEST_USTAR = 12.5, 0.1


class Condition(NamedTuple):
    """One bound: which variable it is about, how it reads, where it holds, and what helps to read the error."""

    variable: str
    bound: str
    holds: Callable[[Inputs], NDArray[np.bool_]]
    beside: tuple[str, ...] = ()
    remedy: str | None = None

    @property
    def reason(self) -> str:
        """Under what a half-hour that breaks it is counted."""
        return f"{self.variable} not {self.bound}"


_ALWAYS = (
    Condition(
        "zm", "> 0 m", lambda v: v["zm"] > 0, remedy="zm is the measurement height above the displacement height"
    ),
    Condition("ol", "other than 0 m", lambda v: v["ol"] != 0),
    Condition("sigmav", "> 0 m s-1", lambda v: v["sigmav"] > 0),
    Condition("ustar", f"> {LOWEST_USTAR} m s-1", lambda v: v["ustar"] > LOWEST_USTAR),
)
_ROUGHNESS = Condition("z0", "> 0 m", lambda v: v["z0"] > 0)
_SUBLAYER = Condition(
    "z0",
    f"< zm / {ROUGHNESS_SUBLAYER}, as zm must be above the roughness sublayer",
    lambda v: v["zm"] > ROUGHNESS_SUBLAYER * v["z0"],
    ("zm",),
    "Give umean instead of z0, or rslayer=True for a rough estimate",
)
_WIND = Condition("umean", "> 0 m s-1", lambda v: v["umean"] > 0)
_DIRECTION = Condition("wind_dir", "in 0 to 360 degree", lambda v: (v["wind_dir"] >= 0) & (v["wind_dir"] <= 360))


def gather(required: Sequence[str], given: Mapping[str, Any]) -> dict[str, Array]:
    """The inputs that a model uses, as float64 arrays; `z0` replaces `umean` where both are (the rule of FFP).

    Raises
    ------
    FootprintError
        If one of `required`, or both `z0` and `umean`, are absent.
    """
    absent = [name for name in required if given.get(name) is None]
    if given.get("z0") is None and given.get("umean") is None:
        absent.append("z0 or umean")
    if absent:
        raise FootprintError(
            f"required input absent: {', '.join(absent)}",
            where="footprint",
            expected=f"z0 or umean, {', '.join(required)}",
        )
    wind = "umean" if given.get("z0") is None else "z0"
    used = [name for name in UNITS if name in {*required, wind, "wind_dir"}]
    return {name: np.asarray(given[name], dtype=np.float64) for name in used if given.get(name) is not None}


def common(inputs: Inputs, rslayer: bool) -> list[Condition]:
    """The bounds that every model keeps; `rslayer` accepts heights inside the roughness sublayer, as in FFP."""
    wanted = [Condition(name, "present", lambda v, name=name: ~np.isnan(v[name])) for name in inputs]  # type: ignore[misc]
    wanted += _ALWAYS
    if "z0" in inputs:
        wanted += [_ROUGHNESS] if rslayer else [_ROUGHNESS, _SUBLAYER]
    else:
        wanted.append(_WIND)
    return wanted + ([_DIRECTION] if "wind_dir" in inputs else [])


def stability_between(lowest: float, highest: float) -> Condition:
    """A range of zm / ol."""
    bound = f">= {lowest:g}" if np.isinf(highest) else f"in {lowest:g} to {highest:g}"

    def holds(v: Inputs) -> NDArray[np.bool_]:
        stability = v["zm"] / np.where(v["ol"] == 0, np.nan, v["ol"])
        return np.asarray((stability >= lowest) & (stability <= highest))

    return Condition("ol", f"such that zm / ol {bound}", holds, ("zm",))


def require(inputs: Inputs, conditions: Sequence[Condition], model: str) -> None:
    """Raise the error of the first bound that a single set of inputs breaks.

    Raises
    ------
    FootprintError
        Naming the variable, its value, its unit and the bound.
    """
    broken = int(first_broken(inputs, conditions))
    if broken < 0:
        return
    condition = conditions[broken]
    found = [f"{name} = {float(inputs[name]):g} {UNITS[name]}" for name in (condition.variable, *condition.beside)]
    raise FootprintError(
        f"{condition.variable} is outside the range of the {model} footprint",
        where="footprint",
        found=found[0] + (f" with {', '.join(found[1:])}" if found[1:] else ""),
        expected=f"{condition.variable} {condition.bound}",
        remedy=condition.remedy,
    )


def first_broken(inputs: Inputs, conditions: Sequence[Condition]) -> NDArray[np.intp]:
    """Which of `conditions` each half-hour breaks first; -1 where it keeps them all."""
    broken = np.full(np.broadcast_shapes(*(v.shape for v in inputs.values())), -1)
    with np.errstate(all="ignore"):
        for k, condition in enumerate(conditions):
            broken = np.where((broken < 0) & ~condition.holds(inputs), k, broken)
    return broken
