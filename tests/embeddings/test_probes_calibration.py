"""The expected error: what it is worth is found at hidden dates, and a wrong one is told and set right."""

from __future__ import annotations

import numpy as np
import pytest

from ecoembed.embeddings.probes import calibrate, run_probes
from ecoembed.errors import TableError
from tests.embeddings.probed import Noise, Stated, write_place


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    return [write_place(folder, number) for number in range(20, 25)]


@pytest.mark.parametrize("factor", [1.0, 0.5, 3.0])
def test_calibration_recovers_the_error_that_was_made(places, factor):
    stated, found = np.array(calibrate(Stated(factor), places[:3])).T
    assert np.all(np.diff(stated) > 0)
    assert np.all(np.diff(found) >= 0)
    np.testing.assert_allclose(found, stated / factor, rtol=0.1)
    assert found[0] < 0.007
    assert found[-1] > 0.045  # without S1 the error is larger, and it is covered


def test_a_stated_error_is_measured_and_a_wrong_one_is_told(places):
    errors = {f: run_probes({"stated": Stated(f)}, places[:2], places[2:])["error"] for f in (1.0, 0.5)}
    for factor, error in errors.items():
        assert error["ratio"]["value"] == pytest.approx(1 / factor, rel=0.03)
        assert error["slope"]["value"] == pytest.approx(1 / factor, rel=0.05)
        assert error["ratio"]["low"] <= error["ratio"]["value"] <= error["ratio"]["high"]
        assert error["ratio"]["places"] == 3
        assert error["rank_correlation"]["value"] > 0.6
        for b in error["bins"]:
            assert b["found"] == pytest.approx(b["stated"] / factor, rel=0.15)
    assert errors[0.5]["ratio"]["low"] > 1.5
    hidings = errors[1.0]["by_hiding"]
    assert hidings["gap_30_no_s1"]["found"] == pytest.approx(2 * hidings["gap_30"]["found"], rel=0.1)


def test_without_a_stated_error_nothing_is_calibrated(places):
    with pytest.raises(TableError, match="no pixel to calibrate"):
        calibrate(Noise(), places[:1])
    assert "states no error" in run_probes({"noise": Noise()}, places[:2], places[2:3])["error"]["not_measured"]


def test_a_calibration_that_the_card_holds_is_left_out_of_account(places, encoder):
    from ecoembed.embeddings.encode import Encoder

    wrong = Encoder(encoder.model, encoder.card.model_copy(update={"error_calibration": ((0.0, 5.0), (1.0, 6.0))}))
    assert calibrate(wrong, places[:1]) == calibrate(encoder, places[:1])
