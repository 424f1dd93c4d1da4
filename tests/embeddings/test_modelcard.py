"""The model card to be read: what the weights file says, all of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ecoembed.embeddings.card import ModelCard, PlaceCard
from ecoembed.embeddings.modelcard import model_card


def estimate(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "places": 4, "score": None}


def probe(title: str, values: dict[str, Any], **not_measured: str) -> dict[str, Any]:
    same = {"unit": "reflectance", "better": "lower", "window": "causal", "score": None, "by_place": {}}
    return {"title": title, "values": values, "not_measured": not_measured, **same}


TABLE: dict[str, Any] = {
    "format": 1,
    "judged": "dense",
    "encoders": ["dense", "random", "raw"],
    "seed": 0,
    "places": {"trained": ["XX-A"], "unseen": ["XX-B", "XX-C", "XX-D"]},
    "sampling": {},
    "probes": {
        "gap_30": probe("a gap of 30 days", {"dense": estimate(0.0213, 0.02, 0.03), "interpolation": estimate(0.5)}),
        "land_cover": probe("land | cover", {}, all="no place has labels"),
    },
    "sum": {"parts": ["gap_30"], "values": {"dense": estimate(3.25)}, "differences": {"raw": estimate(-0.125, -1, 2)}},
    "error": {"ratio": estimate(1.07, 0.9, 1.2), "bins": [{"stated": 0.01, "found": 0.0123, "n": 77}]},
    "gates": {
        "gap": {"passed": False, "says": "30-day gaps: 0.021 against 0.020"},
        "sum": {"passed": True, "says": "3"},
    },
}


def place(name: str, role: str, latitude: float = 50.0) -> PlaceCard:
    facts = {"latitude": latitude, "longitude": -3.5, "start": "2019-01-01", "end": "2020-12-31", "dates": 65}
    return PlaceCard(id=name, role=role, **facts)


@pytest.fixture
def card(encoder) -> ModelCard:
    places = (place("BE-Vie", "train", -50.25), place("XX-A", "train"), place("XX-V", "validation"))
    return encoder.card.model_copy(update={"places": places, "steps": {"S1": 7, "fusion": 9}})


def test_everything_that_can_be_checked_is_said(card):
    text = model_card(card, "0123456789abcdef", "mine")
    for said in (
        "`mine`",
        "`0123456789abcdef`",
        "B02, B03, B04, B05, B06, B07, B08, B8A, B11, B12",
        "-30 to 5",
        "11 dates of each sensor, 15 x 15 px of each, none farther than 200 days",
        "S1 7, fusion 9; seed 0; fp32",
        "not declared",
        "ecoembed pretrain CUBES --out mine.safetensors --objective paper --encoder dense",
        "not trained",
    ):
        assert said in text, said


def test_real_and_simulated_places_are_told_apart_and_by_role(card):
    text = model_card(card, "0", "mine")
    assert "**Trained on**: 1 real, 1 simulated." in text
    assert "`BE-Vie`: 50.2500 S, 3.5000 W, 2019-01-01 to 2020-12-31, 65 dates" in text
    assert text.index("XX-A") < text.index("to stop the training") < text.index("XX-V")
    assert "these weights know 1 place" in text


def test_the_command_counts_places_and_says_the_licence(card):
    west = [place(name, "validation", -50.25 + 0.002 * k) for k, name in enumerate(("BE-west1", "BE-west2"))]
    text = model_card(card.model_copy(update={"places": (*card.places, *west), "licence": "CC BY 4.0"}), "0", "mine")
    assert " --validation 2 " in text
    assert " --licence 'CC BY 4.0'" in text
    assert "--licence" not in model_card(card, "0", "mine")


def test_unknown_places_are_no_absent_places(card):
    text = model_card(card.model_copy(update={"places": (), "places_known": False}), "0", "mine")
    assert "**Not known**" in text
    assert "rule out leakage" in text


def test_probes_stand_beside_their_rivals_and_goals_not_reached_are_said(card):
    text = model_card(card.model_copy(update={"probes": TABLE}), "0", "mine")
    assert "**Not reached**: 30-day gaps: 0.021 against 0.020" in text
    assert "1 of the 2 goals" in text
    assert "| a gap of 30 days (reflectance), lower is better; causal | 0.0213 [0.02, 0.03] | - | - |" in text
    assert "| a gap of 30 days (reflectance), lower is better; causal | 0.5 |" in text
    assert "| these weights minus it |  | - | -0.125 [-1, 2] |" in text
    assert "land | cover, all: no place has labels" in text
    assert "All places of the probes are simulated." in text
    assert "no complete strangers" not in text
    stopped = [*card.places, place("XX-C", "validation")]
    assert "no complete strangers" in model_card(
        card.model_copy(update={"probes": TABLE, "places": tuple(stopped)}), "0", "m"
    )


def test_what_is_found_at_the_real_places_alone_is_told(card):
    errors = {
        row: {"XX-B": 0.1, "XX-C": 0.1, "BE-East": error} for row, error in (("decoded", 0.03), ("interpolation", 0.04))
    }
    gap = TABLE["probes"]["gap_30"] | {"by_place": errors}
    probes = TABLE | {"places": {"trained": ["XX-A"], "unseen": ["XX-B", "XX-C", "BE-East"]}}
    probes |= {"probes": TABLE["probes"] | {"gap_30": gap}}
    text = model_card(card.model_copy(update={"probes": probes}), "0", "m")
    assert "- Reached at the 1 real place alone: 30 days of S2 hidden: error 0.0300 against 0.0400" in text
    errors["decoded"]["BE-East"] = 0.05
    assert "**Not reached** at the 1 real place" in model_card(card.model_copy(update={"probes": probes}), "0", "m")
    calm = model_card(card.model_copy(update={"probes": TABLE}), "0", "m")
    assert "alone: 30 days" not in calm


@pytest.mark.parametrize(
    ("probes", "says"),
    [({}, "no probe was run"), ({"not_measured": "no place is left (found 0)."}, "no place is left (found 0)")],
)
def test_what_was_not_measured_is_said(card, probes, says):
    lines = model_card(card.model_copy(update={"probes": probes}), "0", "mine").splitlines()
    assert f"**Not measured**: {says}." in lines


def test_the_expected_error_says_how_far_to_believe_it(card):
    assert "**Not calibrated**" in model_card(card, "0", "mine")
    calibrated = card.model_copy(update={"error_calibration": ((0.1, 0.011), (0.2, 0.052))})
    assert "0.0110 to 0.0520 in 2 steps" in model_card(calibrated, "0", "mine")
    text = model_card(calibrated.model_copy(update={"probes": TABLE}), "0", "mine")
    assert "found / stated 1.07 [0.9, 1.2]" in text
    assert "| 0.0100 | 0.0123 | 77 |" in text
    assert "which are those that it was set at" not in text
    held = (*card.places, place("XX-C", "validation"))
    same = calibrated.model_copy(update={"probes": TABLE, "places": held})
    assert "which are those that it was set at" in model_card(same, "0", "mine")


def test_curves_become_the_best_error_at_places_held_out(card):
    curve = {"step": [5, 10, 15], "loss": [3.0, 2.0, 1.0], "error": [None, 0.25, 0.5], "learning_rate": [1.0, 1.0, 0.0]}
    assert "| S1 | 15 | 0.25 at step 10 |" in model_card(card.model_copy(update={"curves": {"S1": curve}}), "0", "mine")
