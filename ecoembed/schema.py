"""The objects handed from stage to stage, each with one check that states dims, dtype, units and attributes.

======================  ====================================================================================
`Sites`                 `geopandas.GeoDataFrame` indexed by ``site_id``; points in EPSG:4326
`FluxTable`             `xr.Dataset(time)` of one site; every variable has ``units``; daily unless it says so
`Cube`                  `xr.DataArray(time, band, y, x)` float32, NaN = missing; CRS by rioxarray
`EmbeddingCube`         a `Cube` whose bands are ``z1..zd`` (and ``error``), with the weights' hash
`SiteSeries`            `xr.Dataset(time, feature)`: ``value`` (time, feature) and ``coverage`` (time)
`FeatureTable`          `pd.DataFrame` indexed by (site, date); columns (set, feature)
`PredictionTable`       long `pd.DataFrame`: one row for each site, date, feature set and regressor
======================  ====================================================================================

Every ``check_*`` returns its argument unchanged, or raises an error that names the breach.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.errors import GridError, TableError, VariableError
from ecoembed.sensors import get_sensor

if TYPE_CHECKING:
    import pandera.pandas as pa

Frame = TypeVar("Frame", bound=pd.DataFrame)

_DIMS = ("time", "band", "y", "x")

#: IGBP land-cover types that occur at flux towers, and what they are.
IGBP = {
    "ENF": "evergreen needleleaf forest",
    "EBF": "evergreen broadleaf forest",
    "DNF": "deciduous needleleaf forest",
    "DBF": "deciduous broadleaf forest",
    "MF": "mixed forest",
    "CSH": "closed shrubland",
    "OSH": "open shrubland",
    "WSA": "woody savanna",
    "SAV": "savanna",
    "GRA": "grassland",
    "WET": "wetland",
    "CRO": "cropland",
    "URB": "urban",
    "CVM": "cropland and natural vegetation",
    "SNO": "snow and ice",
    "BSV": "barren",
    "WAT": "water",
}


def _number(
    low: float | None = None, high: float | None = None, nullable: bool = True, required: bool = True
) -> pa.Column:
    import pandera.pandas as pa

    checks = [] if low is None or high is None else [pa.Check.in_range(low, high)]
    return pa.Column(float, checks, nullable=nullable, required=required, coerce=True)


@cache
def sites_schema() -> pa.DataFrameSchema:
    """Columns of `Sites`, with their units' bounds."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            "latitude": _number(-90, 90, nullable=False),
            "longitude": _number(-180, 180, nullable=False),
            "elevation": _number(-500, 9000),
            "igbp": pa.Column(object, pa.Check.isin(tuple(IGBP)), nullable=True, coerce=True),
            "canopy_height": _number(0, 150),
            "measurement_height": _number(0, 400),
            "utc_offset": _number(-14, 14),
            "aerodynamic_height": _number(0, 400, required=False),
            "licence": pa.Column(object, nullable=True, coerce=True),
            "citation": pa.Column(object, nullable=True, coerce=True),
        },
        index=pa.Index(str, name="site_id", unique=True, coerce=True),
        strict=False,
    )


@cache
def predictions_schema() -> pa.DataFrameSchema:
    """Columns of a `PredictionTable`."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            "site": pa.Column(object, coerce=True),
            "date": pa.Column("datetime64[ns]", coerce=True),
            "fold": pa.Column(int, coerce=True),
            "protocol": pa.Column(object, coerce=True),
            "features": pa.Column(object, coerce=True),
            "regressor": pa.Column(object, coerce=True),
            "observed": _number(nullable=False),
            "predicted": _number(nullable=False),
            "lower": _number(),
            "upper": _number(),
        },
        strict=True,
        unique=["site", "date", "features", "regressor"],
    )


def _validated(schema: pa.DataFrameSchema, table: pd.DataFrame, where: object, remedy: str) -> None:
    """Run a pandera validation and turn its error into ours."""
    import pandera.errors

    try:
        schema.validate(table)
    except (pandera.errors.SchemaError, pandera.errors.SchemaErrors) as exc:
        text = " ".join(str(exc).split())
        raise TableError(f"contract broken: {text[:300]}", where=where, remedy=remedy) from None


def check_sites(sites: Frame, where: object = "sites") -> Frame:
    """`Sites`: index ``site_id`` unique; full-precision coordinates; IGBP known; heights in m; UTC offset in h."""
    remedy = "Correct the row in the site table"
    _validated(sites_schema(), sites, where, remedy)
    return sites


def check_flux(flux: xr.Dataset, where: object = None, resolution: str = "DD") -> xr.Dataset:
    """`FluxTable`: a Dataset over sorted, unique local ``time``; units on every variable; site, offset, rows.

    Its resolution is daily, unless another is expected; ``attrs["resolution"]`` states it (``DD`` where absent).
    """
    where = where or flux.attrs.get("site", "flux")
    if tuple(flux.sizes) != ("time",):
        raise VariableError("dimensions differ", where=where, found=tuple(flux.sizes), expected="('time',)")
    for key in ("site", "utc_offset", "target", "rows"):
        if key not in flux.attrs:
            raise VariableError("attribute absent from the flux table", where=where, expected=key)
    stated = flux.attrs.get("resolution", "DD")
    if stated != resolution:
        remedy = f"Open it with resolution={resolution!r}"
        raise VariableError("another resolution", where=where, found=stated, expected=resolution, remedy=remedy)
    index = flux.indexes["time"]
    if not (index.is_monotonic_increasing and index.is_unique):
        raise VariableError("time is not sorted and unique", where=where, expected="increasing times")
    if resolution == "DD" and not index.equals(index.normalize()):
        raise VariableError("time is not whole days", where=where, expected="each day at 00:00")
    bare = [str(name) for name, variable in flux.data_vars.items() if "units" not in variable.attrs]
    if bare:
        raise VariableError("variables without units", where=where, found=", ".join(bare))
    if flux.attrs["target"] not in flux:
        raise VariableError("target absent", where=where, expected=flux.attrs["target"])
    return flux


def check_cube(cube: xr.DataArray, sensor: str | None = None, where: object = None) -> xr.DataArray:
    """`Cube`: dims (time, band, y, x), float32, sorted unique UTC times, CRS, ``sensor`` and ``units`` in attrs.

    With `sensor` given, the bands are exactly that sensor's, in its order, in its unit.
    """
    where = where or cube.attrs.get("site") or cube.attrs.get("sensor", "cube")
    without = [d for d in _DIMS if d not in cube.coords]
    if cube.dims != _DIMS or cube.dtype != np.float32 or without:
        found = f"{cube.dtype} ({', '.join(map(str, cube.dims))})" + f" without coordinates {without}" * bool(without)
        expected = f"float32 ({', '.join(_DIMS)}), each with its coordinate"
        remedy = "Build cubes with ecoembed.open_cube"
        raise VariableError("not a cube", where=where, found=found, expected=expected, remedy=remedy)
    for key in ("sensor", "units"):
        if key not in cube.attrs:
            raise VariableError("attribute absent from the cube", where=where, expected=key)
    _check_times(cube.indexes["time"], where)
    if cube.rio.crs is None:
        raise GridError("the cube has no CRS", where=where, remedy="Write it with rioxarray: cube.rio.write_crs(...)")
    if sensor is not None:
        _check_sensor(cube, sensor, where)
    return cube


def _check_times(index: pd.Index, where: object) -> None:
    expected = "increasing acquisition times (UTC), each once"
    if not isinstance(index, pd.DatetimeIndex) or index.hasnans or index.tz is not None:
        found = "missing times" if index.hasnans else str(index.dtype)
        raise VariableError("time does not hold times", where=where, found=found, expected=expected)
    if not index.is_unique:
        again = index[index.duplicated()]
        found = f"{len(again)} repeated, first {str(again[0])[:19]}"
        remedy = 'Merge what belongs together, or keep the first: cube.drop_duplicates("time")'
        raise VariableError("dates stand twice", where=where, found=found, expected=expected, remedy=remedy)
    if not index.is_monotonic_increasing:
        later = int(np.flatnonzero(np.diff(index.values) < np.timedelta64(0))[0])
        found = f"{str(index[later + 1])[:19]} after {str(index[later])[:19]}"
        remedy = 'Sort them: cube.sortby("time")'
        raise VariableError("dates are out of order", where=where, found=found, expected=expected, remedy=remedy)


def _check_sensor(cube: xr.DataArray, sensor: str, where: object) -> None:
    wanted, bands = get_sensor(sensor), [str(b) for b in cube["band"].values]
    absent = [b for b in wanted.band_names if b not in bands]
    if cube.attrs["sensor"] != sensor:
        remedy = f"Pass the cube of {sensor} here, and this one as what it is"
        raise VariableError(
            "cube of another sensor", where=where, found=cube.attrs["sensor"], expected=sensor, remedy=remedy
        )
    if absent:
        raise VariableError(
            f"{len(absent)} of {len(wanted.bands)} bands absent ({', '.join(absent)}); {sensor} needs them",
            where=where,
            found=", ".join(bands),
            expected=", ".join(wanted.band_names),
            remedy="Rebuild the cube from files that hold them",
        )
    if tuple(bands) != wanted.band_names:
        raise VariableError(
            "band order differs" if len(bands) == len(wanted.bands) else "more bands than the sensor's",
            where=where,
            found=", ".join(bands),
            expected=", ".join(wanted.band_names),
            remedy=f"Select them by name: cube.sel(band=list(get_sensor({sensor!r}).band_names))",
        )
    if cube.attrs["units"] != wanted.unit:
        raise VariableError(
            "unit differs",
            where=where,
            found=cube.attrs["units"],
            expected=f"{wanted.unit} ({wanted.title})",
            remedy="Convert the values, or open the files with ecoembed.open_cube, which settles scale and unit",
        )


def check_embedding_cube(cube: xr.DataArray, where: object = None) -> xr.DataArray:
    """`EmbeddingCube`: a Cube with bands ``z1..zd``; ``weights`` (hash) and ``window`` in attrs.

    With ``error_unit`` in attrs it has one band more, ``error``: the expected error in that unit.
    """
    check_cube(cube, where=where)
    error = ["error"] if "error_unit" in cube.attrs else []
    expected = [f"z{i + 1}" for i in range(cube.sizes["band"] - len(error))] + error
    if list(cube["band"].values) != expected:
        raise VariableError("bands differ", where=where, found=list(cube["band"].values), expected=expected)
    for key in ("weights", "window"):
        if key not in cube.attrs:
            raise VariableError("attribute absent from the embedding cube", where=where, expected=key)
    return cube


def check_series(series: xr.Dataset, where: object = None) -> xr.Dataset:
    """`SiteSeries`: ``value`` (time, feature) and ``coverage`` (time), the share of the footprint that was valid."""
    where = where or series.attrs.get("site", "series")
    for name, dims in (("value", ("time", "feature")), ("coverage", ("time",))):
        if name not in series or series[name].dims != dims:
            raise VariableError("not a site series", where=where, found=list(series), expected=f"{name} {dims}")
    coverage = series["coverage"].values
    if np.any(coverage < -1e-9) or np.any(coverage > 1 + 1e-6):
        raise VariableError("coverage outside [0, 1]", where=where, found=(coverage.min(), coverage.max()))
    return series


def check_feature_table(table: pd.DataFrame, where: object = "feature table") -> pd.DataFrame:
    """`FeatureTable`: unique (site, date) index; two-level columns (set, feature); no feature is missing anywhere.

    What is known of the target may be: ``observed`` (a day of history), its ``variants`` and its ``noise``.
    """
    if list(table.index.names) != ["site", "date"] or not table.index.is_unique:
        raise TableError("index differs", where=where, found=table.index.names, expected="unique (site, date)")
    if table.columns.nlevels != 2:
        raise TableError("columns differ", where=where, expected="two levels: (set, feature)")
    features = table.loc[:, ~table.columns.get_level_values(0).isin(["observed", "variants", "noise"])]
    holes = features.isna().sum()
    if holes.any():
        raise TableError("missing values in the shared sample index", where=where, found=dict(holes[holes > 0]))
    return table


def check_predictions(table: pd.DataFrame, where: object = "predictions") -> pd.DataFrame:
    """`PredictionTable`: long; one row for each (site, date, features, regressor); the same rows for every pair."""
    _validated(predictions_schema(), table, where, "This is a defect: please report it")
    counts = table.groupby(["features", "regressor"], observed=True).size()
    if len(set(counts)) > 1:
        raise TableError("models are scored on different rows", where=where, found=counts.to_dict())
    return table
