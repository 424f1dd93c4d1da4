"""Filters count every row; suspicions are said with their unit; closure is a line through known terms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecoembed import open_flux, units
from ecoembed.archives.flux.closure import energy_balance
from ecoembed.archives.flux.quality import agreement_filters, keep_rows, warn_outside_bounds
from ecoembed.archives.flux.targets import TARGETS, check_target, find_target
from ecoembed.errors import ConfigError, UnitError, VariableError
from tests.archives import fakes, towers

FLUX = arrays(float, 40, elements=st.floats(-5, 30) | st.just(np.nan))


@given(FLUX, st.lists(arrays(bool, 40), max_size=4))
@settings(max_examples=50, deadline=None)
def test_rows_in_are_rows_out_and_reasons(values: np.ndarray, failing: list[np.ndarray]) -> None:
    filters = [("missing", np.isnan(values)), *((f"reason {i}", fails) for i, fails in enumerate(failing))]
    kept, counts = keep_rows(values, filters)
    assert counts["in"] == 40 == sum(n for reason, n in counts.items() if reason != "in")
    assert counts["out"] == np.isfinite(kept).sum()
    np.testing.assert_array_equal(kept[np.isfinite(kept)], values[np.isfinite(kept)])
    again, _ = keep_rows(values, filters[::-1])
    np.testing.assert_array_equal(again, kept)  # the order of the filters moves counts, never rows


@given(st.floats(0.5, 1.0), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_agreement_keeps_its_share(agreement: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(5, 2, 400), rng.normal(5, 2, 400)
    _, fails = agreement_filters(one, other, agreement)[1]
    assert abs((~fails).mean() - agreement) < 0.01


@pytest.mark.parametrize(
    ("name", "value", "bounds", "said"),
    [
        ("GPP_NT_VUT_REF", 812.0, units.DAILY_BOUNDS["GPP"], r"GPP_NT_VUT_REF 812 gC m-2 d-1: is this umol m-2 s-1\?"),
        ("TA_F", 288.0, units.DAILY_BOUNDS["TA"], r"TA_F 288 degC: is this K\?"),
        ("VPD_F", 1200.0, units.DAILY_BOUNDS["VPD"], r"VPD_F 1200 hPa: is this Pa\?"),
        ("GPP", 9.0, units.DAILY_BOUNDS["GPP"], None),
    ],
)
def test_a_value_beyond_its_bounds_asks_for_its_unit(
    name: str, value: float, bounds: tuple[float, float, str], said: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    warn_outside_bounds(name, np.array([1.0, np.nan, value]), bounds, "XX-T01")
    if said is None:
        assert not recwarn
    else:
        with pytest.warns(UserWarning, match=said):
            warn_outside_bounds(name, np.array([1.0, np.nan, value]), bounds, "XX-T01")


def test_closure_is_the_line_through_known_terms() -> None:
    rng = np.random.default_rng(0)
    available = rng.uniform(-50, 600, 5000)
    ground = rng.normal(20, 10, 5000)
    terms = {"H": 0.3 * available + 5, "LE": 0.5 * available, "NETRAD": available + ground, "G": ground}
    found = energy_balance(terms, "half-hours")
    assert (found["slope"], found["intercept"], found["n"]) == (0.8, 5.0, 5000)
    assert found["ratio"] == pytest.approx((0.8 * available + 5).sum() / available.sum(), abs=1e-4)
    without = energy_balance({name: values for name, values in terms.items() if name != "G"}, "half-hours")
    assert "no G" in str(without["of"])
    assert energy_balance({"H": available, "LE": available}, "half-hours") == {}


def test_every_target_has_the_columns_of_its_own_variant() -> None:
    columns = [c for nee in set(TARGETS.values()) for c in (nee, f"{nee}_QC")] + [*TARGETS, "GPP_NT_VUT_SE"]
    assert len(TARGETS) == 2 * 10 * 5
    for name, nee in TARGETS.items():
        target = find_target(name, columns, True, "file")
        assert target.roles["quality"] == f"{nee}_QC"
        assert target.roles.get("other") == {"NT": name.replace("NT", "DT"), "DT": name.replace("DT", "NT")}.get(
            name.split("_")[1]
        )
        assert target.roles["low"].startswith(name.rsplit("_", 1)[0])
    with pytest.raises(VariableError, match=r"none of the targets GPP_NT_VUT_SE, NEE is there"):
        find_target(["GPP_NT_VUT_SE", "NEE"], columns, True, "file")


def test_a_misspelt_target_is_told_before_any_file_is_opened() -> None:
    for name in ("GPP_NT_VUT_REF", "GPP_PI_F", "NEE", "GPP_NT", "FC_PI_F", "GPP", "RECO_PI_F_1_1_1"):
        assert check_target(name) == name
    with pytest.raises(ConfigError, match="Did you mean 'GPP_NT_VUT_REF'"):
        check_target("GPP_NT_VUT_RFE")


def test_quartiles_serve_where_a_product_has_no_16th_percentile() -> None:
    columns = ["GPP_NT_VUT_REF", "GPP_NT_VUT_25", "GPP_NT_VUT_75", "NEE_VUT_REF_QC"]
    target = find_target("GPP_NT_VUT_REF", columns, True, "file")
    assert (target.roles["low"], target.roles["high"], target.spread) == ("GPP_NT_VUT_25", "GPP_NT_VUT_75", 1.349)


@pytest.mark.parametrize(
    ("resolution", "value", "what"),
    [
        ("DD", 90.0, "Is this %"),
        ("HH", 0.5, "longer period"),
        ("HH", 7.0, "0 .measured., 1, 2 or 3"),
        ("DD", -1.0, "0 to 1"),
    ],
)
def test_an_impossible_quality_is_refused(tmp_path: Path, resolution: str, value: float, what: str) -> None:
    table = fakes.daily() if resolution == "DD" else towers.oneflux(towers.exchange(towers.halfhours(days=3)))
    table["NEE_VUT_REF_QC"] = np.where(table.index == 1, value, table["NEE_VUT_REF_QC"])
    path = fakes.write_csv(tmp_path, table, fakes.name(resolution))
    with pytest.raises(UnitError, match=rf"NEE_VUT_REF_QC: an impossible quality.*{value:g} in 1 of .*{what}"):
        open_flux(path)


def test_all_is_kept_on_request(tmp_path: Path) -> None:
    table = fakes.daily()
    table.loc[3, "NEE_VUT_REF_QC"] = -9999
    path = fakes.write_csv(tmp_path, table, fakes.name("DD"))
    assert open_flux(path, min_qc=0.0).attrs["rows"] == {"in": 60, "missing target": 0, "out": 60}
    assert open_flux(path).attrs["rows"]["missing qc"] == 1


def test_a_unit_that_nobody_knows_is_named_with_its_column(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), "own_XX-T01.csv")
    toml = tmp_path / "own.toml"
    toml.write_text(
        '[time]\ncolumn = "TIMESTAMP"\nstamp = "start"\nzone = "local"\n'
        '[columns]\nGPP_NT = {column = "GPP_NT_VUT_REF", unit = "furlong"}\n'
    )
    with pytest.raises(UnitError, match=r"own_XX-T01\.csv, column GPP_NT: no conversion.*furlong"):
        open_flux(path, "GPP_NT", min_qc=0.0, description=toml)
