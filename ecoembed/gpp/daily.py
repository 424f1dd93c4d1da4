"""What a tower gives for each local day: target, drivers, other estimates of the target, its random uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.errors import TableError

__all__ = ["common_target", "common_unit", "tower_days", "utc_offset"]


def tower_days(flux: xr.Dataset, target: str, drivers: Sequence[str]) -> pd.DataFrame:
    """A `FluxTable` by local day; its columns as those of a `FeatureTable`.

    Parameters
    ----------
    flux : xarray.Dataset
        `FluxTable`. Variables with ``attrs["variant_of"]`` are other estimates of the target.
    target : str
        What the table calls the target of all its sites.
    drivers : sequence of str

    Returns
    -------
    pandas.DataFrame
        ``("observed", target)``, ``("meteo", DRIVER)``, ``("variants", NAME)`` and ``("noise", "random")``.
    """
    own = str(flux.attrs["target"])
    names = {own: ("observed", target), **{name: ("meteo", name) for name in drivers}}
    names |= {str(n): ("variants", str(n)) for n, v in flux.data_vars.items() if v.attrs.get("variant_of") == own}
    names |= {"random_uncertainty": ("noise", "random")} if "random_uncertainty" in flux else {}
    columns = pd.MultiIndex.from_tuples(names.values(), names=["set", "feature"])
    values = np.column_stack([flux[name].to_numpy().astype(float) for name in names])
    return pd.DataFrame(values, index=pd.DatetimeIndex(flux.indexes["time"]).as_unit("ns"), columns=columns)


def common_target(wanted: Sequence[str], flux: Mapping[str, xr.Dataset]) -> str:
    """The targets that the sites have, in the order wanted.

    Raises
    ------
    TableError
        If a site has none of them.
    """
    own = {site: str(table.attrs["target"]) for site, table in flux.items()}
    for site, name in own.items():
        if name not in wanted or name not in flux[site]:
            raise TableError("target absent from the flux table", where=site, found=name, expected=" or ".join(wanted))
    return " or ".join(name for name in wanted if name in own.values())


def common_unit(flux: Mapping[str, xr.Dataset], sites: Collection[str]) -> str:
    """The one unit of the sites' targets; TableError if they differ."""
    units = {str(flux[site][flux[site].attrs["target"]].attrs["units"]) for site in sites}
    if len(units) > 1:
        raise TableError("the sites' targets have different units", found=", ".join(sorted(units)), expected="one")
    return units.pop()


def utc_offset(site: str, sites: pd.DataFrame, flux: xr.Dataset) -> float:
    """Hours to add to UTC; the site table and the flux file must agree where both know it.

    Raises
    ------
    TableError
        If neither knows it, or they differ.
    """
    known = [v for v in (sites.loc[site, "utc_offset"], flux.attrs["utc_offset"]) if v is not None and np.isfinite(v)]
    if not known:
        remedy = "Add utc_offset (h) to the site table"
        raise TableError("UTC offset unknown: the overpass has no local day", where=site, remedy=remedy)
    if abs(known[0] - known[-1]) > 1e-6:
        raise TableError(
            "site table and flux file give different UTC offsets", where=site,
            found=f"{known[0]} h and {known[-1]} h", remedy="Correct utc_offset in the site table",
        )  # fmt: skip
    return float(known[0])
