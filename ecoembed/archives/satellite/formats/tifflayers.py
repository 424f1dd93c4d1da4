"""What the layers of a GeoTIFF hold, judged by its header, its name, and a description beside it; no values are read.

It is told, in this order, by a description in TOML, by the layer's own description (``B02``, ``B02_20190704``,
``20190704T105621_20190704T105828_T31UFS_B2`` as Earth Engine's ``toBands`` writes), and by the file's name
(``T31UFS_20190704T105621_B02_10m.tif``, ``SENTINEL-2_MSI_20LKP_B02_2018-07-12.tif``). The spellings that are known are
in :mod:`ecoembed.archives.satellite.names`. A file that neither is dated nor names a band (a terrain model) is no part
of a stack; one that tells half is refused, and asks for a TOML of its name, or ``stack.toml`` for all of the folder::

    bands = ["B02", "B03", "B04", "B08", "SCL"]     # of the layers, in their order
    dates = ["2019-07-04T10:56:21", "2019-07-09"]   # where one file holds several; or one, if its name has none
    order = "bands"                                 # what changes first from layer to layer: bands, or dates
    processing_baseline = "02.12"                   # and boa_offset_applied, orbit, where they are known
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ecoembed.archives.satellite.formats.tiffs import opened
from ecoembed.archives.satellite.grids import refuse_large
from ecoembed.archives.satellite.metadata import SPELLINGS
from ecoembed.archives.satellite.names import (
    find_band,
    find_baseline,
    find_tile,
    find_time,
    find_variable,
    known_names,
)
from ecoembed.errors import ConfigError, GridError, ProductError
from ecoembed.files import read_toml

_TOML = "Write {name}.toml (or stack.toml for all files of the folder) with bands = [...] and dates = [...]"


class Description(BaseModel):
    """The TOML beside a GeoTIFF: see the module's text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: tuple[str, ...] | None = Field(default=None, min_length=1)
    dates: tuple[str | datetime, ...] | None = Field(default=None, min_length=1)
    order: Literal["bands", "dates"] = "bands"
    processing_baseline: str | None = None
    boa_offset_applied: bool | None = None
    orbit: str | None = None


@dataclass(frozen=True)
class Grid:
    """Upper left corner, pixel (x to the right, y downwards where it is negative), size, and CRS as WKT or EPSG."""

    crs: str | None
    left: float
    top: float
    dx: float
    dy: float
    width: int
    height: int


@dataclass(frozen=True)
class Layer:
    """One band at one date: where it lies, and how its numbers are to be read."""

    path: Path
    index: int
    band: str
    time: np.datetime64
    tile: str
    dtype: str
    masked: bool
    attrs: dict[str, Any] = field(compare=False)
    facts: dict[str, str] = field(compare=False)


def scan(path: Path, described: dict[Path, Description]) -> tuple[Grid, list[Layer]]:
    """Grid and layers of a file; no layer where it is no part of a stack. `described` keeps what TOML was read.

    Raises
    ------
    FileError
        Truncated, or no GeoTIFF.
    ProductError
        Bands without dates, or several layers without names.
    ConfigError
        A description that does not fit.
    GridError
        Not on a grid.
    """
    with opened(path) as source:
        description = _description(path, described)
        named = _named(source, path, description)
        if not named:
            return _grid(source, path), []
        grid = _grid(source, path)
        together = source.count if source.profile.get("interleave") == "pixel" else 1
        refuse_large(
            (*source.block_shapes[0], together), np.dtype(source.dtypes[0]).itemsize, f"{path.name}, one block"
        )
        facts = _told(path, description, source.tags())
        layers = []
        for index, band, time in named:
            told = zip(("scale_factor", "add_offset", "_FillValue", "units"), (1.0, 0.0, None, None), strict=True)
            held = (source.scales, source.offsets, source.nodatavals, source.units)
            attrs = {key: own[index - 1] for (key, none), own in zip(told, held, strict=True) if own[index - 1] != none}
            masked = any(flag.name == "per_dataset" for flag in source.mask_flag_enums[index - 1])
            tile = find_tile(source.descriptions[index - 1] or "") or find_tile(path.stem) or ""
            layers.append(Layer(path, index, band, time, tile, source.dtypes[index - 1], masked, attrs, facts))
    return grid, layers


def _named(source: Any, path: Path, description: Description | None) -> list[tuple[int, str, np.datetime64]]:
    """(number of the layer, band, time) of the layers that a reader can use."""
    if description and description.bands:
        bands, times = _described(source.count, path, description)
    else:
        texts = [text or "" for text in source.descriptions]
        bands = [find_band(text) for text in texts]
        times = [find_time(text) for text in texts]
        if set(bands) == {None} and (source.count == 1 or all(times)):  # the file's band, its layers' dates
            bands = [find_band(path.stem)] * source.count
        if source.count > 1 and not any(texts) and find_time(path.stem) and not find_band(path.stem):
            refuse_unnamed(path)
    once = find_time(path.stem)
    if description and description.dates and len(description.dates) == 1:
        once = _time(description.dates[0], path)
    found = [(i, b, t or once) for i, (b, t) in enumerate(zip(bands, times, strict=True), 1) if b in known_names()]
    undated = [band for _, band, time in found if time is None]
    if undated:
        raise ProductError(
            "bands without a date",
            where=path.name,
            found=", ".join(map(str, undated)),
            expected="a date in the file's name or the layers' descriptions",
            remedy=_TOML.format(name=path.stem),
        )
    return [(index, str(band), time) for index, band, time in found if time is not None]


def _described(count: int, path: Path, description: Description) -> tuple[list[str | None], list[np.datetime64 | None]]:
    """Band and time of each layer, by the TOML."""
    bands = [find_variable(band) for band in description.bands or ()]
    dates: list[np.datetime64 | None] = [_time(date, path) for date in description.dates or ()]
    dates = dates or [None]
    if len(bands) * len(dates) != count:
        raise ConfigError(
            "the description does not fit the file",
            where=path.name,
            found=f"{count} layers",
            expected=f"{len(bands)} bands x {len(dates)} dates",
        )
    pairs = [(b, d) for d in dates for b in bands] if description.order == "bands" else []
    pairs = pairs or [(b, d) for b in bands for d in dates]
    return [band for band, _ in pairs], [date for _, date in pairs]


def _time(date: str | datetime, path: Path) -> np.datetime64:
    time = find_time(date if isinstance(date, str) else date.isoformat())
    if time is None:
        raise ConfigError("no date", where=path.name, found=date, expected="for example 2019-07-04T10:56:21")
    return time


def _description(path: Path, described: dict[Path, Description]) -> Description | None:
    for toml in (path.with_suffix(".toml"), path.with_name("stack.toml")):
        if toml in described or toml.is_file():
            described.setdefault(toml, read_toml(toml, Description))
            return described[toml]
    return None


def _told(path: Path, description: Description | None, tags: dict[str, str]) -> dict[str, str]:
    """What is known of the acquisition: by the TOML, the file's tags, or (baseline) its name."""
    told = {name: tags[s] for name, spellings in SPELLINGS.items() for s in spellings if s in tags}
    baseline = find_baseline(path.stem)
    own = {} if description is None else description.model_dump(exclude={"bands", "dates", "order"}, exclude_none=True)
    return ({"processing_baseline": baseline} if baseline else {}) | told | {key: str(v) for key, v in own.items()}


def _grid(source: Any, path: Path) -> Grid:
    t = source.transform
    if source.crs is not None and (t.is_identity or t.b or t.d):
        raise GridError(
            "the pixels are not placed on a grid",
            where=path.name,
            found="no geotransform" if t.is_identity else "a rotated one",
            expected="rows from north to south, columns from west to east",
            remedy="Warp it to the UTM zone of the place (gdalwarp -t_srs)",
        )
    crs = None if source.crs is None else source.crs.to_string()
    left, top, dx, dy = (round(v, 9) for v in (t.c, t.f, t.a, t.e))
    return Grid(crs, left, top, dx, dy, source.width, source.height)


def refuse_unnamed(path: Path) -> None:
    """Raise for a file that tells neither band nor date, and says how to describe it."""
    raise ProductError(
        "neither the layers of this GeoTIFF nor its name tell bands and dates",
        where=path.name,
        expected="descriptions such as B02 or B02_20190704, or a name such as B02_20190704.tif",
        remedy=_TOML.format(name=path.stem),
    )
