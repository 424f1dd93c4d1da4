"""Which feature set does how well, with every regressor, and how far any model could come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ecoembed.validation.nested import NESTED_BEST
from ecoembed.validation.report.style import COLOURS, FLOOR, GREY, bare, paper
from ecoembed.validation.report.view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ranking"]

#: One for each regressor, told apart by shape as well as by colour (Okabe and Ito).
_OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", COLOURS[0], GREY)
_MARKS = tuple(zip("osD^vP*X", (*COLOURS[1:], *_OTHERS), strict=True))


def ranking(view: View) -> Figure:
    """Pooled r2 (filled) and median r2 of the sites (open) of each feature set; the best set above."""
    from matplotlib.figure import Figure

    scores = view.scores[view.scores["features"] != NESTED_BEST]
    order = {features: y for y, (features, _) in enumerate(view.sets)}
    regressors = list(dict.fromkeys(scores["regressor"]))
    with paper():
        figure = Figure(figsize=(7.2, 0.95 + 0.24 * len(order)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(0, color="#888888", linewidth=0.7)
        for i, regressor in enumerate(regressors):
            own = scores[scores["regressor"] == regressor]
            marker, colour = _MARKS[i % len(_MARKS)]
            y = own["features"].map(order) + 0.3 * ((i + 0.5) / len(regressors) - 0.5)
            for column, fill, what in (("r2", colour, "pooled"), ("median_site_r2", "none", "median site")):
                style: dict[str, Any] = {
                    "marker": marker,
                    "markersize": 5,
                    "color": colour,
                    "markerfacecolor": fill,
                    "linestyle": "",
                }
                x = own[column].clip(lower=FLOOR)
                axis.plot(x, y, **style, label=f"{regressor}, {what}", clip_on=False)
        ceiling = view.ceiling
        if ceiling is not None:
            axis.axvline(ceiling, color=COLOURS[0], linestyle="--", linewidth=1.0, label="noise ceiling")
        low = float(np.nanmin(scores[["r2", "median_site_r2"]].to_numpy(), initial=0.0))
        axis.set_xlim(max(low - 0.03, FLOOR) if low < 0 else 0, 1)
        axis.set_yticks(list(order.values()), list(order))
        axis.set_ylim(len(order) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        axis.set_xlabel(f"r2 = 1 − SSE/SST ({view.label}{'; below −1 drawn at the edge' if low < FLOOR else ''})")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
        bare(axis, "x")
    return figure
