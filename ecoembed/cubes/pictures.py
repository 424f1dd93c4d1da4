"""Cubes as pictures: true colour, which date to show, and figures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.errors import ConfigError, FileError, TableError
from ecoembed.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Sentinel-2's bands for red, green and blue.
TRUE_COLOUR = ("B04", "B03", "B02")
#: Grey of pixels without data.
MISSING = 0.75
_GAMMA = 0.6
#: What a picture's file may be, and how its date is left out of it: the same picture is the same file.
_UNDATED: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def clearest_date(*images: tuple[xr.DataArray, tuple[str, ...]]) -> np.datetime64:
    """The date, common to all cubes, on which the smallest share of pixels valid in their bands is highest.

    Of several such dates the greenest (median NDVI of the first cube, where it has the bands): a GPP tower is looked at
    in its season, and at the first date an embedding has seen nothing before.

    Raises
    ------
    TableError
        If they have no date in common.
    """
    common = images[0][0]["time"].values
    for cube, _ in images[1:]:
        common = np.intersect1d(common, cube["time"].values)
    if len(common) == 0:
        raise TableError("the cubes have no date in common", where=images[0][0].attrs.get("site"))
    shares = [clear_shares(cube.sel(time=common), bands) for cube, bands in images]
    least = np.min(shares, axis=0)
    clearest = images[0][0].sel(time=common[least == least.max()])
    date: np.datetime64 = clearest["time"].values[_greenest(clearest)]
    return date


def _greenest(cube: xr.DataArray) -> int:
    """Number of the date with the highest median NDVI; the first where the bands are not there."""
    if not {"B04", "B08"} <= set(cube["band"].values):
        return 0
    red, infrared = (cube.sel(band=band) for band in ("B04", "B08"))
    total = infrared + red
    ndvi = ((infrared - red) / total.where(total > 0)).median(("y", "x"))
    return int(np.argmax(ndvi.fillna(-1.0).values))


def clear_shares(cube: xr.DataArray, bands: tuple[str, ...] = TRUE_COLOUR) -> np.ndarray:
    """Share of pixels valid in all these bands, shape (time,)."""
    shares: np.ndarray = cube.sel(band=list(bands)).notnull().all("band").mean(("y", "x")).values
    return shares


def pixels_of(cube: xr.DataArray, date: np.datetime64, bands: tuple[str, ...]) -> np.ndarray:
    """Some bands of one date, shape (y, x, band)."""
    image: np.ndarray = cube.sel(time=date, band=list(bands)).transpose("y", "x", "band").values
    return image.astype(float)


def true_colour(image: np.ndarray) -> np.ndarray:
    """Reflectance (..., 3) as the eye takes it, in [0, 1]: black is none, white the 98th percentile; missing is grey.

    One scale for the three bands, and for all dates passed together, keeps hues; the exponent lifts what is dark, as
    leaves are. Dark scenes stay dark: white is a reflectance of 0.2 at least.
    """
    valid = np.isfinite(image).all(axis=-1)
    white = max(0.2, float(np.percentile(image[valid], 98))) if valid.any() else 1.0
    scaled = np.clip(image / white, 0, 1) ** _GAMMA
    return np.where(valid[..., None], scaled, MISSING)


def figure_png(figure: Figure, dpi: int = 130) -> bytes:
    """A figure as PNG bytes."""
    return _rendered(figure, ".png", dpi)


def check_picture(path: str | Path) -> Path:
    """`path`, if a figure can be written there; cheap, so that a wrong one is refused before any work.

    Raises
    ------
    ConfigError
        If it does not end in .png, .svg or .pdf.
    FileError
        If it is a folder.
    """
    if Path(path).is_dir():
        raise FileError("the picture's name is that of a folder", where=path, remedy="Choose another name")
    if Path(path).suffix.lower() not in _UNDATED:
        expected = ", ".join(_UNDATED)
        remedy = "Give the picture's file one of these endings"
        found = Path(path).suffix or "no ending"
        raise ConfigError("not a picture's file", where=path, found=found, expected=expected, remedy=remedy)
    return Path(path)


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a figure as PNG, SVG or PDF, by its ending; the same figure gives the same file.

    Raises
    ------
    ConfigError
        If the ending is another.
    """
    content = _rendered(figure, check_picture(path).suffix.lower(), dpi)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _rendered(figure: Figure, ending: str, dpi: int) -> bytes:
    from matplotlib import rc_context

    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "ecoembed"}):
        figure.savefig(stream, format=ending[1:], dpi=dpi, metadata=_UNDATED[ending])
    return stream.getvalue()
