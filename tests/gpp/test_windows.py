"""Windows of past days: what they hold, what they cost, and which of them are not whole."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.errors import TableError
from ecoembed.gpp.windows import Windows, make_windows


def long_table(sites=3, days=40, seed=0):
    """Sites, dates and values of two channels, in a random order."""
    rng = np.random.default_rng(seed)
    site = np.repeat([f"XX-T{i:02d}" for i in range(sites)], days).astype(object)
    date = pd.DatetimeIndex(np.tile(pd.date_range("2019-12-01", periods=days).values, sites))
    order = rng.permutation(len(site))
    return site[order], date[order], rng.normal(size=(len(site), 2))


def plain(site, date, values, row, length):
    """The window of one row by a look-up of each day; None if a day or a value is absent."""
    there = {(s, d): v for s, d, v in zip(site, date, values, strict=True)}
    days = pd.date_range(date[row] - pd.Timedelta(days=length - 1), date[row])
    found = [there.get((site[row], day)) for day in days]
    return None if any(v is None or np.isnan(v).any() for v in found) else np.concatenate(found).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), length=st.integers(1, 9), absent=st.floats(0, 0.4))
def test_windows_hold_what_a_look_up_of_each_day_finds(seed, length, absent):
    rng = np.random.default_rng(seed)
    site, date, values = long_table(sites=2, days=15, seed=seed)
    values[rng.random(values.shape) < absent / 4] = np.nan
    kept = rng.random(len(site)) >= absent
    site, date, values = site[kept], date[kept], values[kept]
    wanted = rng.random(len(site)) < 0.7
    windows, complete = make_windows(site, date, values, wanted, length)
    expected = [plain(site, date, values, row, length) for row in np.flatnonzero(wanted)]
    assert complete.tolist() == [window is not None for window in expected]
    if complete.any():
        np.testing.assert_array_equal(np.asarray(windows[complete]), [w for w in expected if w is not None])


def test_no_window_reaches_into_another_site():
    site, date, values = long_table()
    windows, complete = make_windows(site, date, values, np.ones(len(site), dtype=bool), 30)
    first = pd.Series(date).groupby(site).transform("min")
    assert complete.tolist() == ((date - first) >= pd.Timedelta(days=29)).tolist()
    assert complete.sum() == 3 * 11
    with pytest.raises(TableError, match=r"incomplete windows have no values \(found 87 of 120\)"):
        np.asarray(windows)


def test_selected_windows_share_the_base():
    site, date, values = long_table()
    windows, complete = make_windows(site, date, values, np.ones(len(site), dtype=bool), 5)
    whole = windows[complete]
    assert whole.base is windows.base
    assert whole[::2].base is windows.base
    assert len(whole) == whole.shape[0] == complete.sum()
    assert whole.shape[1] == 10
    np.testing.assert_array_equal(np.asarray(whole)[[4, 2]], np.asarray(whole[[4, 2]]))
    np.testing.assert_array_equal(whole.batch([4, 2]).reshape(2, -1), np.asarray(whole[np.array([4, 2])]))
    with pytest.raises(IndexError, match="mask, row numbers or a slice"):
        whole[3]
    with pytest.raises(ValueError, match="is a copy"):
        np.asarray(whole, copy=False)


def test_windows_of_many_years_cost_the_days_and_the_row_numbers():
    """150 towers, 380 000 days, 3 channels, 90 days: a copy would be 410 MB for one set, 61 GB for its 150 folds."""
    count, sites = 380_000, 150
    per_site = np.diff(np.linspace(0, count, sites + 1).astype(int))
    site = np.repeat([f"XX-{i:03d}" for i in range(sites)], per_site).astype(object)
    day = np.arange(count) - np.repeat(np.cumsum(per_site) - per_site, per_site)
    date = pd.DatetimeIndex(np.datetime64("2000-01-01") + day.astype("timedelta64[D]"))
    values = np.random.default_rng(0).normal(size=(count, 3))
    wanted = np.ones(count, dtype=bool)
    tracemalloc.start()
    windows, complete = make_windows(site, date, values, wanted, 90)
    held, peak = tracemalloc.get_traced_memory()
    folds = [windows[complete & (site != name)] for name in np.unique(site)[:2]]
    of_folds = tracemalloc.get_traced_memory()[0] - held
    some = np.flatnonzero(complete)[:1000].copy()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    matrix = np.asarray(windows[some])
    copied = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    base, numbers = count * 3 * 4, count * 8
    assert windows.nbytes == base + numbers
    assert held < 1.1 * (base + numbers)
    assert peak < 5 * (base + numbers)  # columns of row numbers on the way; nothing of rows x 90
    assert of_folds < 2.5 * numbers
    assert all(np.shares_memory(fold.base, windows.base) for fold in folds)
    assert matrix.dtype == np.float32
    assert copied < 1.1 * 1000 * 90 * 3 * 4


def test_a_matrix_and_windows_are_two_forms_of_one_thing():
    site, date, values = long_table()
    windows, complete = make_windows(site, date, values, np.ones(len(site), dtype=bool), 4)
    matrix = np.asarray(windows[complete])
    back = Windows.of_matrix(matrix, 4)
    assert back.channels == 2
    np.testing.assert_array_equal(back.batch(), windows[complete].batch())
    with pytest.raises(TableError, match=r"not a matrix of windows.*4 x channels"):
        Windows.of_matrix(np.zeros((3, 9)), 4)


def test_days_are_counted_as_often_as_windows_hold_them():
    site, date, values = long_table()
    windows, complete = make_windows(site, date, values, np.ones(len(site), dtype=bool), 7)
    some = windows[complete][::3]
    expected = np.zeros(len(windows.base), dtype=int)
    for end in some.ends:
        expected[end - 6 : end + 1] += 1
    np.testing.assert_array_equal(some.times_used(), expected)


def test_rows_without_site_or_date_are_in_no_window():
    site, date, values = long_table(1, 10)
    order = np.argsort(date)
    site, date, values = site[order], date[order], values[order]
    site[3], day = None, date.to_series(index=range(10))
    day[6] = pd.NaT
    windows, complete = make_windows(site, pd.DatetimeIndex(day), values, np.ones(10, dtype=bool), 2)
    assert np.flatnonzero(complete).tolist() == [1, 2, 5, 8, 9]
    assert len(windows) == 10


def test_two_values_of_one_day_are_refused_and_a_repeated_row_is_not():
    site, date, values = long_table(1, 10)
    twice = np.concatenate([np.arange(10), [4]])
    every = np.ones(11, dtype=bool)
    assert make_windows(site[twice], date[twice], values[twice], every, 2)[1].sum() == 10 - (date[4] == date.min())
    other = values[twice]
    other[-1, 0] += 1
    with pytest.raises(TableError, match=rf"XX-T00, {date[4]:%Y-%m-%d}: different rows of one site and day"):
        make_windows(site[twice], date[twice], other, every, 2)


def test_a_repeated_row_that_lacks_a_value_is_still_the_same_row():
    """NaN equals nothing, itself neither: the two rows agree all the same, and the day is in no window."""
    site, date = np.array(["XX-A"] * 5, dtype=object), pd.DatetimeIndex(pd.date_range("2020-05-01", periods=5))
    values = np.arange(10.0).reshape(5, 2)
    values[2, 1] = np.nan
    twice = np.array([0, 1, 2, 2, 3, 4])
    _, complete = make_windows(site[twice], date[twice], values[twice], np.ones(6, dtype=bool), 2)
    assert complete.tolist() == [False, True, False, False, False, True]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_a_day_without_a_finite_value_is_missing(value):
    """1e39 has no place in float32."""
    values = np.zeros((6, 2))
    values[2, 1] = value
    days, every = pd.date_range("2020-05-01", periods=6), np.ones(6, dtype=bool)
    with np.errstate(over="ignore"):
        _, complete = make_windows(np.array(["XX-A"] * 6, dtype=object), days, values, every, 2)
    assert complete.tolist() == [False, True, False, False, True, True]


def test_hours_do_not_matter():
    site, date, values = long_table()
    every = np.ones(len(site), dtype=bool)
    hours = date + pd.to_timedelta(np.arange(len(date)) % 24, unit="h")
    one, two = (make_windows(site, d, values, every, 3)[0].base for d in (date, hours))
    np.testing.assert_array_equal(one, two)
