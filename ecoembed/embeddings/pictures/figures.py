"""Figures of a weights file's card: how its training went, and what its embedding holds at places never trained on.

Nothing is told apart by colour alone, and nothing here needs torch.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecoembed.cubes.pictures import figure_png
from ecoembed.errors import TableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ecoembed.embeddings.card import ModelCard

#: Of Okabe and Ito's palette, which colour-blind readers can tell apart.
_BLUE, _RED, _GREEN, _PURPLE, _BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#222222"
_DPI, _FONT = 150, 8
#: As :class:`ecoembed.embeddings.probes.table.ProbeTable`, or a part of one.
Table = Mapping[str, Any]
_GAPS = (1, 10, 30, 60)
_COLUMNS = 3
#: The rows of gap filling that are no encoder's linear model, in words.
_FILLED = {"decoded": "decoded", "interpolation": "interpolation", "last": "last clear value", "mean": "mean"}


def curves_figure(card: ModelCard) -> bytes:
    """Loss and error at unseen places against the step, a panel for each stage; the weights kept are marked.

    Raises
    ------
    TableError
        If the card has no curves.
    """
    from matplotlib.figure import Figure

    if not card.curves:
        raise TableError("the card has no curves", remedy="They are of weights made by ecoembed pretrain")
    figure = Figure(figsize=(0.6 + 2.8 * len(card.curves), 2.9), layout="constrained")
    axes = figure.subplots(1, len(card.curves), squeeze=False)[0]
    for axis, (stage, curve) in zip(axes, card.curves.items(), strict=True):
        step, loss, error = (np.array(curve[key], dtype=float) for key in ("step", "loss", "error"))
        axis.plot(step, loss, color=_BLUE, linewidth=1.2, label="loss")
        axis.plot(step, error, color=_RED, linewidth=1.2, linestyle="--", label="error at unseen places")
        if np.isfinite(error).any():
            best = int(np.nanargmin(error))
            axis.plot(step[best], error[best], "o", color=_RED, markersize=5, label="kept")
        seen = np.concatenate([loss, error])
        if (seen[np.isfinite(seen)] > 0).all():
            _log(axis)
        axis.set_title(stage, fontsize=_FONT + 1, loc="left")
        axis.set_xlabel("step", fontsize=_FONT)
        _plain(axis)
    axes[0].set_ylabel("objective (no unit)", fontsize=_FONT)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=_FONT)
    return figure_png(figure, _DPI)


def probe_figure(card: ModelCard) -> bytes:
    """What the probes say: gap filling and the gain of Sentinel-1 by the length of the gap, every other probe in dots.

    Bars are the intervals of 95 % over places, as in ``card.probes``
    (:mod:`ecoembed.embeddings.probes.table` says what it holds).

    Raises
    ------
    TableError
        If the card has no probes.
    """
    from matplotlib.figure import Figure

    if "probes" not in card.probes:
        raise TableError("the card has no probes", found=card.probes.get("not_measured", "never run"))
    table = card.probes
    single = {n: p for n, p in table["probes"].items() if n == "gap_30" or not n.startswith(("gap_", "s1_gain_"))}
    rows = -(-(len(single) + 1) // _COLUMNS)
    names = list(table["encoders"])
    figure = Figure(figsize=(8.6, 3.0 + rows * (0.9 + 0.17 * (len(names) + 2))), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.6, figure.get_figheight() - 2.6), squeeze=False)[:, 0]
    left, right = above.subplots(1, 2)
    _gaps(left, table)
    _gains(right, table)
    axes = below.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis, probe in zip(axes, single.values(), strict=False):
        _dots(axis, probe, names, table["judged"])
    _sum(axes[len(single)], table)
    for axis in axes[len(single) + 1 :]:
        axis.set_visible(False)
    places = len(table["places"]["unseen"])
    where = "1 place" if places == 1 else f"{places} places"
    figure.supxlabel(f"at {where} never trained on; bars: 95 % over places (bootstrap)", fontsize=_FONT)
    return figure_png(figure, _DPI)


def _log(axis: Axes) -> None:
    """A logarithmic y with plain numbers, also where it spans less than a decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter("{x:g}")


def _gaps(axis: Axes, table: Table) -> None:
    """Error at a hidden date by the days hidden around it."""
    lines: Sequence[tuple[str, str, str, str, str]] = (
        ("decoded", "", f"{table['judged']}, S2 and S1", _BLUE, "o-"),
        ("decoded", "_no_s1", f"{table['judged']}, S2 alone", _GREEN, "s--"),
        ("decoded", "_causal", f"{table['judged']}, the past alone", _PURPLE, "D--"),
        ("interpolation", "", "linear interpolation", _RED, "^-."),
        ("last", "", "last clear value", _BLACK, "v:"),
    )
    for i, (row, suffix, label, colour, style) in enumerate(lines):
        _by_gap(axis, table, f"gap_{{}}{suffix}", row, 0.06 * (i - 2), label=label, color=colour, fmt=style)
    unit = next((p["unit"] for n, p in table["probes"].items() if n.startswith("gap_")), "")
    axis.set_title("Sentinel-2 at a hidden date", fontsize=_FONT + 1, loc="left")
    axis.set_ylabel(f"error ({unit})", fontsize=_FONT)
    axis.set_ylim(0, 1.5 * axis.get_ylim()[1])  # room for the legend above the lines
    axis.legend(frameon=False, fontsize=_FONT - 1, loc="upper left", ncols=2)


def _gains(axis: Axes, table: Table) -> None:
    _by_gap(axis, table, "s1_gain_{}", "decoded", 0.0, color=_BLUE, fmt="o-")
    axis.axhline(0, color=_BLACK, linewidth=0.8)
    probe = next((p for n, p in table["probes"].items() if n.startswith("s1_gain_")), None)
    axis.set_title("what Sentinel-1 removes of that error", fontsize=_FONT + 1, loc="left")
    axis.set_ylabel(f"gain ({probe['unit'] if probe else ''})", fontsize=_FONT)


def _by_gap(axis: Axes, table: Table, name: str, row: str, shift: float, **how: Any) -> None:
    found = [(i, table["probes"].get(name.format(gap), {}).get("values", {}).get(row)) for i, gap in enumerate(_GAPS)]
    points = [(i + shift, estimate) for i, estimate in found if estimate is not None]
    if points:
        x, estimates = zip(*points, strict=True)
        how |= {"markersize": 4, "linewidth": 1.1, "capsize": 2, "elinewidth": 0.8}
        axis.errorbar(x, [e["value"] for e in estimates], yerr=_bars(estimates), **how)
    axis.set_xticks(range(len(_GAPS)), ["the date", *(f"{gap}" for gap in _GAPS[1:])])
    axis.set_xlabel("days hidden around it", fontsize=_FONT)
    _plain(axis)


def _dots(axis: Axes, probe: Table, names: list[str], judged: str) -> None:
    """One probe: a row for each encoder, and for what needs none."""
    better = f"{probe['better']} is better" if probe["better"] else ""
    says = "; ".join(filter(None, [probe["unit"] if probe["unit"] != "1" else "", better]))
    rows = [*names, *(row for row in _FILLED if row in probe["values"])]
    _rows(axis, rows, probe["values"], judged, _wrapped(probe["title"]), says)
    for row, reason in probe["not_measured"].items():
        if row == "all":
            axis.set_xticks([])
            _note(axis, 0.5, textwrap.fill(f"not measured: {reason}", 34), ha="center")
        elif row in rows:
            _note(axis, 1 - (rows.index(row) + 0.5) / len(rows), "not measured", ha="left")


def _note(axis: Axes, height: float, text: str, ha: str) -> None:
    at = 0.5 if ha == "center" else 0.02
    axis.text(at, height, text, transform=axis.transAxes, ha=ha, va="center", fontsize=_FONT - 1, color="#555555")


def _sum(axis: Axes, table: Table) -> None:
    """What the judged encoder's sum is above each other one's, over the probes that both have."""
    judged, differences = table["judged"], table["sum"]["differences"]
    title = _wrapped(f"sum of up to {len(table['sum']['parts'])} scores: {judged} minus ...")
    _rows(axis, list(differences), differences, judged, title, f"right of 0: {judged} is better")
    axis.axvline(0, color=_BLACK, linewidth=0.8)


def _rows(axis: Axes, rows: list[str], values: Mapping[str, Any], judged: str, title: str, says: str) -> None:
    """Dots with bars, the first row on top; the judged encoder filled."""
    for at, row in enumerate(rows):
        if row in values:
            mine = row in (judged, "decoded")
            style: dict[str, Any] = {"fmt": "o", "markersize": 4.5, "capsize": 2, "elinewidth": 0.9}
            style |= {"color": _BLUE} if mine else {"color": _BLACK, "markerfacecolor": "white"}
            axis.errorbar(values[row]["value"], at, xerr=_bars([values[row]]), **style)
    axis.set_yticks(range(len(rows)), [_FILLED.get(row, row) for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.locator_params(axis="x", nbins=4)
    axis.set_title(title, fontsize=_FONT, loc="left")
    axis.set_xlabel(says, fontsize=_FONT - 1)
    axis.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    _plain(axis)


def _bars(estimates: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Lengths (2, n) of the bars below and above; none where there is no interval."""
    ends = [(e["value"] - e["low"], e["high"] - e["value"]) if e["low"] is not None else (0, 0) for e in estimates]
    return np.clip(np.array(ends, dtype=float).T, 0, None)


def _wrapped(title: str) -> str:
    return textwrap.fill(title, 36)


def _plain(axis: Axes) -> None:
    axis.tick_params(labelsize=_FONT - 1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_axisbelow(True)
