import numpy as np
import pytest
import spyndex

from ecoembed.errors import ConfigError, VariableError
from ecoembed.gpp.indices import INDICES, SPYNDEX_BANDS, index_cube
from ecoembed.schema import check_cube
from tests.gpp import worlds

#: B02 B03 B04 B05 B06 B07 B08 B8A B11 B12 of a green canopy.
CANOPY = np.array([0.02, 0.06, 0.03, 0.09, 0.25, 0.33, 0.36, 0.38, 0.20, 0.10]).reshape(1, 10, 1, 1)


def values(cube):
    result = index_cube(cube)
    return {str(name): float(result.sel(band=name)[0, 0, 0]) for name in result["band"].values}


def test_band_letters_agree_with_the_catalogue():
    for letter, band in SPYNDEX_BANDS.items():
        name = spyndex.bands[letter].sentinel2a.band
        assert band == (f"B{int(name[1:]):02d}" if name[1:].isdigit() else name)
    assert spyndex.indices.RVI.formula == "RE2/R"  # not the radar vegetation index


def test_values_by_hand():
    got = values(worlds.cube(CANOPY))
    ndvi = (0.36 - 0.03) / (0.36 + 0.03)
    expected = {
        "NDVI": ndvi,
        "EVI2": 2.5 * 0.33 / (0.36 + 2.4 * 0.03 + 1),
        "NIRv": ndvi * 0.36,
        "kNDVI": np.tanh(ndvi**2),
        "CIG": 0.36 / 0.06 - 1,
        "CIRE": 0.36 / 0.09 - 1,
        "IRECI": (0.33 - 0.03) / (0.09 / 0.25),
        "LSWI": (0.36 - 0.20) / (0.36 + 0.20),
    }
    assert set(got) == set(INDICES) == set(expected)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("value", [0.0, -0.02])
def test_zero_denominator_is_missing_never_infinite(value):
    result = index_cube(worlds.cube(value))
    assert not np.isinf(result).any()
    assert np.isnan(result.sel(band=["NDVI", "NIRv", "CIG", "CIRE", "LSWI"])).all()


def test_a_denominator_near_zero_is_missing():
    dark = CANOPY.copy()
    dark[:, 1] = 1e-4  # green
    assert np.isnan(values(worlds.cube(dark))["CIG"])


def test_missing_stays_missing_and_local():
    cube = worlds.cube(CANOPY)
    cube[0, :, 1, 2] = np.nan
    missing = np.isnan(index_cube(cube).values)
    assert missing[0, :, 1, 2].all()
    assert missing.sum() == len(INDICES)


def test_is_a_cube_on_the_same_grid():
    cube = worlds.cube(CANOPY)
    result = check_cube(index_cube(cube, names=("NDVI", "kNDVI")))
    assert result.attrs["sensor"] == "indices"
    assert result.attrs["units"] == "1"
    assert result.rio.crs == cube.rio.crs
    np.testing.assert_array_equal(result["x"], cube["x"])
    assert cube.attrs["sensor"] == "S2_L2A"  # the argument is untouched


def test_unknown_index_names_close_ones():
    with pytest.raises(ConfigError, match="kNDVI"):
        index_cube(worlds.cube(CANOPY), names=["kNDV"])


def test_index_that_needs_more_than_the_bands():
    with pytest.raises(ConfigError, match="PAR"):
        index_cube(worlds.cube(CANOPY), names=["NIRvP"])


def test_cube_without_a_band_is_refused():
    with pytest.raises(VariableError, match="B05"):
        index_cube(worlds.cube(CANOPY).drop_sel(band="B05"))
