"""Site information as the archives give it: FLUXNET2015's BIF, the shuttle's catalogue, aerodynamic heights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from geopandas.testing import assert_geodataframe_equal

from ecoembed import read_sites
from ecoembed.archives.sites.reader import SiteRecords, count_origins, merge_sites, write_sites
from ecoembed.errors import ProductError, TableError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def files(real: Path) -> dict[str, Path]:
    folder = real / "sites"
    shuttle = next(folder.glob("fluxnet_shuttle_snapshot*.csv"))
    return {"bif": folder / "FLX_AA-Flx_BIF_LATEST.xlsx", "shuttle": shuttle, "heights": folder / "ffp_inputs.csv"}


@pytest.fixture(scope="module")
def merged(files: dict[str, Path]) -> SiteRecords:
    return merge_sites(list(files.values()))


def test_the_catalogue(files: dict[str, Path]) -> None:
    sites = read_sites(files["shuttle"])
    assert len(sites) == 195
    assert sites.loc["AR-CCg", "latitude"] == -35.9244
    assert sites["citation"].notna().all()


def test_the_archive_s_workbook(files: dict[str, Path]) -> None:
    sites = read_sites(files["bif"])
    known = sites.notna().sum()
    assert len(sites) == 212
    assert (known["igbp"], known["elevation"], known["utc_offset"]) == (212, 173, 199)
    assert known["canopy_height"] == known["measurement_height"] == 0  # this release of the BIF holds no heights
    assert tuple(sites.loc["RU-Sam", ["latitude", "longitude"]]) == (72.3738, 126.4958)  # where it stands since 2009
    assert sites.loc["CN-HaM", "latitude"] == 37.37  # its group number is also that of another site


def test_a_wrong_sign_in_the_archive_is_told(files: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "FLX_AA-Flx_BIF_LATEST.xlsx"
    copy.symlink_to(files["bif"])
    with pytest.warns(UserWarning, match=r"US-Me6: \+8 h at longitude -121.608"):
        read_sites(copy)


def test_three_sources_become_one_table(merged: SiteRecords) -> None:
    assert len(merged.sites) == 741
    counts = count_origins(merged)
    assert list(counts.loc["latitude"]) == [212, 159, 370, 0]
    assert list(counts.loc["igbp"]) == [212, 159, 0, 370]
    assert list(counts.loc["measurement_height"]) == [0, 0, 313, 428]
    assert list(counts.loc["canopy_height"]) == [0, 0, 111, 630]
    assert list(counts.loc["utc_offset"]) == [199, 0, 0, 542]


def test_their_disagreements_are_listed(merged: SiteRecords) -> None:
    conflicts = merged.conflicts
    assert conflicts["column"].value_counts().to_dict() == {"coordinates": 20, "igbp": 5}
    by_site = conflicts.set_index("site")["difference"]
    assert by_site["US-Lin"] == pytest.approx(67_171, abs=1)  # one of the two has a digit wrong
    assert by_site["US-Tw3"] == pytest.approx(79.8, abs=0.1)
    assert {"RU-Sam", "US-Twt"} <= set(conflicts[conflicts["source"] == conflicts["other_source"]]["site"])


def test_every_value_has_its_origin(merged: SiteRecords) -> None:
    origin = merged.origin.set_index(["site", "column"])
    assert origin.index.is_unique
    values = merged.sites.drop(columns="geometry").notna().sum().sum()
    assert len(origin) == values
    where = origin.loc["DE-RuS", "latitude"]
    assert (where["variable"], where["group"], where["date"], where["candidates"]) == (
        "LOCATION_LAT",
        "16463",
        "201410270920",
        2,
    )


def test_the_merged_table_is_written_and_read_unchanged(merged: SiteRecords, tmp_path: Path) -> None:
    write_sites(merged, tmp_path / "sites.csv")
    assert_geodataframe_equal(read_sites(tmp_path / "sites.csv"), merged.sites)


def test_what_the_flag_of_an_aerodynamic_height_means(files: dict[str, Path]) -> None:
    """1: from both heights, displacement being two thirds of the canopy; 0: a line through the sensor height."""
    sites = read_sites(files["heights"])
    sites = sites[sites["aerodynamic_height"].notna()]
    measured, guessed = (sites[sites["aerodynamic_height_qc"] == flag] for flag in ("1", "0"))
    assert (len(measured), len(guessed)) == (107, 206)
    above = measured["measurement_height"] - 2 / 3 * measured["canopy_height"]
    np.testing.assert_allclose(measured["aerodynamic_height"], above, rtol=0, atol=1e-9)
    assert guessed["canopy_height"].isna().all()
    line = np.polyfit(guessed["measurement_height"], guessed["aerodynamic_height"], 1)
    np.testing.assert_allclose(
        np.polyval(line, guessed["measurement_height"]), guessed["aerodynamic_height"], rtol=0, atol=1e-9
    )


def test_a_flux_zip_without_site_information(real: Path) -> None:
    with pytest.raises(ProductError, match="no site information in the archive"):
        read_sites(next((real / "flux").glob("AMF_US-Tw3_BASE*.zip")))


def test_a_flux_table_is_no_site_table(real: Path) -> None:
    for pattern in ("FLX_US-Wi7*.csv", "FLX_US-AR1*.xlsx"):
        with pytest.raises(TableError, match=r"site"):
            read_sites(next((real / "flux").glob(pattern)))
