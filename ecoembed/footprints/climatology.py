"""The footprint of many half-hours as weights on a grid."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from ecoembed.errors import FootprintError, check_name
from ecoembed.footprints import kljun, kormann
from ecoembed.footprints.kljun_density import kljun_weights
from ecoembed.footprints.kormann_density import kormann_weights
from ecoembed.footprints.pixels import Pixels, on_grid, pixels_around
from ecoembed.footprints.validity import Array, Condition, Inputs, first_broken, gather


def footprint_climatology(
    zm: ArrayLike,
    z0: ArrayLike | None = None,
    umean: ArrayLike | None = None,
    h: ArrayLike | None = None,
    ol: ArrayLike | None = None,
    sigmav: ArrayLike | None = None,
    ustar: ArrayLike | None = None,
    wind_dir: ArrayLike | None = None,
    *,
    grid: Any,
    x: float | None = None,
    y: float | None = None,
    model: str = "kljun",
    rslayer: bool = False,
    notes: Mapping[str, str] | None = None,
) -> xr.DataArray:
    """Mean footprint of many half-hours, as the share that each pixel of a grid contributes.

    Parameters
    ----------
    zm, z0, umean, h, ol, sigmav, ustar, wind_dir : array-like, shape (half-hours,), or a number for all
        As in :func:`ecoembed.footprints.kljun.footprint`; `wind_dir` is required too. A half-hour with a missing or
        invalid value is left out and counted under the first bound that it breaks (:func:`exclusions` says which).
    grid : object with coordinates x and y
        Pixel centres in m (a Cube).
    x, y : float, optional
        The tower in the grid's coordinates, m. Default: the grid's centre.
    model : {"kljun", "kormann"}
        Kljun et al. (2015), or :mod:`Kormann and Meixner (2001) <ecoembed.footprints.kormann>`, which does not use `h`.
    rslayer : bool
        Accept heights inside the roughness sublayer.
    notes : mapping, optional
        How the inputs came about (:func:`ecoembed.footprints.turbulence.turbulence`); kept in the attributes.

    Returns
    -------
    xr.DataArray
        Weights (y, x), >= 0. Their sum is the share of the footprint inside the grid, also in ``attrs["inside"]``;
        ``n`` half-hours used, ``excluded`` (JSON: reason -> half-hours), ``method`` and ``notes`` (JSON) beside it.

    Raises
    ------
    FootprintError
        If an input is absent, shapes differ, or no half-hour is valid.
    GridError
        If the tower is outside the grid, or the grid is not regular in metres.

    Notes
    -----
    A weight is the density's mean over the pixel (not its value at the centre) times the pixel's area. On a grid that
    holds the peak it is exact to 5e-4 of the largest weight, for a single half-hour to 3e-3. Nothing is normalised and
    nothing smoothed: density is the reference's own, but Kljun's ends where it has integrated to 1.

    Source: Kljun et al. (2015), doi 10.5194/gmd-8-3695-2015; Kormann and Meixner (2001), doi 10.1023/A:1018991015119.

    Examples
    --------
    >>> grid = {"x": np.arange(-495.0, 500, 10), "y": np.arange(495.0, -500, -10)}
    >>> weights = footprint_climatology(
    ...     zm=2.5, umean=3.0, h=1000, ol=-20, sigmav=0.6, ustar=[0.3, 0.05], wind_dir=[225, 250], grid=grid
    ... )
    >>> weights.attrs["n"], weights.attrs["excluded"]
    (1, '{"ustar not > 0.1 m s-1": 1}')
    >>> round(float(weights.sum()), 2)
    0.98
    """
    pixels = pixels_around(grid, x, y)
    given = {"zm": zm, "z0": z0, "umean": umean, "h": h, "ol": ol, "sigmav": sigmav, "ustar": ustar}
    inputs, reasons = _screened({**given, "wind_dir": wind_dir}, model, rslayer)
    excluded = reasons.value_counts()
    counts = {str(reason): int(n) for reason, n in excluded[excluded > 0].items()}
    valid = reasons.isna()
    if not valid.any():
        raise FootprintError(
            "no valid half-hour",
            where="footprint climatology",
            found=json.dumps(counts) if counts else "0 half-hours",
            expected="at least 1",
            remedy="Check units and heights, or use fixed_radius",
        )
    weights = MODELS[model].weights(pixels, {name: values[valid] for name, values in inputs.items()})
    total = float(weights.sum())
    if total > 1:  # where all is inside, sampling may overshoot
        weights *= (1 - 1e-12) / total
    return on_grid(
        weights,
        grid,
        method=f"footprint climatology, {MODELS[model].name}",
        inside=float(weights.sum()),
        n=int(valid.sum()),
        excluded=json.dumps(counts),
        tower_x=pixels.tower[0],
        tower_y=pixels.tower[1],
        units="1",
        **({"notes": json.dumps(dict(notes))} if notes else {}),
    )


def exclusions(inputs: Mapping[str, Any], *, model: str = "kljun", rslayer: bool = False) -> pd.Categorical:
    """Why each half-hour is left out of a climatology.

    Parameters
    ----------
    inputs : mapping
        The arguments of :func:`footprint_climatology` that describe half-hours, by name.
    model, rslayer
        As there.

    Returns
    -------
    pd.Categorical, shape (half-hours,)
        The first bound that the half-hour breaks, under the name by which it is counted; missing where it is used.

    Raises
    ------
    FootprintError
        If an input is absent, or shapes differ.

    Examples
    --------
    >>> inputs = {"zm": 2.5, "umean": 3.0, "h": 1000, "ol": [-20, 0, 40], "sigmav": 0.6, "ustar": 0.3}
    >>> list(exclusions({**inputs, "wind_dir": 225}))
    [nan, 'ol not other than 0 m', nan]
    """
    return _screened(inputs, model, rslayer)[1]


def _screened(given: Mapping[str, Any], model: str, rslayer: bool) -> tuple[dict[str, Array], pd.Categorical]:
    """The model's inputs as arrays of one length, and why half-hours are left out."""
    chosen = MODELS[check_name(model, MODELS, "footprint model", where="footprint climatology")]
    inputs = _series(gather((*chosen.required, "wind_dir"), given))
    conditions = chosen.conditions(inputs, rslayer)
    reasons = [condition.reason for condition in conditions]
    return inputs, pd.Categorical.from_codes(first_broken(inputs, conditions), reasons)


class Model(NamedTuple):
    """What a climatology needs of a footprint model."""

    name: str
    required: tuple[str, ...]
    conditions: Callable[[Inputs, bool], list[Condition]]
    weights: Callable[[Pixels, Inputs], Array]


def _series(inputs: dict[str, Array]) -> dict[str, Array]:
    """All inputs as arrays of one length."""
    lengths = {name: v.shape for name, v in inputs.items() if v.ndim}
    if any(len(shape) > 1 for shape in lengths.values()) or len(set(lengths.values())) > 1:
        raise FootprintError(
            "inputs of different shapes",
            where="footprint climatology",
            found=lengths,
            expected="one value for each half-hour, or one for all",
        )
    shape = next(iter(lengths.values()), (1,))
    return {name: np.broadcast_to(v, shape) for name, v in inputs.items()}


#: The models by the name under which they are asked for.
MODELS = {
    "kljun": Model(kljun.NAME, kljun.REQUIRED, kljun.conditions, kljun_weights),
    "kormann": Model(kormann.NAME, kormann.REQUIRED, kormann.conditions, kormann_weights),
}
