import datetime

import numpy as np
import pandas as pd
import pytest

from ecoembed.errors import ConfigError, FileError, TableError
from ecoembed.validation.samples.columns import as_dates, as_numbers, as_sites, read_table
from tests.validation.tables import flat, run

DAYS = pd.Series(pd.to_datetime(["2020-04-05", "2020-11-12"]), name="date").astype("datetime64[ns]")


@pytest.mark.parametrize(
    "values",
    [
        ["2020-04-05", "2020-11-12"],
        [" 2020-04-05 ", "20201112"],
        ["2020-04-05T00:00:00", "2020-11-12 00:00"],
        [20200405, 20201112],
        [20200405.0, 20201112.0],
        [datetime.date(2020, 4, 5), datetime.datetime(2020, 11, 12)],
        pd.to_datetime(["2020-04-05", "2020-11-12"]).as_unit("s"),
    ],
)
def test_dates_that_mean_one_day_only(values):
    pd.testing.assert_series_equal(as_dates(pd.Series(values, name="date")), DAYS)
    gap = as_dates(pd.concat([pd.Series(values, name="date"), pd.Series([None])], ignore_index=True).rename("date"))
    assert gap.isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    "bad", ["05.04.2020", "05/04/2020", "13/04/2020", "2020-4-5", "2020-13-01", "2020", "20200231", "5 Apr 2020", ""]
)
def test_other_dates_are_refused_with_their_row(bad):
    with pytest.raises(TableError) as caught:
        as_dates(pd.Series(["2020-04-04", None, bad, bad], name="day"))
    assert str(caught.value) == (
        f"day: dates cannot be read (found {bad!r} in row 3; expected YYYY-MM-DD or YYYYMMDD)."
    )


@pytest.mark.parametrize("bad", [17, 20200231, 20200401.5, np.inf, -9999, 43831])
def test_other_numbers_are_no_dates(bad):
    with pytest.raises(TableError, match=r"dates cannot be read .*in row 2; expected YYYY-MM-DD or YYYYMMDD"):
        as_dates(pd.Series([20200401, bad]))


def test_a_time_zone_is_no_local_day():
    for values in (["2020-04-05T10:00:00Z"], pd.to_datetime(["2020-04-05"], utc=True), ["2020-04-05 10:00+01:00"]):
        with pytest.raises(TableError, match=r"time zone.*row 1"):
            as_dates(pd.Series(values))


def test_sites_are_stripped_and_spelt_in_one_way():
    assert as_sites(pd.Series([" DE-Gri", "DE-Gri ", 3, " "])).tolist()[:3] == ["DE-Gri", "DE-Gri", "3"]
    assert as_sites(pd.Series(["DE-Gri", None, " "])).isna().tolist() == [False, True, True]
    for other in ("de-gri", "DE -Gri", " DE-GRI"):
        with pytest.raises(TableError, match=f"'DE-Gri' and '{other.strip()}'"):
            as_sites(pd.Series(["DE-Gri", "US-Var", other]))


def test_one_site_in_two_spellings_does_not_leak():
    table = flat()
    padded = table.assign(SITE_ID=table["SITE_ID"].where(table.index % 2 == 0, table["SITE_ID"] + "  "))
    pd.testing.assert_frame_equal(run(padded).predictions, run(table).predictions)
    with pytest.raises(TableError, match="'XX-T00' and 'xx-t00'"):
        run(table.assign(SITE_ID=table["SITE_ID"].where(table.index % 2 == 0, table["SITE_ID"].str.lower())))


@pytest.mark.parametrize("fill", [-999.0, -9999.0, -99999.0])
def test_fill_values_far_from_the_rest_are_refused(fill):
    for name in ("GPP", "NIRv"):
        table = flat()
        table.loc[[3, 4], name] = fill
        with pytest.raises(TableError, match=rf"{name}: fill values \({fill:g}\).*2 of 100"):
            run(table, features={"f": ["NIRv"]})


def test_a_value_among_others_is_no_fill_value():
    depths = pd.Series([-1500.0, -999.0, -700.0])
    pd.testing.assert_series_equal(as_numbers(depths), depths)
    with pytest.raises(TableError, match="fill values"):
        as_numbers(pd.Series([np.nan, -999.0]))


def test_the_first_text_among_numbers_is_named():
    with pytest.raises(TableError, match=r"TA: column is not numeric \(found '1,5' in row 3; expected numbers\)"):
        as_numbers(pd.Series(["1.5", None, "1,5", "n.a."], name="TA"))
    with pytest.raises(TableError, match=r"found 2020-04-05 00:00:00 in row 1"):
        as_numbers(DAYS)
    assert as_numbers(pd.Series([1, None, 2.5], dtype=object)).tolist()[::2] == [1.0, 2.5]


def test_decimal_commas_and_another_encoding_are_told_apart_from_text(tmp_path):
    with pytest.raises(TableError, match=r"found '3,27' in row 2.*Write numbers with a decimal point"):
        as_numbers(pd.Series([None, "3,27", "-1,5"]))
    with pytest.raises(TableError, match="Encode it as numbers"):
        as_numbers(pd.Series(["3,27", "low"]))
    flat().assign(SITE_ID="Wäld").to_csv(tmp_path / "t.csv", index=False, encoding="latin-1")
    with pytest.raises(FileError, match=r"t\.csv: the table cannot be read.*Save it as UTF-8"):
        read_table(tmp_path / "t.csv")


def test_exchanged_coordinates_are_suspected():
    with pytest.raises(TableError, match=r"found 134.*at most 90.*Are latitude and longitude exchanged"):
        run(flat().assign(lat=134.0), places={"latitude": "lat"})


@pytest.mark.parametrize(("separator", "name"), [(";", "';'"), ("\t", "a tab")])
def test_another_separator_is_named(tmp_path, separator, name):
    flat().to_csv(tmp_path / "t.csv", sep=separator, decimal=",", index=False)
    with pytest.raises(TableError, match=rf"the separator is {name} \(.*expected ','\)"):
        read_table(tmp_path / "t.csv")


def test_a_table_without_rows_and_a_constant_target():
    with pytest.raises(TableError, match="the table has no rows"):
        run(flat().iloc[:0])
    with pytest.raises(TableError, match=r"GPP: the target never changes.*found 2\.5 in every row"):
        run(flat().assign(GPP=2.5))


def test_a_column_that_stands_twice_in_a_set_is_refused():
    """It would weigh twice in a ridge."""
    with pytest.raises(ConfigError, match=r"features, a: a column stands twice in a set \(found NIRv"):
        run(flat(), features={"a": ["NIRv", "SW", "NIRv"], "b": ["SW"]})
