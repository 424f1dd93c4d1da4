"""`ecoembed flux` and `sites` on wrong input: exit code 2, one line that says what, where and what to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ecoembed.cli import main
from tests.archives import fakes, towers

DAY, HALF = fakes.name("DD"), fakes.name("HH")
EDDYPRO = (
    "file_info,,,,corrected_fluxes\nfilename,date,time,DOY,co2_flux\n,[yyyy-mm-dd],[HH:MM],[ddd.ddd],[umol]\n"
    "a,2019-01-01,00:30,1.0,1.2\na,2019-01-01,01:00,1.0,1.2\n"
)


TEN_MINUTES = "TIMESTAMP_START,TIMESTAMP_END,FC\n201901010000,201901010010,1\n201901010010,201901010020,1\n"


def _days(change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table) -> str:
    return change(fakes.daily()).to_csv(index=False)


def _dates(pattern: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(TIMESTAMP=pd.to_datetime(table["TIMESTAMP"]).dt.strftime(pattern))


def _civil() -> str:
    table = towers.oneflux(towers.exchange(towers.halfhours("2019-01-01", days=365)))
    start = pd.to_datetime(table["TIMESTAMP_START"], format="%Y%m%d%H%M").dt.tz_localize("Etc/GMT-1")
    civil = start.dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    return table.assign(
        TIMESTAMP_START=civil.dt.strftime("%Y%m%d%H%M"),
        TIMESTAMP_END=(civil + pd.Timedelta("30min")).dt.strftime("%Y%m%d%H%M"),
    ).to_csv(index=False)


WRONG = {
    "no row": (DAY, lambda: _days().split("\n")[0] + "\n", [], "a header without rows"),
    "a decimal comma": (DAY, lambda: _days().replace(".", ","), [], "another number of fields"),
    "ISO dates": (DAY, lambda: _days(_dates("%Y-%m-%d")), [], "a spreadsheet has changed.*2019-03-01.*TOML"),
    "spreadsheet dates": (DAY, lambda: _days(_dates("%d/%m/%Y")), [], "a spreadsheet has changed.*01/03/2019"),
    "cut off": (DAY, lambda: _days()[:-40], [], "row 60 .*cut off"),
    "a misspelt target": (DAY, _days, ["--target", "GPP_NT_VUT_REFF"], "GPP_NT_VUT_REF, "),
    "a driver as target": (DAY, _days, ["--target", "TA_F"], "not a carbon flux"),
    "percent": (DAY, _days, ["--min-qc", "75"], "a share, 0 to 1"),
    "no number": (DAY, _days, ["--min-qc", "nan"], "a share, 0 to 1"),
    "agreement in percent": (DAY, _days, ["--agreement", "95"], "a share, 0 to 1"),
    "an unknown resolution": (DAY, _days, ["--resolution", "day"], "one of HH, DD, WW, MM, YY"),
    "half-hours of days": (DAY, _days, ["--resolution", "HH"], f"{DAY}: no half-hourly or hourly table"),
    "another site": (DAY, _days, ["--site", "DE-Hai"], "another site .found XX-T01; expected DE-Hai"),
    "no site": ("mydata.csv", _days, [], "no site ID.*say which site"),
    "a QC of percent": (DAY, lambda: _days(lambda t: t.assign(NEE_VUT_REF_QC=90)), [], "impossible quality.*Is this %"),
    "no QC": (DAY, lambda: _days(lambda t: t.drop(columns="NEE_VUT_REF_QC")), [], "QC column of GPP_NT_VUT_REF absent"),
    "civil time": (HALF, _civil, [], "daylight saving.*2019-03-31.*2019-10-27"),
    "reanalysis": (fakes.name("DD", "ERAI"), lambda: "TIMESTAMP,TA_ERA\n20190101,1\n20190102,2\n", [], "reanalysis"),
    "EddyPro": ("eddypro_XX-T01_full_output.csv", lambda: EDDYPRO, [], "not a time series.*describe it by a TOML"),
    "an unclear stamp": (
        "XX-T01.csv",
        lambda: "TIMESTAMP,NEE\n201901010115,1\n201901010145,1\n",
        [],
        "start or the end",
    ),
    "ten minutes": (
        "AMF_XX-T01_BASE_HH_1-5.csv",
        lambda: TEN_MINUTES,
        [],
        "neither half-hours nor hours.*201901010000, 201901010010",
    ),
    "a web page": (DAY, lambda: "<!DOCTYPE html>", [], "a web page"),
    "an absent description": (DAY, _days, ["--description", "absent.toml"], "absent.toml: no such file"),
    "an absent site table": (DAY, _days, ["--sites", "absent.csv"], "absent.csv.*no such file"),
}


def _refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert said.err.startswith("ecoembed: ")
    assert said.err.count("\n") == 1, "more than one line"
    return said.err


def _answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    name, content, options, said = WRONG[case]
    (tmp_path / name).write_text(content(), encoding="utf-8")
    assert re.search(said, _refused(capsys, "flux", tmp_path / name, *options))


def test_several_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, sub, other = DAY, fakes.name("DD", "SUBSET"), fakes.name("DD", site="XX-T02")
    paths = [fakes.write_csv(tmp_path, fakes.daily(), name) for name in (full, sub, other)]
    assert f"{full}, {sub}: 2 daily tables" in _refused(capsys, "flux", *paths[:2])
    assert f"{full}, {other}: several sites (found XX-T01, XX-T02" in _refused(capsys, "flux", paths[0], paths[2])
    assert "the output is one of the inputs" in _refused(capsys, "flux", paths[0], "--out", paths[0])


def test_nothing_kept_is_said_and_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily().assign(NEE_VUT_REF_QC=0.1), DAY)
    assert "nothing is kept" in _answered(capsys, "flux", path)
    said = _answered(capsys, "flux", path, "--json")
    answer = json.loads(said, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (answer["mean"], answer["rows"]["qc below 0.75"]) == (None, 60)


def test_the_table_is_written_with_what_its_columns_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), DAY)
    said = json.loads(_answered(capsys, "flux", path, "--out", tmp_path / "x.csv", "--json"))
    about = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert {k: v for k, v in said.items() if k not in ("table", "about")} == about
    assert list(pd.read_csv(tmp_path / "x.csv")) == ["time", *about["variables"]]
    assert about["variables"]["TA"] == {"units": "degC", "column": "TA_F"}
    assert "NT" in about["variables"]["ntdt_spread"]["formula"]
    assert about["rows"]["in"] == 60
    error = _refused(capsys, "flux", path, "--out", tmp_path / "x.parquet")
    assert "written as CSV (found .parquet; expected .csv). Name it x.csv" in error


def test_one_option_takes_several_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), DAY)
    for options in (["--target", "NO", "GPP_DT_VUT_REF"], ["--target", "NO", "--target", "GPP_DT_VUT_REF"]):
        assert json.loads(_answered(capsys, "flux", path, *options, "--json"))["target"] == "GPP_DT_VUT_REF"


def test_the_site_table_is_told_of_for_this_tower_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), DAY)
    table = tmp_path / "all.csv"
    table.write_text("site_id,latitude,longitude\nXX-T01,48.12345,11.54321\nXX-T02,50.1,12.5\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _answered(capsys, "flux", path, "--sites", table)
    table.write_text("site_id,latitude,longitude\nXX-T02,50.1,12.5\n")
    assert "no such site in the site table (found XX-T01)" in _refused(capsys, "flux", path, "--sites", table)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["flux"], "PATHS"),
        (["flux", "a", "--nope", "1"], "--nope"),
        (["flux", "a", "--min-qc", "x"], "--min-qc"),
        (["flux", "a", "--target"], "no value follows"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in _refused(capsys, *arguments)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), DAY)
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "ecoembed", "flux", str(path)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_warning_is_one_line_without_our_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily().assign(GPP_NT_VUT_REF=[752.0 + day for day in range(1, 61)]), DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda *what: print(warnings.formatwarning(*what[:4]), end="")
        line = _answered(capsys, "flux", path).split("\n")[0]
    assert line.startswith("ecoembed: warning: XX-T01: GPP_NT_VUT_REF 812 gC m-2 d-1: is this umol m-2 s-1?")
