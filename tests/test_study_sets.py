"""The feature sets of a study: made where they are named, of the sensors that weights know, or of another model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ecoembed import open_study, stages
from ecoembed.config import StudyConfig
from ecoembed.embeddings.encode import load_encoder
from ecoembed.errors import ConfigError, FileError, VariableError
from ecoembed.footprints.extract import extract
from ecoembed.gpp.external import external_series
from ecoembed.gpp.features import feature_table
from ecoembed.gpp.indices import INDICES, check_indices
from ecoembed.study import Study

from .study_helpers import snapshot

SITE = "XX-V02"
ONE_SENSOR = ("embeddings:s1", "embeddings:s2")


def with_sets(folder: Path, *features: str, **benchmark) -> Study:
    study = open_study(folder)
    external = benchmark.pop("external", {})
    asked = study.config.benchmark.model_copy(update={"features": features, **benchmark})
    return Study(folder, study.config.model_copy(update={"benchmark": asked, "external": external}), study.sites)


def series_of(study: Study, site: str = SITE) -> dict[str, xr.Dataset]:
    stages.run_site(study.folder, site, study.sites, study.config)
    return study.series(site)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "study"))


def test_one_set_more_costs_that_set_alone(copy):
    shutil.rmtree(copy / "embeddings" / f"{SITE}.zarr" / "embeddings_s1", ignore_errors=True)
    without = series_of(with_sets(copy, "embeddings", "embeddings:random"))
    assert list(without) == ["bands", "indices", "embeddings", "embeddings:random"]
    before = snapshot(copy)
    more = series_of(with_sets(copy, "embeddings", "embeddings:random", "s1+meteo", *ONE_SENSOR))
    assert list(more) == ["bands", "indices", "s1", "embeddings", "embeddings:random", *ONE_SENSOR]
    kept = [f"cubes/{SITE}.zarr", *(f"embeddings/{SITE}.zarr/{g}.json" for g in ("embeddings", "embeddings_random"))]
    after = snapshot(copy)
    assert all(after[k] == before[k] for k in before if k.startswith(tuple(kept)))
    for name, one in without.items():
        xr.testing.assert_identical(one, more[name])
    fewer = series_of(with_sets(copy, "embeddings", "embeddings:random"))
    assert list(fewer) == list(without)


def test_a_site_without_sentinel_1_has_sets_of_sentinel_2_and_no_other(copy):
    for path in [*(copy / "satellite" / SITE).glob("S1_*"), *(copy / "cubes").glob(f"{SITE}.zarr*")]:
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    kept = series_of(with_sets(copy, "embeddings:s2+meteo"))
    assert list(kept) == ["bands", "indices", "embeddings:s2"]
    assert np.isfinite(kept["embeddings:s2"]["value"]).any()
    with pytest.raises(
        VariableError, match=rf"{SITE}: no S1 at this site, which the set embeddings is made of.*found S2"
    ):
        series_of(with_sets(copy, "embeddings"))
    with pytest.raises(VariableError, match="no group S1"):
        series_of(with_sets(copy, "s1"))


def test_embeddings_of_one_sensor_do_not_see_the_other(copy):
    study = with_sets(copy, *ONE_SENSOR)
    series = series_of(study)
    s2, s1 = study.cube(SITE), study.cube(SITE, "S1")
    encoder = load_encoder()
    by_hand = encoder.encode(s2, None, window="causal")
    expected = extract(by_hand, study.footprint(SITE))
    np.testing.assert_allclose(series["embeddings:s2"]["value"], expected["value"], atol=1e-6)
    by_hand = encoder.encode(None, s1, dates=s2["time"].values, window="causal")
    expected = extract(by_hand, study.footprint(SITE))
    np.testing.assert_allclose(series["embeddings:s1"]["value"], expected["value"], atol=1e-6)
    whole = extract(study.embedding(SITE), study.footprint(SITE))["value"]
    assert np.nanmax(np.abs(series["embeddings:s2"]["value"].values - whole.values)) > 0.01
    for name in ONE_SENSOR:
        assert series[name].attrs["window"] == "causal"
        np.testing.assert_array_equal(series[name]["time"], s2["time"])


def test_a_study_compares_the_radar_and_each_sensor(copy):
    names = ("s1", "embeddings", *ONE_SENSOR)
    study = with_sets(copy, *names)
    sites = list(study.sites.index[:2])
    series = {site: series_of(study, site) for site in sites}
    flux = {site: study.flux(site) for site in sites}
    table = feature_table(series, flux, study.sites.loc[sites], gaps="last")
    assert set(names) <= set(table.columns.unique(0))
    assert [f"z{i + 1}" for i in range(7)] + ["age"] == list(table["embeddings:s1"].columns)  # the error is no feature
    assert table["s1", "VV"].between(-30, 0).all()
    assert (table["s1", "VH"] < table["s1", "VV"]).mean() > 0.99
    assert table.attrs["future"] == {}
    other = table["variants"]
    assert {"GPP_DT_VUT_REF", "GPP_NT_VUT_16", "GPP_NT_VUT_84"} == set(other.columns)
    observed = table["observed"].iloc[:, 0]
    inside = (other["GPP_NT_VUT_16"] <= observed + 1e-6) & (observed <= other["GPP_NT_VUT_84"] + 1e-6)
    assert inside[observed.notna()].mean() > 0.5
    assert (table["noise", "random"].dropna() > 0).all()


def test_indices_are_a_named_list_and_baselines_keep_theirs(copy):
    study = with_sets(copy, "indices", "p_model", indices=("NDWI", "EVI"))
    sites = list(study.sites.index[:2])
    series = {site: series_of(study, site) for site in sites}
    table = feature_table(series, {s: study.flux(s) for s in sites}, study.sites.loc[sites])
    assert list(table["indices"].columns) == ["NDWI", "EVI"]
    assert {"nirv_x_radiation", "kndvi_x_radiation", "p_model"} <= set(table.columns.unique(0))
    again = series_of(with_sets(copy, "indices"))
    assert list(again["indices"].attrs["listed"]) == list(INDICES)


def test_indices_are_refused_by_name():
    check_indices(["NDVI", "kNDVI", "EVI"])
    with pytest.raises(ConfigError, match=r"study\.toml: unknown spectral index.*NDVII.*NDVI"):
        check_indices(["NDVI", "NDVII"], "study.toml")
    with pytest.raises(ConfigError, match=r"study\.toml.*does not have.*PAR of NIRvP"):
        check_indices(["NIRvP"], "study.toml")


def test_external_embeddings_run_through_the_study(copy):
    study = with_sets(copy, "tessera", external={"tessera": "external/tessera"})
    with pytest.raises(FileError, match=f"no external embeddings of the site.*{SITE}.zarr"):
        series_of(study)
    s2 = study.cube(SITE)
    rng = np.random.default_rng(0)
    coords = {"year": [2019], "band": list("abcd"), "y": s2["y"].values, "x": s2["x"].values}
    values = xr.DataArray(rng.normal(size=[len(c) for c in coords.values()]).astype("f4"), coords, tuple(coords))
    folder = copy / "external" / "tessera"
    folder.mkdir(parents=True)
    values.rio.write_crs(s2.rio.crs).to_dataset(name="e").to_zarr(folder / f"{SITE}.zarr", zarr_format=3)
    series = series_of(study)
    path, longitude = folder / f"{SITE}.zarr", float(study.sites.loc[SITE, "longitude"])
    expected = external_series(path, "tessera", s2, study.footprint(SITE), longitude)
    np.testing.assert_array_equal(series["tessera"]["value"], expected["value"])
    before = series["tessera"]["value"].values
    shutil.rmtree(path)
    (values * 2).rio.write_crs(s2.rio.crs).to_dataset(name="e").to_zarr(path, zarr_format=3)
    np.testing.assert_allclose(series_of(study)["tessera"]["value"], 2 * before, rtol=1e-5)  # a new store, a new series


class Card:
    def __init__(self, sensors, architecture="dense"):
        self.sensors, self.architecture = dict.fromkeys(sensors), architecture


class Weights:
    def __init__(self, *card):
        self.card = Card(*card)


def test_weights_that_know_one_sensor_have_no_set_of_it_alone():
    sets = stages.sets_of(StudyConfig())
    assert stages.without_sensors(stages.SOURCES, Weights(["S2_L2A", "S1"])) == {}
    assert stages.without_sensors(stages.SOURCES, Weights(["S2_L2A"])) == {
        name: f"no {name}: the weights know S2_L2A" for name in ONE_SENSOR
    }
    assert set(stages.without_sensors(stages.SOURCES, Weights(["S2_L2A", "HLS"]))) == {"embeddings:s1"}
    both = stages.without_sensors(stages.SOURCES, Weights(["S2_L2A", "S1"], "reference"))
    assert set(both) == set(ONE_SENSOR)
    assert stages.without_sensors(["embeddings"], Weights(["S2_L2A"])) == {}
    assert {"bands", "indices", "embeddings"} <= set(sets)
