import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_squared_error, r2_score

from ecoembed.validation.metrics import bias, r2, rmse, summarise, summarise_sites

RNG = np.random.default_rng(0)
OBSERVED, PREDICTED = RNG.normal(5, 3, 50), RNG.normal(5, 3, 50)


def test_against_scikit_learn():
    assert r2(OBSERVED, PREDICTED) == pytest.approx(r2_score(OBSERVED, PREDICTED))
    assert rmse(OBSERVED, PREDICTED) == pytest.approx(np.sqrt(mean_squared_error(OBSERVED, PREDICTED)))


def test_r2_is_no_squared_correlation():
    assert np.corrcoef(OBSERVED, 2 * OBSERVED + 10)[0, 1] == pytest.approx(1)
    assert r2(OBSERVED, 2 * OBSERVED + 10) < -10
    assert r2(OBSERVED, np.full(50, OBSERVED.mean())) == pytest.approx(0)


@pytest.mark.parametrize("observed", [[3.0, 3.0], [3.0], []])
def test_r2_of_constant_observations_is_undefined(observed):
    assert np.isnan(r2(np.array(observed), np.array(observed)))


def test_bias_is_predicted_minus_observed():
    assert bias(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 1.5


def predictions():
    return pd.DataFrame(
        {
            "site": ["a"] * 20 + ["b"] * 29 + ["c"],
            "features": "f",
            "regressor": "r",
            "observed": OBSERVED,
            "predicted": PREDICTED,
        }
    )


def test_summaries():
    table = predictions()
    pooled, sites = summarise(table).iloc[0], summarise_sites(table).set_index("site")
    assert (pooled["n"], pooled["sites"]) == (50, 3)
    assert pooled["r2"] == pytest.approx(r2_score(OBSERVED, PREDICTED))
    assert sites.loc["b", "r2"] == pytest.approx(r2_score(OBSERVED[20:49], PREDICTED[20:49]))
    assert np.isnan(sites.loc["c", "r2"])
    assert sites.loc["c", "rmse"] == pytest.approx(abs(OBSERVED[-1] - PREDICTED[-1]))
    assert pooled["median_site_r2"] == pytest.approx(np.mean(sites["r2"].iloc[:2]))  # c is undefined, not zero


def test_best_first():
    better = predictions().assign(features="g", predicted=OBSERVED)
    assert list(summarise(pd.concat([predictions(), better]))["features"]) == ["g", "f"]
