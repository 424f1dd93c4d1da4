"""The contracts of the objects handed from stage to stage: each breach is named."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed import schema
from ecoembed.errors import ConfigError, GridError, TableError, VariableError
from ecoembed.sensors import SENSORS, get_sensor
from tests.embeddings.conftest import make_cube


def table_of_sites(**changes: Any) -> gpd.GeoDataFrame:
    row = {
        "latitude": 50.95,
        "longitude": 13.51,
        "elevation": 385.0,
        "igbp": "GRA",
        "canopy_height": 0.3,
        "measurement_height": 3.0,
        "utc_offset": 1.0,
        "licence": None,
        "citation": None,
    } | changes
    return gpd.GeoDataFrame([row], index=pd.Index(["XX-T01"], name="site_id"))


def flux_table() -> xr.Dataset:
    time = pd.date_range("2020-01-01", periods=3).astype("datetime64[ns]")
    return xr.Dataset(
        {"GPP_NT_VUT_REF": ("time", [1.0, 2.0, np.nan], {"units": "gC m-2 d-1"})},
        coords={"time": time},
        attrs={"site": "XX-T01", "utc_offset": 1.0, "target": "GPP_NT_VUT_REF", "rows": {"in": 3, "out": 2}},
    )


def series() -> xr.Dataset:
    time = pd.date_range("2020-01-01", periods=3).astype("datetime64[ns]")
    return xr.Dataset(
        {"value": (("time", "feature"), np.ones((3, 2))), "coverage": ("time", [0.0, 0.5, 1.0])},
        coords={"time": time, "feature": ["a", "b"]},
    )


def features() -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["XX-T01"], pd.date_range("2020-01-01", periods=2)], names=["site", "date"])
    return pd.DataFrame({("observed", "GPP"): [1.0, 2.0], ("bands", "B04"): [0.1, 0.2]}, index=index)


def predictions() -> pd.DataFrame:
    rows = [
        ("XX-T01", pd.Timestamp("2020-01-01"), 0, "leave-site-out", name, "ridge", 1.0, 1.5, np.nan, np.nan)
        for name in ("bands", "indices")
    ]
    return pd.DataFrame(rows, columns=list(schema.predictions_schema().columns))


def test_what_keeps_its_contract_comes_back_unchanged():
    for check, thing in (
        (schema.check_sites, table_of_sites()),
        (schema.check_flux, flux_table()),
        (schema.check_cube, make_cube("S1")),
        (schema.check_series, series()),
        (schema.check_feature_table, features()),
        (schema.check_predictions, predictions()),
    ):
        assert check(thing) is thing  # type: ignore[operator]


@pytest.mark.parametrize(
    "changes", [{"latitude": 91.0}, {"igbp": "GRASS"}, {"utc_offset": 100.0}, {"latitude": np.nan}]
)
def test_sites(changes):
    with pytest.raises(TableError, match=next(iter(changes))):
        schema.check_sites(table_of_sites(**changes))


@pytest.mark.parametrize(
    ("breakage", "says"),
    [
        (lambda f: f.isel(time=[1, 0]), "not sorted"),
        (lambda f: f.isel(time=[0, 0]), "not sorted"),
        (lambda f: f.assign(TA=("time", [1.0, 2, 3])), "without units"),
        (lambda f: f.drop_attrs(deep=False), "site"),
        (lambda f: f.rename(GPP_NT_VUT_REF="GPP"), "target absent"),
        (lambda f: f.expand_dims("x"), "dimensions differ"),
    ],
)
def test_flux(breakage, says):
    with pytest.raises(VariableError, match=says):
        schema.check_flux(breakage(flux_table()))


@pytest.mark.parametrize(
    ("breakage", "error", "says"),
    [
        (lambda c: c.astype("float64"), VariableError, "float32"),
        (lambda c: c.isel(time=[1, 0]), VariableError, "out of order"),
        (lambda c: c.isel(time=[0, 0, 1]), VariableError, "stand twice"),
        (lambda c: c.assign_coords(time=range(c.sizes["time"])), VariableError, "does not hold times"),
        (lambda c: c.drop_vars("spatial_ref"), GridError, "no CRS"),
        (lambda c: c.drop_attrs(), VariableError, "sensor"),
        (lambda c: c.isel(band=0, drop=True), VariableError, "not a cube"),
        (lambda c: c.assign_attrs(sensor="S2_L2A"), VariableError, "another sensor"),
        (lambda c: c.isel(band=[1, 0]), VariableError, "band order"),
        (lambda c: c.isel(band=[0]), VariableError, "1 of 2 bands absent"),
        (lambda c: c.assign_attrs(units="1"), VariableError, "unit differs"),
    ],
)
def test_cubes(breakage, error, says):
    with pytest.raises(error, match=says):
        schema.check_cube(breakage(make_cube("S1")), "S1")


@pytest.mark.parametrize(
    "breakage",
    [
        lambda s: s.assign(coverage=("time", [0.0, 0.5, 1.2])),
        lambda s: s.assign(coverage=("time", [-0.1, 0.5, 1.0])),
        lambda s: s.drop_vars("coverage"),
        lambda s: s.transpose("feature", "time"),
    ],
)
def test_series(breakage):
    with pytest.raises(VariableError):
        schema.check_series(breakage(series()))


@pytest.mark.parametrize(
    "breakage",
    [
        lambda t: t.iloc[[0, 0]],
        lambda t: t.where(t > 0.15),
        lambda t: t.droplevel(0, axis=1),
        lambda t: t.reset_index(drop=True),
    ],
)
def test_feature_tables(breakage):
    with pytest.raises(TableError):
        schema.check_feature_table(breakage(features()))


def test_predictions_of_models_on_other_rows_are_refused():
    table = predictions()
    more = table.iloc[[0]].assign(date=pd.Timestamp("2020-02-01"))
    with pytest.raises(TableError, match="different rows"):
        schema.check_predictions(pd.concat([table, more], ignore_index=True))


@pytest.mark.parametrize(
    "breakage",
    [
        lambda t: t.assign(observed=np.nan),
        lambda t: t.assign(extra=1),
        lambda t: pd.concat([t, t], ignore_index=True),
        lambda t: t.drop(columns="fold"),
    ],
)
def test_predictions(breakage):
    with pytest.raises(TableError):
        schema.check_predictions(breakage(predictions()))


def test_every_sensor_is_complete():
    for name, sensor in SENSORS.items():
        assert get_sensor(name) is sensor
        assert len(set(sensor.band_names)) == len(sensor.bands) > 0
        assert sensor.valid_range[0] < sensor.valid_range[1]
        assert all(band.wavelength_nm > 0 and band.resolution_m > 0 for band in sensor.bands)
    optical = [band.wavelength_nm for band in SENSORS["S2_L2A"].bands]
    assert optical == sorted(optical)
    with pytest.raises(ConfigError, match="S2_L2A"):
        get_sensor("S2_L1C")
