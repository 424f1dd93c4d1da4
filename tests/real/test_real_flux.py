"""Real flux and site files, as networks hand them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecoembed import open_flux, read_sites
from ecoembed.archives.fluxnet import open_halfhours
from ecoembed.archives.quality import TARGETS
from ecoembed.errors import ProductError, VariableError

WI7 = "FLX_US-Wi7_FLUXNET2015_FULLSET_DD_2005-2005_1-4.csv"


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
    assert np.isnan(flux["NEE_VUT_REF_RANDUNC"].values).sum() == (raw["NEE_VUT_REF_RANDUNC"] == -9999).sum() > 0


def test_every_target_of_the_real_header_has_its_qc_column_there(real: Path) -> None:
    columns = pd.read_csv(real / "flux" / WI7, nrows=0).columns
    targets = [column for column in columns if column in TARGETS]
    assert len(targets) == 50
    assert {TARGETS[target].qc for target in targets} <= set(columns)
    assert {TARGETS[target].uncertainty for target in targets} - {None} <= set(columns)


def test_a_target_the_product_lacks(real: Path) -> None:
    with pytest.raises(VariableError, match=r"GPP_NT_CUT_REF absent.*GPP_NT_VUT_REF"):
        open_flux(real / "flux" / WI7, "GPP_NT_CUT_REF")


def test_half_hours(real: Path) -> None:
    halfhours = open_halfhours(next((real / "flux").glob("FLX_CH-Cha*HH*.csv")))
    assert (halfhours.attrs["site"], halfhours.sizes["time"]) == ("CH-Cha", 99)
    assert halfhours["time"].values[0] == np.datetime64("2005-01-01")
    assert halfhours.attrs["rows"]["missing USTAR"] == 99
    assert 90 < float(halfhours["PA"].mean()) < 100


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("FLX_CH-Cha*HH*.csv", "half-hourly ONEFlux"),
        ("AMF_US-Tw3_BASE*.zip", "half-hourly AmeriFlux BASE"),
        ("FLX_US-AR1*.xlsx", "Excel workbook"),
    ],
)
def test_other_products_are_refused_by_name(real: Path, pattern: str, said: str) -> None:
    path = next((real / "flux").glob(pattern))
    with pytest.raises(ProductError, match=said) as caught:
        open_flux(path)
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.filterwarnings("ignore:.*fewer than 4 decimals")
def test_site_tables(real: Path) -> None:
    shuttle = read_sites(next((real / "sites").glob("fluxnet_shuttle_snapshot*.csv")))
    assert len(shuttle) == 195
    assert shuttle.loc["AR-CCg", "latitude"] == -35.9244
    assert shuttle["citation"].notna().all()
    heights = read_sites(real / "sites" / "ffp_inputs.csv")
    assert len(heights) == 498
    assert heights.loc["AR-CCa", "measurement_height"] == 3.8
    assert np.isnan(heights.loc["AR-CCa", "canopy_height"])
    with pytest.raises(ProductError, match="workbook"):
        read_sites(real / "sites" / "FLX_AA-Flx_BIF_LATEST.xlsx")
