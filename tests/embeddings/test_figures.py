"""Figures of a card: what was measured is drawn where it was measured, and what was not is told."""

from __future__ import annotations

import numpy as np
import pytest

from ecoembed.embeddings.pictures import figures
from ecoembed.embeddings.pictures.figures import curves_figure, probe_figure
from ecoembed.errors import TableError

ENCODERS = ["ours", "random", "reference", "raw", "pca7"]
PROBES = {
    "ndvi_now": ("NDVI at the date, linear model of z", "r2", "higher"),
    "ndvi_next": ("NDVI at the next clear date, causal window", "r2", "higher"),
    "vh_vv": ("VH/VV", "r2", "higher"),
    "land_cover": ("land-cover classes", "balanced accuracy", "higher"),
    "spatial": ("spatial coherence: neighbours inside a field against across its edge", "ratio", "higher"),
    "smoothness": ("temporal coherence on clear days", "", "lower"),
    "harvest": ("response to a harvest", "", "higher"),
    "effective_rank": ("effective rank (participation ratio)", "of 7", ""),
}


def estimate(value, width=0.05, score=None):
    bounds = (None, None) if width is None else (value - width, value + width)
    return {"value": value, "low": bounds[0], "high": bounds[1], "places": 6, "score": score}


def probe(title, unit, better, values, missing=None):
    return {
        "title": title, "unit": unit, "better": better, "window": "centred", "score": None,
        "values": values, "by_place": {}, "not_measured": missing or {},
    }  # fmt: skip


def table():
    rng = np.random.default_rng(0)
    probes = {}
    for suffix, worse in (("", 0.0), ("_no_s1", 0.004), ("_causal", 0.006)):
        for gap, length in zip((1, 10, 30, 60), (0.0, 0.2, 0.6, 1.0), strict=True):
            rows = {"decoded": 0.012 + 0.02 * length + worse, "interpolation": 0.014 + 0.034 * length,
                    "last": 0.016 + 0.045 * length, "mean": 0.065}  # fmt: skip
            rows |= {name: 0.02 + 0.03 * length + 0.002 * i for i, name in enumerate(ENCODERS)}
            values = {row: estimate(value, 0.1 * value) for row, value in rows.items()}
            probes[f"gap_{gap}{suffix}"] = probe(f"{gap} d hidden", "reflectance", "lower", values)
    for gap, gain in zip((1, 10, 30, 60), (0.0, 0.05, 0.12, 0.1), strict=True):
        probes[f"s1_gain_{gap}"] = probe("gain of S1", "share of the error", "higher", {"decoded": estimate(gain)})
    for name, (title, unit, better) in PROBES.items():
        values = {e: estimate(float(rng.uniform(0.4, 0.9)), None if e == "raw" else 0.05) for e in ENCODERS}
        probes[name] = probe(title, unit, better, values)
    del probes["vh_vv"]["values"]["reference"]
    probes["vh_vv"]["not_measured"] = {"reference": "no weights"}
    probes["land_cover"] |= {"values": {}, "not_measured": {"all": "no place has the group labels"}}
    ahead = {e: estimate(float(rng.uniform(-0.2, 0.9))) for e in ENCODERS[1:]}
    return {
        "format": 1, "judged": "ours", "encoders": ENCODERS, "seed": 0, "sampling": {},
        "places": {"trained": ["a"], "unseen": list("bcdefg")},
        "probes": probes, "sum": {"parts": list(PROBES)[:-1], "values": {}, "differences": ahead},
        "error": {"not_measured": "x"}, "gates": {},
    }  # fmt: skip


def curves():
    step = [float(i) for i in range(0, 1500, 50)]
    falls = [0.4 * 0.998**s + 0.01 for s in step]
    error = [f + 0.00002 * s for f, s in zip(falls, step, strict=True)]
    return {"step": step, "loss": falls, "error": error, "learning_rate": [1e-3] * len(step)}


@pytest.fixture
def drawn(monkeypatch):
    seen, png = [], figures.figure_png
    monkeypatch.setattr(figures, "figure_png", lambda figure, *how: seen.append(figure) or png(figure, *how))
    return lambda: seen[-1]


def said(figure):
    from matplotlib.text import Text

    return " | ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))


def test_curves_mark_the_weights_that_were_kept(encoder, drawn):
    card = encoder.card.model_copy(update={"curves": {"S2_L2A": curves(), "fusion": curves()}})
    assert curves_figure(card).startswith(b"\x89PNG")
    left = drawn().axes[0]
    kept = next(line for line in left.lines if line.get_label() == "kept")
    error = curves()["error"]
    assert kept.get_xdata()[0] == curves()["step"][int(np.argmin(error))]
    assert kept.get_ydata()[0] == min(error)
    assert left.get_yscale() == "log"
    assert {"S2_L2A", "fusion", "step"} <= set(said(drawn()).split(" | "))


def test_curves_without_unseen_places_or_below_zero(encoder, drawn):
    curve = curves() | {"error": [None] * 30, "loss": [-1.0] * 30}
    curves_figure(encoder.card.model_copy(update={"curves": {"fusion": curve}}))
    assert drawn().axes[0].get_yscale() == "linear"
    assert "kept" not in said(drawn())


def test_probes_stand_at_their_values_with_their_intervals(encoder, drawn):
    probes = table()
    assert probe_figure(encoder.card.model_copy(update={"probes": probes})).startswith(b"\x89PNG")
    gaps = drawn().axes[0]
    heights = {bar.get_label(): bar.lines[0].get_ydata().astype(float) for bar in gaps.containers}
    for label, name, row in (
        ("ours, S2 and S1", "gap_{}", "decoded"),
        ("ours, S2 alone", "gap_{}_no_s1", "decoded"),
        ("ours, the past alone", "gap_{}_causal", "decoded"),
        ("linear interpolation", "gap_{}", "interpolation"),
        ("last clear value", "gap_{}", "last"),
    ):
        expected = [probes["probes"][name.format(gap)]["values"][row]["value"] for gap in (1, 10, 30, 60)]
        np.testing.assert_allclose(heights[label], expected)
    panel = next(a for a in drawn().axes if a.get_title(loc="left").startswith("effective rank"))
    rank = probes["probes"]["effective_rank"]["values"]
    bars = {panel.get_yticklabels()[int(bar.lines[0].get_ydata()[0])].get_text(): bar for bar in panel.containers}
    assert list(bars) == ENCODERS
    for name, bar in bars.items():
        assert bar.lines[0].get_xdata()[0] == rank[name]["value"]
        ends = bar.lines[2][0].get_segments()[0][:, 0].astype(float)
        low, high = (rank[name][k] if rank[name][k] is not None else rank[name]["value"] for k in ("low", "high"))
        np.testing.assert_allclose(ends, [low, high])


def test_the_sum_is_drawn_as_what_is_ours_above_the_others(encoder, drawn):
    probes = table()
    probe_figure(encoder.card.model_copy(update={"probes": probes}))
    panel = next(a for a in drawn().axes if " ".join(a.get_title(loc="left").split()).endswith("ours minus ..."))
    assert [label.get_text() for label in panel.get_yticklabels()] == ENCODERS[1:]
    expected = [probes["sum"]["differences"][name]["value"] for name in ENCODERS[1:]]
    assert [bar.lines[0].get_xdata()[0] for bar in panel.containers] == expected
    assert panel.lines[-1].get_xdata()[0] == 0


def test_what_was_not_measured_is_told(encoder, drawn):
    probe_figure(encoder.card.model_copy(update={"probes": table()}))
    text = said(drawn())
    assert "not measured: no place has the group labels" in text
    assert "at 6 places never trained on" in text


@pytest.mark.parametrize(("probes", "found"), [({}, "never run"), ({"not_measured": "no test place"}, "no test place")])
def test_a_card_without_measurements_is_told(encoder, probes, found):
    card = encoder.card.model_copy(update={"probes": probes, "curves": {}})
    with pytest.raises(TableError, match=found):
        probe_figure(card)
    with pytest.raises(TableError, match="no curves"):
        curves_figure(card)
