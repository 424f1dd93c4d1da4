"""All figures of a report: inside the page, and as files fit for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ecoembed.cubes.pictures import figure_png
from ecoembed.files import atomic, track
from ecoembed.validation.report.cycles import seasonal_cycles
from ecoembed.validation.report.explained import importance, partial_dependence
from ecoembed.validation.report.forest import forest
from ecoembed.validation.report.groups import coverage_by_type, group_scores
from ecoembed.validation.report.ranking import ranking
from ecoembed.validation.report.relations import skill_and_dissimilarity, skill_and_distance
from ecoembed.validation.report.series import series_pages
from ecoembed.validation.report.style import svg_bytes
from ecoembed.validation.report.view import AbsentError, View
from ecoembed.validation.report.world import site_map
from ecoembed.validation.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "drawn", "write_figures"]

#: Name of the file -> what draws it; one that has nothing to draw says why.
FIGURES: dict[str, Callable[[View], Figure]] = {
    "differences": forest,
    "scores": ranking,
    "map": site_map,
    "seasonal_cycles": seasonal_cycles,
    "skill_and_distance": skill_and_distance,
    "groups": group_scores,
    "intervals": coverage_by_type,
    "skill_and_dissimilarity": skill_and_dissimilarity,
    "importance": importance,
    "partial_dependence": partial_dependence,
}
_DPI = 300


def drawn(view: View) -> dict[str, Figure | str]:
    """Each of `FIGURES`, or why it is absent, in words."""
    return {name: _or_why(draw, view) for name, draw in FIGURES.items()}


def _or_why(draw: Callable[[View], Figure], view: View) -> Figure | str:
    try:
        return draw(view)
    except AbsentError as why:
        return str(why)


def write_figures(result: Result, folder: str | Path) -> list[Path]:
    """Write the figures of a result into `folder`, each as SVG (text stays text) and as PNG of 300 dots an inch.

    Returns
    -------
    list of Path
        What was written, in the order of the report; the series of the sites last, twelve to a figure.
    """
    folder, written = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in track(_named(View(result)), "figures"):
        for ending, content in ((".svg", svg_bytes(figure)), (".png", figure_png(figure, _DPI))):
            with atomic(folder / (name + ending)) as temporary:
                temporary.write_bytes(content)
            written.append(folder / (name + ending))
    return written


def _named(view: View) -> Iterator[tuple[str, Figure]]:
    for name, figure in drawn(view).items():
        if not isinstance(figure, str):
            yield name, figure
    for number, figure in enumerate(series_pages(view, view.drawn), start=1):
        yield f"series_{number:02d}", figure
