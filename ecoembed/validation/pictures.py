"""The picture of a place: Sentinel-2 in true colour beside the embedding, with the tower's footprint."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.errors import GridError, TableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["clearest_date", "figure_png", "footprint_share", "picture_pair", "stretch"]

_TRUE_COLOUR = ("B04", "B03", "B02")
_MISSING = 0.75  # grey of pixels without data
_SCALE_BAR = 100.0  # m


def picture_pair(
    cube: xr.DataArray,
    embedding: xr.DataArray,
    weights: xr.DataArray | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> bytes:
    """True colour beside the first three embedding components, on the date with the most valid pixels in both.

    Parameters
    ----------
    cube : xarray.DataArray, shape (time, band, y, x)
        Sentinel-2 reflectance; B04, B03, B02 are shown under one stretch for the three, so that colours stay true.
    embedding : xarray.DataArray, shape (time, band, y, x)
        `EmbeddingCube` on the same grid; z1, z2, z3 as red, green, blue, each stretched from its 2nd to its 98th
        percentile.
    weights : xarray.DataArray, shape (y, x), optional
        Footprint on the same grid: the contours hold 50 and 80 % of the whole footprint. A footprint without gradient
        (a disc) is outlined.
    latitude, longitude : float, optional
        Of the tower, in degrees; the centre of the cube by default.

    Returns
    -------
    bytes
        A PNG, north up.

    Raises
    ------
    GridError
        If the grids differ.
    TableError
        If the two have no date in common.
    """
    from matplotlib.figure import Figure

    for other in (embedding, weights):
        if other is not None and not (np.array_equal(other["x"], cube["x"]) and np.array_equal(other["y"], cube["y"])):
            raise GridError("not on the cube's grid", where=cube.attrs.get("site"), remedy="Rebuild both from one cube")
    date = clearest_date(cube, embedding)
    tower = _tower(cube, latitude, longitude)
    images = (
        ("Sentinel-2 true colour", stretch(_pixels(cube, date, _TRUE_COLOUR), together=True)),
        ("embedding: z1, z2, z3 as red, green, blue", stretch(_pixels(embedding, date, ("z1", "z2", "z3")))),
    )
    figure = Figure(figsize=(9.2, 5.0), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, (title, image) in zip(axes, images, strict=True):
        _draw(axis, image, cube, tower, weights)
        axis.set_title(title, fontsize=10)
    figure.suptitle(f"{cube.attrs.get('site', '')}  {np.datetime_as_string(date, 'm')} UTC".strip(), fontsize=11)
    return figure_png(figure)


def clearest_date(cube: xr.DataArray, embedding: xr.DataArray) -> np.datetime64:
    """The date, common to both, on which the smaller of the two valid shares is highest."""
    common = np.intersect1d(cube["time"].values, embedding["time"].values)
    if len(common) == 0:
        raise TableError("cube and embedding have no date in common", where=cube.attrs.get("site"))
    shares = [
        c.sel(time=common, band=list(bands)).notnull().all("band").mean(("y", "x")).values
        for c, bands in ((cube, _TRUE_COLOUR), (embedding, ("z1", "z2", "z3")))
    ]
    date: np.datetime64 = common[int(np.argmax(np.minimum(*shares)))]
    return date


def stretch(image: np.ndarray, together: bool = False) -> np.ndarray:
    """(y, x, 3) in [0, 1] between its 2nd and 98th percentile (channel by channel, or `together`); missing is grey."""
    axis = None if together else (0, 1)
    valid = np.isfinite(image).all(axis=-1)
    low, high = np.nanpercentile(np.where(valid[..., None], image, np.nan), (2, 98), axis=axis)
    scaled = np.clip((image - low) / np.maximum(high - low, 1e-9), 0, 1)
    return np.where(valid[..., None], scaled, _MISSING)


def footprint_share(weights: np.ndarray) -> np.ndarray:
    """For each pixel, the share of the footprint in all pixels that weigh at least as much; 1 where there is none."""
    flat = np.sort(weights.ravel())[::-1]
    share = np.cumsum(flat)[np.searchsorted(-flat, -weights.ravel(), side="right") - 1]
    return np.where(weights > 0, share.reshape(weights.shape), 1.0)


def figure_png(figure: Figure, dpi: int = 130) -> bytes:
    """A figure as PNG bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def _pixels(cube: xr.DataArray, date: np.datetime64, bands: tuple[str, ...]) -> np.ndarray:
    image: np.ndarray = cube.sel(time=date, band=list(bands)).transpose("y", "x", "band").values
    return image.astype(float)


def _tower(cube: xr.DataArray, latitude: float | None, longitude: float | None) -> tuple[float, float]:
    """The tower in the cube's coordinates."""
    if latitude is None or longitude is None:
        return float(cube["x"].mean()), float(cube["y"].mean())
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", cube.rio.crs, always_xy=True).transform(longitude, latitude)
    return float(x), float(y)


def _draw(
    axis: Axes, image: np.ndarray, cube: xr.DataArray, tower: tuple[float, float], weights: xr.DataArray | None
) -> None:
    from matplotlib import patheffects

    x, y = cube["x"].values - tower[0], cube["y"].values - tower[1]
    half = abs(float(x[1] - x[0])) / 2
    left, right, bottom, top = x.min() - half, x.max() + half, y.min() - half, y.max() + half
    axis.imshow(image, extent=(left, right, bottom, top), origin="upper", interpolation="nearest")
    halo = [patheffects.withStroke(linewidth=2.5, foreground="black")]
    style: dict[str, Any] = {"color": "white", "path_effects": halo}
    if weights is not None:
        _contours(axis, x, y, weights.values, halo)
    axis.plot(0, 0, marker="+", markersize=12, markeredgewidth=1.8, **style)
    axis.annotate("tower", (0, 0), xytext=(6, 6), textcoords="offset points", fontsize=8, **style)
    margin = 0.06 * (right - left)
    ends = [left + margin, left + margin + _SCALE_BAR]
    axis.plot(ends, [bottom + margin] * 2, linewidth=3, solid_capstyle="butt", **style)
    axis.text(left + margin, bottom + 1.4 * margin, f"{_SCALE_BAR:.0f} m", fontsize=8, **style)
    arrow = {"arrowstyle": "<-", "color": "white", "linewidth": 1.5, "path_effects": halo}
    axis.annotate("N", (right - margin, top - 0.5 * margin), xytext=(right - margin, top - 3 * margin),
                  ha="center", va="center", fontsize=9, arrowprops=arrow | {"arrowstyle": "->"}, **style)  # fmt: skip
    axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])


def _contours(axis: Axes, x: np.ndarray, y: np.ndarray, weights: np.ndarray, halo: list[Any]) -> None:
    share = footprint_share(weights)
    levels = [level for level in (0.5, 0.8) if share[weights > 0].min(initial=1) < level < weights.sum()]
    if not levels:
        lines = axis.contour(x, y, (weights > 0).astype(float), levels=[0.5], colors="white", linewidths=1.2)
        lines.set_path_effects(halo)
        return
    lines = axis.contour(x, y, share, levels=levels, colors="white", linewidths=1.2)
    lines.set_path_effects(halo)
    labels = axis.clabel(lines, fmt=lambda level: f"{100 * level:.0f} %", fontsize=8, inline=False)
    for label in labels:
        label.set_path_effects(halo)
