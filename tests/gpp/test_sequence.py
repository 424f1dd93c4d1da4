"""Sequence models: what they can learn that an instantaneous one cannot, and what a fit may not know."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from ecoembed.errors import TableError, TrainingError
from ecoembed.gpp.sequence import GRURegressor, TransformerRegressor
from ecoembed.gpp.windows import Windows, make_windows
from ecoembed.validation.scores.metrics import r2

LAG, LENGTH = 30, 36
BOTH = pytest.mark.parametrize("kind", [TransformerRegressor, GRURegressor])


@pytest.fixture(scope="module")
def delayed():
    """Eight sites where the target is what one of two weather-like drivers was 30 days ago; the last two are tested."""
    sites, days, keep = 8, 150, 0.9
    rng = np.random.default_rng(0)
    site = np.repeat([f"XX-T{i}" for i in range(sites)], days).astype(object)
    date = pd.DatetimeIndex(np.tile(pd.date_range("2020-01-01", periods=days).values, sites))
    drivers = lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.normal(size=(2, len(site) + 500)))[:, 500:].T
    y = 5 + 3 * np.roll(drivers[:, 0], LAG) + rng.normal(0, 0.3, len(site))
    windows, whole = make_windows(site, date, drivers, np.ones(len(site), dtype=bool), LENGTH)
    test = np.isin(site[whole], ["XX-T6", "XX-T7"])
    return SimpleNamespace(X=windows[whole], y=y[whole], site=site[whole], test=test, today=drivers[whole])


@pytest.fixture(scope="module")
def transformer(delayed):
    return fitted(TransformerRegressor(max_rounds=2), delayed)


@pytest.fixture
def short(delayed):
    """The same, with windows of four days."""
    return SimpleNamespace(**vars(delayed) | {"X": Windows(delayed.X.base, delayed.X.ends, 4)})


def fitted(model, world):
    return model.fit(world.X[~world.test], world.y[~world.test], groups=world.site[~world.test])


def score(model, world, X=None):
    return r2(world.y[world.test], model.predict((world.X if X is None else X)[world.test]))


def few(n=300, columns=4, seed=0):
    """A plain table of one day: fits of a second."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, columns))
    return X, 10 + 4 * X[:, 0] + rng.normal(0, 0.5, n), np.repeat([f"XX-T{i}" for i in range(10)], n // 10)


def test_a_value_of_30_days_ago_is_learned(delayed, transformer):
    today = Ridge().fit(delayed.today[~delayed.test], delayed.y[~delayed.test])
    assert r2(delayed.y[delayed.test], today.predict(delayed.today[delayed.test])) < 0.1
    assert score(transformer, delayed) > 0.85
    assert score(fitted(GRURegressor(), delayed), delayed) > 0.45


def test_the_order_of_the_days_matters(delayed, transformer):
    days = np.random.default_rng(0).permutation(LENGTH - 1)
    mixed = delayed.X.batch()
    mixed[:, :-1] = mixed[:, days]
    assert score(transformer, delayed, Windows.of_matrix(mixed.reshape(len(mixed), -1), LENGTH)) < 0.2


def test_without_day_offsets_the_days_are_a_set(delayed, monkeypatch):
    """The fault of the public code, put in: the old steps can be exchanged, and the lag is not found."""
    import torch

    from ecoembed.gpp import networks

    network = networks.Transformer(channels=2, length=20)
    networks.draw_weights(network, 1)
    days = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 20, 2)).astype(np.float32))
    mixed = days[:, [*np.random.default_rng(2).permutation(19), 19]]
    assert not torch.allclose(network(days), network(mixed), atol=1e-3)
    monkeypatch.setattr(networks, "day_code", lambda offset, width: torch.zeros(len(offset), width))
    assert torch.allclose(network(days), network(mixed), atol=1e-5)
    assert score(fitted(TransformerRegressor(max_rounds=2), delayed), delayed) < 0.5


@BOTH
def test_every_day_of_a_long_window_is_seen(kind):
    """A window of 100 days is read in 25 steps of 4; a change of any single day changes the prediction."""
    rng = np.random.default_rng(0)
    model = kind(max_rounds=1).fit(Windows.of_matrix(rng.normal(size=(40, 100)), 100), rng.normal(size=40))
    rows = np.tile(rng.normal(size=100), (101, 1))
    rows[np.arange(100), np.arange(100)] += 3
    predicted = model.predict(Windows.of_matrix(rows, 100))
    assert np.all(predicted[:100] != predicted[100])


@BOTH
def test_one_seed_one_result_also_side_by_side(kind):
    X, y, sites = few()
    one, two = (kind(max_rounds=1).fit(X, y, groups=sites).predict(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    with ThreadPoolExecutor(3) as pool:
        for other in pool.map(lambda _: kind(max_rounds=1).fit(X, y, groups=sites).predict(X), range(3)):
            np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, kind(max_rounds=1, random_state=1).fit(X, y, groups=sites).predict(X))


@BOTH
def test_the_fit_knows_nothing_of_days_outside_its_windows(kind, short):
    """Days of the sites left out are made absurd, or absent; the model stays the same to the last bit."""
    asked = short.X[~short.test][:50]
    expected = fitted(kind(max_rounds=1), short).predict(asked)
    for absurd in (1e6, np.nan):
        base = short.X.base.copy()
        base[short.X[~short.test].times_used() == 0] = absurd
        X = Windows(base, short.X.ends, 4)[~short.test]
        model = kind(max_rounds=1).fit(X, short.y[~short.test], groups=short.site[~short.test])
        np.testing.assert_array_equal(model.predict(asked), expected)


def test_scaling_knows_only_the_rows_it_was_fitted_on():
    """Inside, too: the sites that say when to stop are not in the mean."""
    X, y, sites = few()
    model = TransformerRegressor(max_rounds=1).fit(X, y, groups=sites)
    means = {
        out: X[~np.isin(sites, out)].mean(axis=0)
        for out in [(a, b) for a in np.unique(sites) for b in np.unique(sites) if a < b]
    }
    assert sum(np.allclose(model.mean_, mean, atol=1e-6) for mean in means.values()) == 1  # 8 of the 10 sites


def test_the_sites_that_say_when_to_stop_are_left_out_whole():
    """Features that tell the site and a level of each site: known sites look easy, sites left out do not."""
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(10), 40)
    X, y = rng.normal(size=(10, 6))[code] + rng.normal(0, 0.1, (400, 6)), rng.normal(size=10)[code]
    by_site = TransformerRegressor(max_rounds=3).fit(X, y, groups=code)
    by_row = TransformerRegressor(max_rounds=3).fit(X, y)
    assert min(by_row.losses_) < 0.2
    assert min(by_site.losses_) > 0.4


@BOTH
def test_they_are_estimators_of_scikit_learn(kind):
    X, y, sites = few()
    model = kind(max_rounds=2, random_state=3)
    assert clone(model).get_params() == model.get_params()
    predicted = cross_val_predict(
        model, X, y, groups=sites[::-1], cv=LeaveOneGroupOut().split(X, y, np.arange(300) % 3)
    )
    assert r2(y, predicted) > 0.6
    assert model.fit(X, y).score(X, y) > 0.6
    assert model.n_features_in_ == 4


@BOTH
def test_a_matrix_of_the_columns_of_the_windows_predicts_the_same(kind, short):
    model = fitted(kind(max_rounds=1), short)
    some = short.X[short.test][:20]
    np.testing.assert_array_equal(model.predict(some), model.predict(np.asarray(some)))
    assert len(model.predict(some[:0])) == 0
    with pytest.raises(TableError, match=r"windows unlike those of the fit.*4 days x 2 channels"):
        model.predict(Windows.of_matrix(np.zeros((3, 10)), 5))
    with pytest.raises(TableError, match="windows unlike those of the fit"):
        model.predict(np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"y": np.full(300, 2.5)}, TableError, "target never changes.*2.5 in every training row"),
        ({"y": np.r_[np.nan, np.arange(299.0)]}, TableError, "missing values.*1 of the target, 0 in the windows"),
        ({"X": np.full((300, 2), np.inf)}, TableError, "missing values.*600 in the windows"),
        ({"y": np.arange(299.0)}, TableError, r"target: another length.*\(299,\).*\(300,\)"),
        ({"groups": ["a", "b"]}, TableError, "groups: another length"),
        ({"X": np.zeros((1, 2)), "y": [1.0], "groups": None}, TableError, "too few rows"),
        ({"X": np.zeros(300)}, TableError, "not a matrix"),
    ],
)
def test_what_cannot_be_fitted(change, error, match):
    X, y, sites = few()
    with pytest.raises(error, match=match):
        GRURegressor(max_rounds=1).fit(**({"X": X, "y": y, "groups": sites} | change))


@BOTH
def test_a_loss_that_diverges_is_an_error(kind):
    X, y, _ = few()
    with pytest.raises(TrainingError, match=r"loss is no number any more.*Lower learning_rate, now 1e\+37"):
        kind(learning_rate=1e37).fit(X, y)


def test_a_channel_that_never_changes_and_a_single_site_do_no_harm():
    X, y, _ = few()
    X[:, 2] = 1e5
    model = GRURegressor(max_rounds=2).fit(X, y, groups=["XX-T1"] * 300)
    assert r2(y, model.predict(X)) > 0.6


def test_torch_is_not_imported_before_a_fit():
    code = "import sys, ecoembed.gpp.sequence, ecoembed.gpp.windows; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
