"""The probes: what encoders of known content score, that masks hide, and that nothing is fitted at unseen places."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from ecoembed.embeddings.probes import run_probes, verdict
from ecoembed.embeddings.probes.encoders import Around, Dense, Seen
from ecoembed.embeddings.probes.places import GAPS, load_probe_place
from ecoembed.embeddings.probes.scores import Counts
from ecoembed.embeddings.probes.views import TARGETS, Views, _truth, target_sample
from ecoembed.errors import ConfigError, LeakageError, TableError
from tests.embeddings.probed import Leaky, Noise, Perfect, write_place

PARTS = ["gap_1", "gap_10", "gap_30", "gap_60", "ndvi_now", "ndvi_next", "vh_vv", "land_cover", "spatial", "smoothness"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    return [write_place(folder, number) for number in range(6)]


@pytest.fixture(scope="module")
def table(places):
    return run_probes({"perfect": Perfect(), "leaky": Leaky(), "noise": Noise()}, places[:3], places[3:])


def test_an_encoder_that_knows_the_truth_scores_one(table):
    for name in ("gap_1", "gap_10", "gap_30", "gap_60", "ndvi_now", "ndvi_next", "vh_vv", "land_cover"):
        assert table["probes"][name]["values"]["perfect"]["score"] == pytest.approx(1.0, abs=0.03), name
    assert table["probes"]["gap_30"]["values"]["decoded"]["value"] == 0.0


def test_noise_scores_nothing(table):
    scores = {
        name: probe["values"]["noise"]["score"] for name, probe in table["probes"].items() if "noise" in probe["values"]
    }
    for name in ("ndvi_now", "ndvi_next", "vh_vv", "land_cover", "spatial", "harvest"):
        assert abs(scores[name]) < 0.1, name
    assert scores["gap_30"] < 0
    assert scores["smoothness"] < 0
    gap = table["probes"]["gap_30"]["values"]
    assert gap["noise"]["value"] == pytest.approx(gap["mean"]["value"], rel=0.05)
    assert table["probes"]["effective_rank"]["values"]["noise"]["value"] == pytest.approx(7.0, abs=0.1)


def test_what_sees_the_hidden_frame_is_told_from_what_does_not(table):
    for gap in GAPS:
        values = table["probes"][f"gap_{gap}"]["values"]
        assert values["leaky"]["score"] > 0.8
        assert values["raw"]["score"] < 0.5
    assert table["probes"]["ndvi_now"]["values"]["leaky"] == table["probes"]["ndvi_now"]["values"]["raw"]


def test_longer_gaps_are_harder_for_interpolation(table):
    error = [table["probes"][f"gap_{gap}"]["values"]["interpolation"]["value"] for gap in GAPS]
    assert error == sorted(error)


def test_structure_of_the_places_is_found_in_raw_values(table):
    for name in ("spatial", "harvest"):
        values = table["probes"][name]["values"]
        assert values["raw"]["low"] > values["noise"]["high"], name


def test_the_table_is_json_and_holds_every_row(table):
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["encoders"] == ["perfect", "leaky", "noise", "random", "raw", "pca7"]
    assert table["places"] == {"trained": ["XX-P00", "XX-P01", "XX-P02"], "unseen": ["XX-P03", "XX-P04", "XX-P05"]}
    for probe in table["probes"].values():
        for row, value in probe["values"].items():
            assert value["places"] == len(probe["by_place"][row])
            assert value["low"] <= value["value"] + 1e-9
            assert value["value"] <= value["high"] + 1e-9
        assert not set(probe["values"]) & set(probe["not_measured"])
    assert set(PARTS) <= set(table["sum"]["parts"])


def test_the_sum_is_that_of_the_scores_and_differences_are_paired(table):
    total = table["sum"]
    for row in table["encoders"]:
        expected = sum(table["probes"][part]["values"][row]["score"] for part in total["values"][row]["parts"])
        assert total["values"][row]["value"] == pytest.approx(expected)
    difference = total["differences"]["raw"]
    assert difference["value"] == pytest.approx(total["values"]["perfect"]["value"] - total["values"]["raw"]["value"])
    assert difference["low"] <= difference["value"] <= difference["high"]


def at(table, places):
    """The table as if there were so many places."""
    found = copy.deepcopy(table)
    for values in (*(probe["values"] for probe in found["probes"].values()), found["sum"]["differences"]):
        for value in values.values():
            value["places"] = places
    return found


def test_gates_pass_what_passes_and_fail_the_rest(table):
    assert verdict(table) == table["gates"]
    gates = verdict(at(table, 6))
    for gate in ("beats_interpolation", "beats_random"):
        assert gates[gate]["passed"], gates[gate]
        assert not table["gates"][gate]["passed"], "three places are too few to be sure"
        assert "3 places, of which it takes 6" in table["gates"][gate]["says"]
    assert not gates["s1_helps"]["passed"]  # it knows all without
    assert gates["s1_helps"]["value"] == 0.0
    assert "of linear interpolation" in gates["beats_interpolation"]["says"]


@pytest.fixture(scope="module")
def noise(places):
    return run_probes({"noise": Noise()}, places[:2], places[3:])


def test_noise_passes_no_gate(noise):
    gates = noise["gates"]
    assert not any(gate["passed"] for gate in gates.values())
    assert gates["beats_interpolation"]["says"] == "not measured"
    assert gates["beats_raw"]["high"] < 0


def test_nothing_is_fitted_at_unseen_places(places, noise, tmp_path):
    """The trap: one unseen place is another, far brighter one; what is said of the others may not move."""
    other = write_place(tmp_path, 5, offset=0.3)
    after = run_probes({"noise": Noise()}, places[:2], [*places[3:5], other])
    for name, probe in noise["probes"].items():
        for row, found in probe["by_place"].items():
            for place in {*found} & {"XX-P03", "XX-P04"}:
                assert found[place] == after["probes"][name]["by_place"][row][place], (name, row)
    moved = [name for name in ("gap_30", "rebuild") if noise["probes"][name] != after["probes"][name]]
    assert moved == ["gap_30", "rebuild"]


def test_below_three_places_there_is_no_interval_and_no_gate_is_passed(places):
    table, again = (run_probes({"perfect": Perfect()}, places[:2], places[4:]) for _ in range(2))
    assert table == again
    value = table["probes"]["gap_30"]["values"]["perfect"]
    assert value["low"] is None
    assert value["places"] == 2
    gate = table["gates"]["beats_interpolation"]
    assert not gate["passed"]
    assert "no interval below 3" in gate["says"]


def test_places_without_labels_or_without_a_clear_date_are_told(places, tmp_path):
    unseen = [write_place(tmp_path, 8, labels=False), write_place(tmp_path, 9, cloudy=True)]
    table = run_probes({"noise": Noise()}, places[:2], unseen)
    assert "no labels" in table["probes"]["land_cover"]["not_measured"]["all"]
    assert "no labels" in table["probes"]["spatial"]["not_measured"]["all"]
    assert "land_cover" not in table["sum"]["parts"]
    assert table["places"]["unseen"] == ["XX-P08"]
    assert "too few clear dates" in table["skipped"]["XX-P09.zarr"]
    with pytest.raises(TableError, match=r"too few unseen places.*too few clear dates"):
        run_probes({"noise": Noise()}, places[:2], unseen[1:])


def test_a_date_with_nothing_in_reach_around_it_is_not_hidden(tmp_path):
    """Clear on three dates, each farther from the others than a window reaches."""
    with pytest.raises(TableError, match="too few clear dates"):
        load_probe_place(write_place(tmp_path, 8, clear=(1, 41, 79)), ["S2_L2A", "S1"], 0)
    place = load_probe_place(write_place(tmp_path, 9, clear=(1, 11, 41, 46, 79)), ["S2_L2A", "S1"], 0)
    assert place.hidden.tolist() == [11]


def test_what_cannot_be_probed_is_refused_before_any_work(places):
    with pytest.raises(TableError, match="too few trained places"):
        run_probes({"noise": Noise()}, places[:1], places[3:])
    with pytest.raises(TableError, match="too few unseen places"):
        run_probes({"noise": Noise()}, places[:2], [])
    with pytest.raises(LeakageError, match="XX-P01"):
        run_probes({"noise": Noise()}, places[:2], places[1:])
    with pytest.raises(ConfigError, match="names of their own"):
        run_probes({"raw": Noise()}, places[:2], places[3:])


def test_a_dense_encoder_is_shown_nothing_that_is_hidden(places, encoder):
    """Frames that are hidden can hold anything: z at the hidden dates is the same, and is not when they are shown."""
    place, probed = load_probe_place(places[0], ["S2_L2A", "S1"], 0), Dense(encoder)
    seen = {gap: probed.see(place, place.hidden, kept=place.kept(gap)).z for gap in (0, 10)}
    hidden = ~place.kept(10)
    assert hidden[place.hidden].all()
    place.cubes["S2_L2A"].values[hidden] *= 0.2
    again = {gap: probed.see(place, place.hidden, kept=place.kept(gap)).z for gap in (0, 10)}
    np.testing.assert_array_equal(seen[10], again[10])
    assert np.abs(seen[0] - again[0]).max() > 1e-3
    withheld = probed.see(place, place.hidden, kept=place.kept(10), s1=False)
    place.cubes["S1"].values[:] = -3.0
    np.testing.assert_array_equal(withheld.z, probed.see(place, place.hidden, kept=place.kept(10), s1=False).z)


def test_interpolation_in_time_is_that_of_numpy():
    rng = np.random.default_rng(0)
    days, dates = np.sort(rng.uniform(0, 100, 20)), np.array([-3.0, 17.0, 50.0, 99.99, 120.0])
    clear, values = rng.random((20, 6)) > 0.4, rng.normal(size=(20, 6))
    found = Around(days, clear, dates, "centred").interpolate(values[..., None])[..., 0]
    last = Around(days, clear, dates, "causal").interpolate(values[..., None])[..., 0]
    for pixel in range(6):
        seen = clear[:, pixel]
        np.testing.assert_allclose(found[:, pixel], np.interp(dates, days[seen], values[seen, pixel]), atol=1e-9)
        for i, date in enumerate(dates):
            before = values[seen & (days <= date), pixel]
            np.testing.assert_equal(last[i, pixel], before[-1] if len(before) else np.nan)


@pytest.mark.parametrize("window", ["centred", "causal"])
def test_a_probe_of_the_past_is_shown_no_future(places, encoder, window):
    """Neither of Sentinel-2 nor of Sentinel-1; the run and the hidden dates alike."""
    place, probed = load_probe_place(places[0], ["S2_L2A", "S1"], 0), Dense(encoder)
    dates, kept = place.run[:5], place.kept(0)
    before = probed.see(place, dates, kept=kept, window=window)
    last = place.times[dates[-1]]
    for cube, value in ((place.cubes["S2_L2A"], 0.7), (place.cubes["S1"], -3.0)):
        cube.values[cube["time"].values > last] = value
    after = probed.see(place, dates, kept=kept, window=window)
    moved = [np.nanmax(np.abs(getattr(after, part) - getattr(before, part))) for part in ("z", "decoded", "error")]
    assert (max(moved) == 0) if window == "causal" else (min(moved) > 0)


def test_only_the_next_date_is_asked_of_the_past(places):
    place = load_probe_place(places[0], ["S2_L2A", "S1"], 0)
    z = np.zeros((len(place.run), place.clear.shape[1], 1))
    views = Views(place.run, now=Seen(z), past=Seen(z + 1), hidden={})
    for target in TARGETS:
        sample = target_sample(place, views, target)
        assert (sample.z == (target == "ndvi_next")).all(), target


def test_the_next_clear_date_is_the_nearest_of_5_to_40_days_later(places):
    place = load_probe_place(places[0], ["S2_L2A", "S1"], 0)
    place.ndvi[np.random.default_rng(0).random(place.ndvi.shape) < 0.4] = np.nan
    found = _truth(place, place.run, "ndvi_next")
    for date, of_date in zip(place.run, found, strict=True):
        later = place.days - place.days[date]
        for pixel, ndvi in enumerate(of_date):
            clear = np.flatnonzero((later >= 5) & (later <= 40) & np.isfinite(place.ndvi[:, pixel]))
            np.testing.assert_equal(ndvi, place.ndvi[clear[0], pixel] if len(clear) else np.nan)
    assert np.isfinite(found).mean() > 0.5


def test_differences_are_paired_by_place():
    """Two encoders that are equally good at each of very different places differ by nothing, and that is certain."""
    rng, counts = np.random.default_rng(0), Counts("one")
    for place in range(8):
        error = np.array([rng.uniform(0, 1), 0.5])
        for name, gain in (("one", 0.0), ("twin", 0.0), ("worse", 0.1)):
            counts.add("gap_30", name, str(place), np.array([gain, 0.0]) + error)
    total = counts.total(["one", "twin", "worse"], 0)
    assert total["values"]["one"]["high"] - total["values"]["one"]["low"] > 0.3
    twin, worse = (total["differences"][name] for name in ("twin", "worse"))
    assert (twin["low"], twin["value"], twin["high"]) == (0.0, 0.0, 0.0)
    np.testing.assert_allclose([worse[k] for k in ("low", "value", "high")], 0.2, rtol=1e-6)


def test_a_gate_is_passed_by_its_whole_interval(table):
    """A figure above zero is not enough."""
    for low, passed in ((-0.01, False), (0.0, False), (0.01, True)):
        found = at(table, 6)
        found["sum"]["differences"]["raw"] |= {"value": 0.5, "low": low}
        found["probes"]["gap_30"]["values"]["decoded"] |= {"score": 0.5, "score_low": low}
        found["probes"]["s1_gain_30"]["values"]["decoded"] |= {"value": 0.5, "low": low}
        gates = verdict(found)
        assert [gates[g]["passed"] for g in ("beats_raw", "beats_interpolation", "s1_helps")] == [passed] * 3
