import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from tests.validation.formulas import bias, kge, mae, nrmse, pearson_r2, r2, rmse

RNG = np.random.default_rng(0)
OBSERVED, PREDICTED = RNG.normal(5, 3, 50), RNG.normal(5, 3, 50)


def test_against_scikit_learn():
    assert r2(OBSERVED, PREDICTED) == pytest.approx(r2_score(OBSERVED, PREDICTED))
    assert rmse(OBSERVED, PREDICTED) == pytest.approx(np.sqrt(mean_squared_error(OBSERVED, PREDICTED)))
    assert mae(OBSERVED, PREDICTED) == pytest.approx(mean_absolute_error(OBSERVED, PREDICTED))
    assert pearson_r2(OBSERVED, PREDICTED) == pytest.approx(pearsonr(OBSERVED, PREDICTED).statistic ** 2)


def test_r2_is_no_squared_correlation():
    assert np.corrcoef(OBSERVED, 2 * OBSERVED + 10)[0, 1] == pytest.approx(1)
    assert r2(OBSERVED, 2 * OBSERVED + 10) < -10
    assert r2(OBSERVED, np.full(50, OBSERVED.mean())) == pytest.approx(0)


@pytest.mark.parametrize("observed", [[3.0, 3.0], [3.0], []])
def test_r2_of_constant_observations_is_undefined(observed):
    assert np.isnan(r2(np.array(observed), np.array(observed)))


def test_bias_is_predicted_minus_observed():
    assert bias(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 1.5


def test_kge_punishes_each_fault_alone():
    assert kge(OBSERVED, OBSERVED) == pytest.approx(1)
    assert kge(OBSERVED, OBSERVED + 0.2 * OBSERVED.mean()) == pytest.approx(0.8)  # the level
    stretched = OBSERVED.mean() + 1.3 * (OBSERVED - OBSERVED.mean())
    assert kge(OBSERVED, stretched) == pytest.approx(0.7)  # the spread
    assert kge(OBSERVED, -OBSERVED + 2 * OBSERVED.mean()) == pytest.approx(-1)  # the correlation


def test_nrmse_is_a_share_of_the_mean():
    assert nrmse(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == 0.5
    assert np.isnan(nrmse(np.array([-1.0, 0.5]), np.array([0.0, 0.0])))


@pytest.mark.parametrize(
    ("score", "observed", "predicted"),
    [(kge, [1, 1], [1, 2]), (kge, [1, 2], [1, 1]), (kge, [-1, 1], [1, 2]), (pearson_r2, [1, 2], [3, 3])],
)
def test_undefined_scores(score, observed, predicted):
    assert np.isnan(score(np.array(observed, dtype=float), np.array(predicted, dtype=float)))
