"""The described table of `examples/` is read as its description says, days and half-hours alike."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.archives.flux.reader import open_flux, open_halfhours
from ecoembed.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_table.toml"


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    """Sixty days of half-hours as the description's first lines show them, GPP following the sun."""
    start = pd.date_range("2023-06-01", periods=60 * 48, freq="30min")
    end = start + pd.Timedelta("30min")
    light = np.clip(np.sin((start.hour + start.minute / 60 + 0.25 - 6) / 12 * np.pi), 0, None)
    table = pd.DataFrame({"date": end.strftime("%d.%m.%Y"), "time": end.strftime("%H:%M")})
    table = table.assign(
        NEE=2.5 - 20 * light, GPP_f=20 * light, GPP_fqc=0, Tair=11.4, Rg=800 * light, VPD=3.2, Rain=0.1
    )
    table.loc[:47, "GPP_fqc"] = 2  # the first day is filled
    table = table.assign(Ustar=0.31, wind_dir=247, wind_speed=1.9, H=200 * light, LE=np.nan, press=97.6)
    path = tmp_path / "tower.csv"
    table.to_csv(path, index=False, sep=";", decimal=",", na_rep="NAN")
    header = EXAMPLE.read_text(encoding="utf-8").splitlines()[2].removeprefix("#").strip()
    assert path.read_text().splitlines()[0] == header
    return path


def test_the_short_description_of_the_readme(tower: Path) -> None:
    readme = EXAMPLE.parents[1].joinpath("README.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "[time]" in block)
    description = tower.with_name("tower.toml")
    description.write_text(block, encoding="utf-8")
    commas = tower.with_name("commas.csv")
    commas.write_text(tower.read_text().replace(",", ".").replace(";", ",").replace("NAN", "-9999"))
    short, whole = (
        open_flux(path, "GPP_NT", description=how) for path, how in ((commas, description), (tower, EXAMPLE))
    )
    xr.testing.assert_allclose(short[["GPP_NT", "TA", "SW_IN"]], whole[["GPP_NT", "TA", "SW_IN"]])


def test_days_of_the_example(tower: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tower.with_name("days.csv")
    with pytest.raises(SystemExit) as stopped:
        main(["flux", str(tower), "--description", str(EXAMPLE), "--target", "GPP_NT", "--out", str(out), "--json"])
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["site"], said["units"], said["rows"]["in"], said["rows"]["out"]) == ("XX-Own", "gC m-2 d-1", 60, 59)
    assert said["rows"]["qc below 0.75"] == 1
    days = pd.read_csv(out, index_col="time", parse_dates=True)
    assert np.isnan(days["GPP_NT"].iloc[0])
    light = np.sin((np.arange(24) * 0.5 + 0.25) / 12 * np.pi).sum() / 48
    np.testing.assert_allclose(days["GPP_NT"].iloc[1:], 20 * light * 12.011e-6 * 86_400, rtol=1e-3)
    np.testing.assert_allclose(days["P"], 4.8)


def test_half_hours_of_the_example(tower: Path) -> None:
    halfhours = open_halfhours(tower, description=EXAMPLE)
    assert str(halfhours["time"].values[0]) == "2023-06-01T00:00:00.000000000"
    assert {"USTAR", "WD", "WS", "H", "LE", "TA", "PA", "SW_IN"} <= set(halfhours.data_vars)
    assert halfhours["PA"].attrs["units"] == "kPa"
