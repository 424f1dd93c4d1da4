import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecoembed.errors import ConfigError
from ecoembed.gpp.regressors import REGRESSORS, check_regressor, make_regressor


def test_lightgbm_does_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 6))
    y = X[:, 0] * X[:, 1] + rng.normal(0, 0.1, 3000)
    one, two = (make_regressor("lightgbm", 3000).set_params(n_jobs=k).fit(X, y).predict(X) for k in (1, 2))
    np.testing.assert_array_equal(one, two)
    other = make_regressor("lightgbm", 3000, seed=1).fit(X, y).predict(X)
    assert not np.array_equal(one, other)


def test_lightgbm_trees_follow_the_rows():
    few, many = (make_regressor("lightgbm", n).get_params() for n in (300, 1_000_000))
    assert (few["num_leaves"], few["min_child_samples"]) == (6, 20)
    assert (many["num_leaves"], many["min_child_samples"]) == (31, 1000)


def test_ridge_standardises():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 3))
    y = X @ [1.0, 2.0, 3.0]
    big = X * [1.0, 1e4, 1e-4] + 100
    predictions = [make_regressor("ridge", 200).fit(Z, y).predict(Z) for Z in (X, big)]
    np.testing.assert_allclose(*predictions, rtol=1e-6)


def test_an_own_estimator_is_cloned_and_seeded():
    own = make_pipeline(StandardScaler(), RandomForestRegressor())
    made = make_regressor(own, 100, seed=7)
    assert made is not own
    assert made[-1].random_state == 7
    assert own[-1].random_state is None
    assert make_regressor(RandomForestRegressor(random_state=3), 100, seed=7).random_state == 3


@pytest.mark.parametrize(("wrong", "match"), [("lightgmb", "Did you mean 'lightgbm'"), (3, "not a regressor")])
def test_unknown(wrong, match):
    with pytest.raises(ConfigError, match=match):
        make_regressor(wrong, 100)


def test_a_name_is_checked_alone():
    assert [check_regressor(name) for name in REGRESSORS] == list(REGRESSORS)
    with pytest.raises(ConfigError, match=r"found lightgmb; expected one of ridge, lightgbm.*Did you mean 'lightgbm'"):
        check_regressor("lightgmb")
