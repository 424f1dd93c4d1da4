"""Columns that cannot be what they are said to be are refused, or their few slips dropped and counted."""

import numpy as np
import pandas as pd
import pytest

from ecoembed.errors import ConfigError, TableError, UnitError
from tests.validation.tables import flat, joined, run, samples_of

DAILY = "gC m-2 d-1"
Q = {"column": "q", "min": 0.5}


def one_site(factor, name="XX-T02"):
    return flat().assign(GPP=lambda t: t["GPP"].where(t["SITE_ID"] != name, factor * t["GPP"]))


@pytest.mark.parametrize("unit", [DAILY, "g C m^-2 day^-1"])
def test_one_site_in_another_unit_is_refused_by_name(unit):
    with pytest.raises(UnitError, match=r"XX-T02, GPP: values that no tower reaches.*-15 to 45 g ?C"):
        run(one_site(365), units=unit)
    assert run(one_site(365)).record["units"] == "unit not given"  # then nobody can tell


def test_the_bounds_are_those_of_the_unit():
    assert run(flat().assign(GPP=lambda t: 100 * t["GPP"]), units="gC m-2 y-1").scores["n"].tolist() == [100, 100]
    assert run(flat().assign(GPP=lambda t: 8 * t["GPP"]), units="umol m-2 s-1").scores["n"].tolist() == [100, 100]
    with pytest.raises(UnitError, match="-60 to 120"):
        run(flat().assign(GPP=lambda t: 100 * t["GPP"]), units="umol m-2 s-1")
    heat = flat().rename(columns={"GPP": "LE"}).assign(LE=lambda t: 1000 * t["LE"])
    assert run(heat, target="LE", units="W m-2").scores["n"].tolist() == [100, 100]


@pytest.mark.parametrize(("unit", "factor"), [(DAILY, 1e-3), ("gC m-2 y-1", 1e-3), ("umol m-2 s-1", 1e-6)])
def test_kilograms_for_grams_are_refused(unit, factor):
    """MODIS has kgC: each value is possible, all of them together are not."""
    with pytest.raises(UnitError, match=r"GPP: values far below what towers reach.*in 100 rows"):
        run(flat().assign(GPP=lambda t: factor * t["GPP"]), units=unit)
    barren = flat(3, 40).assign(GPP=lambda t: t["GPP"].where(t["SITE_ID"] == "XX-T00", 1e-3 * t["GPP"]))
    assert run(barren, units=DAILY).scores["n"].tolist() == [120, 120]


def test_small_fluxes_are_no_kilograms():
    """A polar winter, or a desert: in grams they are small, times 1000 no tower would reach them."""
    winter = flat().assign(GPP=lambda t: 0.2 * t["GPP"] / t["GPP"].max())
    assert run(winter, units=DAILY).scores["n"].tolist() == [100, 100]


def test_a_slip_is_dropped_and_counted():
    table = flat(3, 150)
    table.loc[7, "GPP"] = 500.0
    result = run(table, units=DAILY)
    assert result.record["rows"] == {"in": 450, "GPP beyond -15 to 45 gC m-2 d-1": 1, "out": 449}
    assert result.record["site_rows"]["XX-T00"]["out"] == 149
    assert result.predictions["observed"].max() < 45


def test_a_feature_table_brings_its_unit():
    table = joined()
    target = table.attrs["target"]
    table[("observed", target)] *= 1000
    with pytest.raises(UnitError, match=rf"observed\.{target}: values that no tower reaches"):
        run(table, target=target, features=None)


@pytest.mark.parametrize("values", [lambda r: r.integers(0, 4, 100), lambda r: r.uniform(0, 100, 100)])
def test_a_flag_or_percent_is_no_share_of_measured_half_hours(values):
    """Flags of which 0 is the best: a least of 0.5 would keep the filled days and drop the measured ones."""
    table = flat().assign(q=values(np.random.default_rng(0)))
    with pytest.raises(UnitError, match=r"q: not a share.*0 is best"):
        run(table, quality=Q)
    assert len(samples_of(table, quality=Q | {"min": 2}).site) < 100  # half-hours, say


def test_two_hours_of_one_day_are_no_two_days():
    table = flat()
    later = table.assign(date=table["date"] + pd.Timedelta(hours=10), GPP=table["GPP"] + 0.1)
    with pytest.raises(TableError, match=r"2020-04-01: different rows of one site and date \(found 200 such rows"):
        run(pd.concat([table, later]))


def test_a_set_of_ones_own_is_not_replaced_by_the_climatology():
    with pytest.raises(ConfigError, match=r"features, climatology: .*Rename"):
        run(flat(), features={"climatology": ["NIRv"]}, places={"vegetation": "PFT", "latitude": 45.0})
