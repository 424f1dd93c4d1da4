"""Properties of splits, samples and scores."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecoembed.validation.scores.metrics import bias, r2, rmse
from tests.validation.tables import flat, run, samples_of

numbers = st.integers(-(10**6), 10**6).map(lambda i: i / 1000)  # as measured: no 1e-254


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_benchmark_does_not_depend_on_the_order_of_the_rows(seed):
    table = flat(4, 12)
    table.loc[[1, 7], "TA"] = np.nan
    shuffled = table.sample(frac=1, random_state=seed)
    one, two = (run(t, regressors=["ridge", "lightgbm"]) for t in (table, shuffled))
    pd.testing.assert_frame_equal(one.predictions, two.predictions)
    pd.testing.assert_frame_equal(one.scores, two.scores)
    assert one.record["samples"] == two.record["samples"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 47), st.sampled_from(["GPP", "NIRv", "SW", "TA", "SITE_ID"])), max_size=12))
def test_rows_dropped_add_up(holes):
    table = flat(4, 12).astype({"SITE_ID": object})
    for row, column in holes:
        table.loc[row, column] = None
    rows = samples_of(table).rows
    assert rows["in"] == 48
    assert rows["in"] - sum(v for k, v in rows.items() if k not in ("in", "out")) == rows["out"]
    assert rows["out"] == table.drop(columns="PFT").notna().all(axis=1).sum()


@given(hnp.arrays(float, st.tuples(st.just(2), st.integers(2, 30)), elements=numbers))
def test_scores_are_bound_to_each_other(pair):
    observed, predicted = pair
    error, offset, score = rmse(observed, predicted), bias(observed, predicted), r2(observed, predicted)
    assert error >= abs(offset) * (1 - 1e-9)
    assert np.isnan(score) == (np.ptp(observed) == 0)
    if np.std(observed) > 1e-6:
        assert score <= 1
        assert np.isclose(score, 1 - (error / np.std(observed)) ** 2)
