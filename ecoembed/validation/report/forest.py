"""The paired differences between models, each with its interval: what beats what, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecoembed.validation.report.style import COLOURS, GREY, bare, number, paper
from ecoembed.validation.report.view import AbsentError, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["beats", "forest"]

#: Letters of a pair's name that leave room for its interval beside it.
_ONE_LINE = 60


def beats(row: pd.Series) -> bool:
    """Whether the comparison says that one beats the other; the plot shows no more than is said."""
    return " beats " in str(row["says"])


def forest(view: View) -> Figure:
    """Differences of the first score that was compared, one line for each pair, in the order of the table."""
    from matplotlib.figure import Figure

    table = view.result.comparisons
    if table.empty:
        raise AbsentError("no pair of feature sets was compared")
    score = table["score"].iloc[0]
    rows = table[table["score"] == score].iloc[::-1].reset_index(drop=True)
    usual = str(pd.concat([rows["regressor_a"], rows["regressor_b"]]).mode()[0])
    pairs = [_pair(row, usual) for _, row in rows.iterrows()]
    height = 0.235
    if max(map(len, pairs)) > _ONE_LINE:
        pairs, height = [pair.replace("  −  ", "\n−  ") for pair in pairs], 0.4
    with paper():
        figure = Figure(figsize=(7.2, 0.75 + height * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(0, color="#444444", linewidth=0.9)
        for y, row in rows.iterrows():
            colour = COLOURS[1] if beats(row) else GREY
            if np.isfinite([row["lower"], row["upper"]]).all():
                axis.plot([row["lower"], row["upper"]], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
            axis.plot(row["difference"], y, marker="s", markersize=4.5, color=colour)
            axis.annotate(_told(row), (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0),
                          textcoords="offset points", va="center", fontsize=7.5, annotation_clip=False)  # fmt: skip
        axis.set_yticks(range(len(rows)), pairs)
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(
            f"difference in {score} ({view.label}): the first minus the second, with its 95 % interval over sites\n"
            f"{usual} where no regressor is named", x=1, ha="right",
        )  # fmt: skip
        bare(axis, "x")
    return figure


def _pair(row: pd.Series, usual: str) -> str:
    """Both models, the regressor only where it is not the usual one: the room is needed for the intervals."""
    models = ((str(row[f"features_{side}"]), str(row[f"regressor_{side}"])) for side in "ab")
    return "  −  ".join(
        features if regressor in (usual, features) else f"{features} ({regressor})" for features, regressor in models
    )


def _told(row: pd.Series) -> str:
    interval = f"[{number(row['lower'], 3, '+')}, {number(row['upper'], 3, '+')}]"
    return f"{number(row['difference'], 3, '+')} {interval}  {row['sites_a_better']}/{row['sites']} sites"
