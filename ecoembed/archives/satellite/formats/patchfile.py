"""The TOML that describes an HDF5 file of patches and bears its name (``patches.h5``, ``patches.toml``).

For a tower's patch, cut from a file of many, all bands in one array and the scene classes in another::

    product = "our patches, 2023"           # words for the reports
    site = "XX-Own"
    dataset = "/images"                     # one array of all bands...
    bands = ["B02", "B03", "B04", "B08"]    # ...in the order of its axis "band"
    axes = ["patch", "time", "band", "y", "x"]
    patch = 12                              # which one along "patch", from 0
    scale = 0.0001                          # reflectance = number x scale + offset; left out: decided from the values
    nodata = 0

    [datasets]                              # or, and: one array for each, with the same axes, but without "band"
    SCL = "/scl"

    [time]
    dataset = "/time"                       # text (ISO), or numbers with a unit; or values = ["2019-07-04", ...]
    unit = "days since 1970-01-01"          # seconds, minutes, hours or days since; or YYYYMMDD, YYYYDDD
    per_patch = false                       # true where it has an axis "patch", too, before that of time

    [grid]
    epsg = 32632
    pixel = 10.0                            # m
    x = 600000.0                            # west and north edge of the patch, m; or latitude and longitude (centre)
    y = 5400000.0
    first_row = "north"

    [metadata]                              # as in ecoembed.archives.satellite.metadata; text that begins with / is a
    processing_baseline = "02.12"           # dataset over time

An unknown key is refused.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecoembed.archives.satellite.metadata import SPELLINGS
from ecoembed.archives.satellite.names import find_variable, known_names
from ecoembed.errors import check_name
from ecoembed.files import read_toml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TimeDescription(_Strict):
    """When each image was acquired, UTC."""

    dataset: str | None = None
    values: tuple[str | datetime | date, ...] | None = Field(default=None, min_length=1)
    unit: str | None = None
    per_patch: bool = False

    @model_validator(mode="after")
    def _one(self) -> TimeDescription:
        if (self.dataset is None) == (self.values is None):
            raise ValueError("either dataset or values")
        return self


class GridDescription(_Strict):
    """Where the pixels lie."""

    epsg: int = Field(description="EPSG number of a CRS in metres, such as 32632 for UTM zone 32 north")
    pixel: float = Field(gt=0, le=100, description="side of a pixel, m")
    x: float | None = None
    y: float | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    first_row: Literal["north", "south"] = "north"

    @model_validator(mode="after")
    def _one(self) -> GridDescription:
        corner, centre = (self.x, self.y), (self.latitude, self.longitude)
        if (None in corner) == (None in centre) or sum(v is not None for v in corner + centre) != 2:
            raise ValueError("either x and y (west and north edge), or latitude and longitude (centre)")
        return self


class Description(_Strict):
    """The whole TOML: see the module's text for each key."""

    product: str = "own patches"
    site: str | None = None
    dataset: str | None = None
    bands: tuple[str, ...] | None = Field(default=None, min_length=1)
    axes: tuple[Literal["patch", "time", "band", "y", "x"], ...] = Field(
        description='the order of the axes, such as ["patch", "time", "band", "y", "x"]'
    )
    patch: int | None = Field(default=None, ge=0)
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    datasets: dict[str, str] = {}
    time: TimeDescription = Field(description="[time] with dataset and unit, or values")
    grid: GridDescription = Field(description="[grid] with epsg, pixel, and x and y or latitude and longitude")
    metadata: dict[str, str | float | bool] = {}

    @model_validator(mode="after")
    def _whole(self) -> Description:
        if (self.dataset is None) != (self.bands is None) or ("band" in self.axes) != (self.dataset is not None):
            raise ValueError("dataset, bands and an axis band go together")
        if self.dataset is None and not self.datasets:
            raise ValueError("dataset with bands, or [datasets], is needed")
        named = [find_variable(name) or name for name in (*(self.bands or ()), *self.datasets)]
        if len(set(named)) != len(named):
            raise ValueError("each band is named once, in bands or in [datasets]")
        if len(set(self.axes)) != len(self.axes) or not {"y", "x"} <= set(self.axes):
            raise ValueError("axes are named once each, and y and x are among them")
        if ("patch" in self.axes) != (self.patch is not None):
            raise ValueError("patch (a number from 0) and an axis patch go together")
        return self


def read_description(path: Path) -> Description:
    """What the TOML beside `path` says.

    Raises
    ------
    ConfigError
        A key, band or kind of metadata that is not known, or values that do not go together.
    """
    toml = path.with_suffix(".toml")
    description = read_toml(toml, Description)
    for name in description.datasets:
        if find_variable(name) is None:
            check_name(name, known_names(), "band", where=f"{toml}: datasets")
    for name in description.metadata:
        check_name(name, SPELLINGS, "key", where=f"{toml}: metadata")
    return description
