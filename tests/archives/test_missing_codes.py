"""Numbers that stand for missing values: in other hands -9999 becomes -9999.9, and some write -6999."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecoembed import open_flux
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.errors import FileError
from tests.archives import fakes

TARGET = "GPP_NT_VUT_REF"


@pytest.mark.parametrize("code", [-9999.9, -9999.99, -9999.0, -9999])
def test_what_is_nearly_minus_9999_is_missing_and_counted(tmp_path: Path, code: float) -> None:
    table = fakes.daily()
    plain = table.copy()
    table.loc[5:9, [TARGET, "TA_F"]] = code
    plain.loc[5:9, [TARGET, "TA_F"]] = np.nan
    flux = open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")), min_qc=0)
    (tmp_path / "plain").mkdir()
    known = open_flux(fakes.write_csv(tmp_path / "plain", plain, fakes.name("DD")), min_qc=0)
    for name in flux.data_vars:
        np.testing.assert_array_equal(flux[name], known[name])
    repaired = {} if code == -9999 else {"cells between -9999 and -10000, taken as missing": 10}
    assert flux.attrs["repairs"] == repaired


@pytest.mark.parametrize("code", [-6999, -999, -999.9, -99999, 9999, 99999, -777, 5555])
@pytest.mark.parametrize("column", [TARGET, "TA_F", "SW_IN_F", "VPD_F"])
def test_another_missing_code_is_refused(tmp_path: Path, code: float, column: str) -> None:
    if column == "SW_IN_F" and code == -777:  # not farther out than the bounds are wide: repeated, it is warned of
        code = -999
    table = fakes.daily().astype({column: "float64"})
    table.loc[5:12, column] = code
    with pytest.raises(FileError, match=rf"column {column}: {code:g} looks like a missing code.*8 of 60"):
        open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")), min_qc=0)


def test_a_single_one_is_refused_in_half_hours_too(tmp_path: Path) -> None:
    table = fakes.halfhourly()
    table.loc[7, "USTAR"] = -6999
    with pytest.raises(FileError, match="column USTAR: -6999 looks like a missing code"):
        open_halfhours(fakes.write_csv(tmp_path, table, fakes.name("HH")))


@pytest.mark.parametrize(("column", "shift", "unit"), [("TA_F", 273.15, "K"), ("VPD_F", 1000.0, "Pa")])
def test_another_unit_is_no_missing_code(tmp_path: Path, column: str, shift: float, unit: str) -> None:
    table = fakes.daily()
    table[column] = (table[column] + shift).round(1)
    with pytest.warns(UserWarning, match=f"is this {unit}"):
        open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")), min_qc=0)
