import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecoembed.errors import ConfigError
from ecoembed.gpp.drawn import drawn_evenly
from ecoembed.gpp.gaussian_process import GaussianProcess
from ecoembed.gpp.regressors import REGRESSORS, check_regressor, make_regressor, models_of
from ecoembed.gpp.windows import Windows


def test_lightgbm_does_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 6))
    y = X[:, 0] * X[:, 1] + rng.normal(0, 0.1, 3000)
    fitted = (make_regressor("lightgbm", 3000).set_params(n_jobs=k, n_estimators=30).fit(X, y) for k in (1, 2))
    one, two = (model.predict(X) for model in fitted)
    np.testing.assert_array_equal(one, two)
    other = make_regressor("lightgbm", 3000, seed=1).set_params(n_estimators=30).fit(X, y).predict(X)
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


def test_what_an_own_estimator_was_fitted_to_is_forgotten():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    fitted = LinearRegression().fit(X, y)
    assert hasattr(fitted, "coef_")
    assert not hasattr(make_regressor(fitted, 50), "coef_")


def test_an_own_estimator_by_its_import_path():
    made = make_regressor("sklearn.ensemble.ExtraTreesRegressor", 100, seed=7)
    assert (type(made), made.random_state) == (ExtraTreesRegressor, 7)
    assert check_regressor("sklearn.ensemble.ExtraTreesRegressor") == "sklearn.ensemble.ExtraTreesRegressor"


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("sklearn.forest.RandomForestRegressor", r"no such module.*sklearn\.forest.*PYTHONPATH"),
        ("sklearn.ensemble.RandomForrest", "no such class in the module.*no RandomForrest in sklearn.ensemble"),
        ("sklearn.metrics.r2_score", "not a regressor.*class of a scikit-learn estimator"),
        ("sklearn.preprocessing.StandardScaler", "not a regressor"),
        ("sklearn.multioutput.MultiOutputRegressor", "asks for arguments.*estimator"),
        (".Ridge", "not an import path"),
        ("sklearn..Ridge", "no such module"),
    ],
)
def test_a_wrong_import_path(path, match):
    for refuse in (check_regressor, lambda p: make_regressor(p, 100)):
        with pytest.raises(ConfigError, match=match):
            refuse(path)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [("lightgmb", "Did you mean 'lightgbm'"), (3, "not a regressor"), (LinearRegression, "not a regressor")],
)
def test_unknown(wrong, match):
    with pytest.raises(ConfigError, match=match):
        make_regressor(wrong, 100)


def test_a_name_is_checked_alone():
    assert [check_regressor(name) for name in REGRESSORS] == list(REGRESSORS)
    with pytest.raises(ConfigError, match=r"found lightgmb; expected one of ridge, .*Did you mean 'lightgbm'"):
        check_regressor("lightgmb")
    with pytest.raises(ConfigError, match="unknown regressor"):  # it belongs to a set, and is not chosen
        check_regressor("mean_cycle")


@pytest.mark.parametrize("name", [n for n in REGRESSORS if n not in ("transformer", "gru")])
def test_named_regressors_keep_the_protocol(name):
    """Each learns what is there to learn at unseen sites, is cloned unfitted, and gives the same for the same seed."""
    X, y, sites = _sites(12, 40)
    new, truth, _ = _sites(4, 40, seed=1)
    made = make_regressor(name, len(y), seed=3)
    groups = {"groups": sites} if name in ("gaussian_process", "mixed_model") else {}
    one = made.fit(X, y, **groups).predict(new)
    two = clone(made).fit(X, y, **groups).predict(new)
    np.testing.assert_array_equal(one, two)
    assert r2_score(truth, one) > 0.6
    with pytest.raises(NotFittedError):
        clone(made).predict(new)


def _sites(count, days, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count * days, 3))
    level = np.repeat(rng.normal(0, 0.5, count), days)
    return X, 2 * X[:, 0] + X[:, 1] + level + rng.normal(0, 0.5, len(X)), np.repeat(np.arange(count), days)


def test_scale_is_one_coefficient_through_the_origin():
    x, y = np.array([[1.0], [2.0], [4.0]]), np.array([3.0, 5.0, 9.0])
    model = make_regressor("scale", 3).fit(x, y)
    np.testing.assert_allclose(model.predict([[0.0], [10.0]]), [0.0, 10 * (x[:, 0] @ y) / (x[:, 0] @ x[:, 0])])


def test_a_gaussian_process_is_that_of_scikit_learn():
    X, y, sites = _sites(10, 20)
    own = make_regressor("gaussian_process", 200).fit(X, y, groups=sites)
    assert len(own.rows_) == 200
    kernel = ConstantKernel() * RBF() + WhiteKernel()
    theirs = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True)).fit(X, y)
    new = _sites(3, 20, seed=5)[0]
    np.testing.assert_allclose(own.predict(new), theirs.predict(new), atol=0.05)


def test_a_gaussian_process_knows_few_rows_of_every_site():
    X, y, _ = _sites(10, 400)
    sites = np.repeat(np.arange(10), [3000, 500, 200, 100, 60, 50, 40, 30, 15, 5])
    own = GaussianProcess(most=500, most_tuned=100, random_state=0).fit(X, y, groups=sites)
    assert len(own.rows_) == 500
    counts = np.bincount(sites[own.rows_])
    assert counts[-2:].tolist() == [15, 5]
    assert np.ptp(counts[:4]) <= 1
    other = GaussianProcess(most=500, most_tuned=100, random_state=1).fit(X, y, groups=sites)
    assert not np.array_equal(own.rows_, other.rows_)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(1, 80), st.integers(0, 5))
def test_rows_are_drawn_evenly(sites, most, seed):
    sites = np.array(sites)
    rows = drawn_evenly(sites, most, seed)
    assert len(rows) == min(most, len(sites))
    assert np.all(np.diff(rows) > 0)
    have, taken = (np.bincount(s, minlength=7) for s in (sites, sites[rows]))
    left = taken < have
    assert not left.any() or taken.max() <= taken[left].min() + 1


def test_the_sets_that_a_regressor_can_read():
    windows = Windows(np.zeros((20, 3), dtype=np.float32), np.arange(9, 20), length=10)
    features = {
        "climatology": np.zeros((11, 3)), "p_model": np.zeros((11, 1)), "light": np.zeros((11, 1)),
        "wide": np.zeros((11, 31)), "past": windows,
    }  # fmt: skip
    own = LinearRegression()
    models, left_out = models_of(features, {name: name for name in REGRESSORS} | {"own": own})
    assert models["climatology"] == {"mean_cycle": "mean_cycle"}
    assert models["p_model"] == {"scale": "scale"}
    assert list(models["light"]) == ["ridge", "random_forest", "lightgbm", "gaussian_process", "mixed_model", "own"]
    assert list(models["wide"]) == ["ridge", "random_forest", "lightgbm", "own"]
    assert list(models["past"]) == ["ridge", "random_forest", "lightgbm", "transformer", "gru", "mixed_model", "own"]
    assert models["past"]["own"] is own
    assert left_out["wide, mixed_model"] == "31 columns; it takes 30 at most"
    assert left_out["past, gaussian_process"] == "30 columns; it takes 8 at most"
    assert "window_days" in left_out["light, gru"]
    assert len(left_out) == 7


def test_a_set_that_nobody_can_read_is_refused():
    with pytest.raises(ConfigError, match=r"wide: no regressor can read this set.*gaussian_process: 31 columns"):
        models_of({"wide": np.zeros((5, 31))}, {"gaussian_process": "gaussian_process"})
    with pytest.raises(ConfigError, match=r"gru: it reads days one after another.*window_days = 90.*Ask for windows"):
        models_of({"light": np.zeros((5, 1))}, {"gru": "gru"})
    with pytest.raises(ConfigError, match=r"gru: it reads days one after another, and no set has windows"):
        models_of({"light": np.zeros((5, 1))}, {"ridge": "ridge", "gru": "gru"})
    assert models_of({"p_model": np.zeros((5, 1))}, {"gru": "gru"})[0] == {"p_model": {"scale": "scale"}}
    with pytest.raises(ConfigError, match=r"p_model: the P-model has one scale.*found 2"):
        models_of({"p_model": np.zeros((5, 2))}, {"ridge": "ridge"})
