import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecoembed.errors import TableError
from ecoembed.gpp.p_model import carbon_dioxide, fapar_from_ndvi, p_model_gpp
from ecoembed.units import convert
from tests.gpp.test_features import NAMES, build
from tests.validation.tables import run

DAY = {"ndvi": 0.7, "sw_in": 220.0, "ta": 17.0, "vpd": 9.0, "elevation": 350.0, "year": 2019}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_against_a_direct_call_of_pyrealm():
    from pyrealm.core.pressure import calc_patm
    from pyrealm.pmodel import PModel, PModelEnvironment

    rng = np.random.default_rng(0)
    ndvi, sw, ta = rng.uniform(0.15, 0.95, 50), rng.uniform(10, 380, 50), rng.uniform(-10, 35, 50)
    vpd, metres = rng.uniform(0, 40, 50), rng.uniform(0, 3000, 50)
    environment = PModelEnvironment(
        tc=ta, vpd=100 * vpd, co2=np.full(50, 414.21), patm=calc_patm(metres),
        fapar=np.clip(1.164 * ndvi - 0.143, 0, 1), ppfd=2.04 * sw,
    )  # fmt: skip
    micrograms = PModel(environment, method_optchi="prentice14", method_kphio="temperature").gpp
    np.testing.assert_allclose(p_model_gpp(ndvi, sw, ta, vpd, metres, 2020), micrograms * 0.0864, rtol=1e-9)


def test_the_level_is_that_of_a_tower():
    """A clear summer day over a dense canopy: towers report 8 to 20 gC m-2 d-1."""
    assert 8 < p_model_gpp(**DAY | {"ndvi": 0.85, "sw_in": 280.0}) < 20


def test_what_it_follows():
    gpp = p_model_gpp(**DAY)
    assert p_model_gpp(**DAY | {"sw_in": 440.0}) == pytest.approx(2 * gpp)
    assert p_model_gpp(**DAY | {"ndvi": 0.1}) == 0
    assert p_model_gpp(**DAY | {"vpd": 30.0}) < 0.9 * gpp
    assert p_model_gpp(**DAY | {"ta": 5.0}) < 0.95 * gpp
    assert p_model_gpp(**DAY | {"ta": -20.0}) == p_model_gpp(**DAY | {"ta": -45.0}) == 0
    assert 1.0 < p_model_gpp(**DAY | {"year": 2020}) / gpp < 1.01


@given(
    st.floats(-1, 1), st.floats(-10, 600), st.floats(-80, 60), st.floats(-1, 100), st.floats(-500, 9000),
    st.integers(1950, 2100),
)  # fmt: skip
def test_every_day_that_a_tower_can_report_has_a_number(ndvi, sw, ta, vpd, elevation, year):
    gpp = p_model_gpp(ndvi, sw, ta, vpd, elevation, year)
    assert np.isfinite(gpp)
    assert 0 <= gpp < 60


def test_what_is_missing_stays_missing():
    for name in DAY:
        assert np.isnan(p_model_gpp(**DAY | {name: [np.nan]})).all(), name


def test_warnings_keep_their_own_names():
    """pyrealm formats every warning of a session as its own."""
    code = "import warnings\nfrom ecoembed.gpp.p_model import p_model_gpp\n"
    code += "p_model_gpp(0.7, 200, 15, 8, 0, 2020)\nwarnings.warn('mine', stacklevel=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mine" in done.stderr
    assert "yrealm" not in done.stderr


def test_parts():
    assert convert(1e6, "ugC m-2 s-1", "gC m-2 d-1") == pytest.approx(86_400)
    assert fapar_from_ndvi(0.6) == pytest.approx(0.5554)
    years = carbon_dioxide(np.arange(1990, 2026))
    assert ((np.diff(years) > 0.5) & (np.diff(years) < 4)).all()


def towers(change=None):
    """Drivers in the range and unit of real ones."""

    def real(series, flux, place):
        for one in flux.values():
            for name, factor, unit in (("SW_IN", 30, "W m-2"), ("TA", 2, "degC"), ("VPD", 1, "hPa")):
                one[name] = one[name] * factor
                one[name].attrs["units"] = unit
        place["elevation"] = [100.0, 2500.0]
        if change is not None:
            change(series, flux, place)

    return build(real)


def test_the_set_is_in_the_table():
    table = towers()
    site, date = table.index.get_level_values("site"), table.index.get_level_values("date")
    weather, metres = table["meteo"], np.where(site == NAMES[0], 100.0, 2500.0)
    expected = p_model_gpp(
        table["indices", "NDVI"], weather["SW_IN"], weather["TA"], weather["VPD"], metres, pd.DatetimeIndex(date).year
    )
    assert list(table["p_model"].columns) == ["GPP of the P-model"]
    np.testing.assert_array_equal(table["p_model"].iloc[:, 0], expected)


def test_it_is_scored_alone_and_united():
    sets = {"p_model": ["p_model"], "p_model+meteo": ["p_model", "meteo"]}
    result = run(towers(), target="GPP_NT_VUT_REF", features=sets)
    assert set(result.scores["features"]) == set(sets)
    assert len(result.record["features"]["p_model+meteo"]) == 5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s, f, p: p.__setitem__("elevation", [100.0, np.nan]), "the elevation of XX-T02"),
        (lambda s, f, p: f.__setitem__("XX-T02", f["XX-T02"].drop_vars("VPD")), "VPD at every site"),
        (lambda s, f, p: [one.pop("indices") for one in s.values()], "NDVI among the indices"),
    ],
)
def test_what_is_lacking_is_told(change, why):
    with pytest.warns(UserWarning, match=f"no p_model: it needs.*{why}"):
        table = towers(change)
    assert "p_model" not in table.columns.unique(0)
    with pytest.raises(TableError, match=f"{why}: no feature set .p_model"):
        run(table, target="GPP_NT_VUT_REF", features={"p_model": ["p_model"]})
