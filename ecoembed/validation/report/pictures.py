"""The picture of a place: Sentinel-2 in true colour beside the embedding, with the tower's footprint."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.cubes.pictures import TRUE_COLOUR, clearest_date, figure_png, pixels_of, true_colour
from ecoembed.embeddings.pictures.colours import dimensions, fit_colours
from ecoembed.errors import GridError
from ecoembed.footprints.maps import draw_place, overall


def picture_pair(
    cube: xr.DataArray,
    embedding: xr.DataArray | None,
    weights: xr.DataArray | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> bytes:
    """True colour beside the colours of the embedding, on the date with the most valid pixels in both.

    Without an embedding, true colour alone.

    Parameters
    ----------
    cube : xarray.DataArray, shape (time, band, y, x)
        Sentinel-2 reflectance; B04, B03, B02 are shown under one stretch for the three, so that colours stay true.
    embedding : xarray.DataArray, shape (time, band, y, x), or None
        `EmbeddingCube` on the same grid; its first three principal components over all dates are red, green and blue
        (:func:`ecoembed.embeddings.pictures.colours.fit_colours`).
    weights : xarray.DataArray, shape (y, x), optional
        Footprint on the same grid, of several periods their mean: the contours hold 50 and 80 % of the whole footprint.
        A footprint without gradient (a disc) is outlined.
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
        If the two have no date in common, or the embedding no valid pixels.
    """
    from matplotlib.figure import Figure

    for other in (embedding, weights):
        if other is not None and not (np.array_equal(other["x"], cube["x"]) and np.array_equal(other["y"], cube["y"])):
            raise GridError("not on the cube's grid", where=cube.attrs.get("site"), remedy="Rebuild both from one cube")
    shown = [(cube, TRUE_COLOUR)] if embedding is None else [(cube, TRUE_COLOUR), (embedding, dimensions(embedding))]
    date = clearest_date(*shown)
    images = [("Sentinel-2 true colour", true_colour(pixels_of(cube, date, TRUE_COLOUR)))]
    if embedding is not None:
        colours = fit_colours(embedding)
        images += [(f"embedding: {colours}", colours.rgb(pixels_of(embedding, date, dimensions(embedding))))]
    tower = _tower(cube, latitude, longitude)
    figure = Figure(figsize=(4.6 * len(images), 5.0), layout="constrained")
    axes = figure.subplots(1, len(images), squeeze=False)[0]
    for axis, (title, image) in zip(axes, images, strict=True):
        draw_place(axis, cube, tower, image, None if weights is None else overall(weights))
        axis.set_title(title, fontsize=10)
    figure.suptitle(f"{cube.attrs.get('site', '')}  {np.datetime_as_string(date, 'm')} UTC".strip(), fontsize=11)
    return figure_png(figure)


def _tower(cube: xr.DataArray, latitude: float | None, longitude: float | None) -> tuple[float, float]:
    """The tower in the cube's coordinates."""
    if latitude is None or longitude is None:
        return float(cube["x"].mean()), float(cube["y"].mean())
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", cube.rio.crs, always_xy=True).transform(longitude, latitude)
    return float(x), float(y)
