"""The TOML of ``ecoembed benchmark``: what of a user's own table is compared, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ecoembed.errors import ConfigError
from ecoembed.files import toml_values, validated
from ecoembed.validation.splits.protocols import beside

__all__ = ["BenchmarkConfig", "PlacesConfig", "read_benchmark_config"]


class PlacesConfig(BaseModel):
    """``[places]``: columns of what is known of the sites; the latitude, in degrees, may be one number for all."""

    model_config = ConfigDict(extra="forbid")

    latitude: str | float | None = None
    longitude: str | None = None
    vegetation: str | None = None
    climate: str | None = None


class QualityConfig(BaseModel):
    """``[quality]``: the column, and the least of it with which a row is used."""

    model_config = ConfigDict(extra="forbid")

    column: str
    min: float
    days: Literal["measured", "all"] = "measured"


class BenchmarkConfig(BaseModel):
    """The keys of the TOML; all but `table` are the arguments of :func:`ecoembed.benchmark`."""

    model_config = ConfigDict(extra="forbid")

    #: Another TOML beside this one, whose keys hold where this one has none.
    base: str | None = None
    #: The table that the protocol is meant for; a note, as the command line names the table.
    table: str | None = None
    #: The tables of sites that it is meant for; a note, too.
    site_table: list[str] | None = None
    target: str
    site: str = "SITE_ID"
    date: str = "date"
    units: str | None = None
    features: dict[str, list[str]]
    places: PlacesConfig | None = None
    quality: QualityConfig | None = None
    variants: list[str] = []
    noise: str | None = None
    window_days: int = 1
    sites: list[str] | None = None
    regressors: list[str] = ["ridge", "lightgbm"]
    protocol: str | dict[str, Any] = "leave-site-out"
    seed: int = 0
    intervals: float | None = None
    nested: bool = False
    explain: bool = False
    own: list[str] = []


def read_benchmark_config(path: str | Path, site_table: Sequence[str | Path] | None = None) -> dict[str, Any]:
    """Read a TOML such as the following; `site_table` are the files of its ``site_table``, which is a note::

        target = "GPP"
        site = "SITE_ID"
        date = "date"
        protocol = "leave-site-out"            # or a table: { name = "knndm", folds = 10 }
        intervals = 0.9                        # prediction intervals that hold 90 % of the days at unseen sites
        site_table = ["badm.xlsx"]             # what grows at the sites: the files are named by --sites
        nested = true                          # also the pair of set and regressor that inner folds choose
        explain = true                         # area of applicability, importance

        [features]
        bands = ["b2", "b3", "b4"]
        nirv_x_radiation = ["NIRv * SWLAND"]   # the product of two columns

        [quality]
        column = "NEE_VUT_REF_QC"              # rows with less than this are left out, and counted
        min = 0.75

        [places]                               # what grows where; latitude may be one number
        vegetation = "PFT"
        climate = "koppen"
        latitude = "LAT"
        longitude = "LON"

    Returns
    -------
    dict
        Keyword arguments of :func:`ecoembed.benchmark`.

    Raises
    ------
    FileError
        If the file is absent.
    ConfigError
        If it is not TOML, lacks a key, has an unknown key or a value of the wrong type, or wants a table of sites.
    """
    path = Path(path)
    config = validated(_with_base(path), BenchmarkConfig, path)
    if config.site_table and not site_table:
        raise ConfigError(
            "the protocol wants a table of sites", where=path, found="none", expected=", ".join(config.site_table),
            remedy="Name it: --sites FILE",
        )  # fmt: skip
    asked = config.model_dump(exclude={"base", "table", "site_table"}, exclude_none=True, exclude_unset=True)
    if site_table:
        asked["site_table"] = list(site_table)
    if "protocol" in asked:
        asked["protocol"] = beside(config.protocol, path.parent)
    return asked


def _with_base(path: Path) -> dict[str, Any]:
    """The keys of a TOML over those of its base."""
    own = toml_values(path)
    base = own.get("base")
    if base is None:
        return own
    under = toml_values(path.parent / str(base))
    if "base" in under:
        raise ConfigError("a base that has a base", where=path, found=f"{base}, then {under['base']}", expected="one")
    return under | own
