"""A self-contained HTML report of a benchmark: it opens from a disk without a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ecoembed.files import atomic, track
from ecoembed.validation.report import tables
from ecoembed.validation.report.answer import asked, sentences
from ecoembed.validation.report.causes import Causes
from ecoembed.validation.report.encoded import figure_uri, picture_uri
from ecoembed.validation.report.gallery import drawn
from ecoembed.validation.report.sections import ceiling, columns, nested, provenance, rows_account, types_told
from ecoembed.validation.report.series import site_panels, too_dense
from ecoembed.validation.report.style import anchor, inline_svg, number, typeset
from ecoembed.validation.report.view import View, in_words
from ecoembed.validation.result import Result

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["write_report"]

Pictures = Sequence[tuple[str, str, Any]]


def write_report(
    result: Result,
    path: str | Path,
    sites: gpd.GeoDataFrame | None = None,
    pictures: Pictures = (),
    title: str | None = None,
    command: str | None = None,
) -> Path:
    """Write the report, atomically.

    Parameters
    ----------
    result : Result
    path : str or Path
    sites : geopandas.GeoDataFrame, optional
        `Sites`: citations and licences of the data.
    pictures : sequence of (site, caption, picture), optional
        For the sites' panels. A picture is PNG bytes, or an array of shape (y, x, 3) in [0, 1].
    title : str, optional
    command : str, optional
        The command line that gives this result again.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ecoembed.validation.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(number=number, signed=partial(number, sign="+"), anchor=anchor, typeset=typeset)
    html = environment.get_template("report.html").render(**_context(result, sites, pictures, title, command))
    path = Path(path)
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _context(
    result: Result,
    sites: pd.DataFrame | None,
    pictures: Pictures,
    title: str | None,
    command: str | None,
) -> dict[str, Any]:
    view = View(result)
    record = view.record
    causes = Causes(record.get("undefined", []))
    shown = view.drawn
    default = f"{record['target']} at {'unseen' if record['label'] == 'unseen-site' else 'seen'} sites"
    return {
        "title": title or default,
        "record": record,
        "view": view,
        "asked": asked(view),
        "sentences": [typeset(sentence) for sentence in sentences(view)],
        "best": in_words(view.models[0]),
        "models": [in_words(model) for model in view.models],
        "figures": _figures(view),
        "scores": tables.score_table(view, causes),
        "sites": tables.site_table(view, set(shown), causes),
        "groups": tables.group_table(view, causes),
        "comparisons": tables.comparison_table(view),
        "effects": tables.effect_table(view),
        "applicability": tables.applicability_table(view),
        "ceiling": ceiling(view),
        "columns": columns(view),
        "types": types_told(view),
        "nested": nested(view),
        "south": bool((view.places["latitude"] < 0).any()),
        "panels": _panels(view, shown, pictures),
        "pictures_shown": bool(pictures),
        "monthly": too_dense(view),
        "undefined": [line | {"score": tables.named(line["score"])} for line in causes.listed()],
        "account": rows_account(view),
        "provenance": provenance(view, sites),
        "own_sites": record.get("own_sites", []),
        "command": command,
    }


def _figures(view: View) -> dict[str, dict[str, str]]:
    """Of each figure its SVG, or why there is none."""
    tips = {f"#{anchor(str(site))}": view.titled(str(site)) for site in view.best.index}
    return {
        name: {"why": figure}
        if isinstance(figure, str)
        else {"svg": inline_svg(figure, name, name.replace("_", " "), tips if name == "map" else None)}
        for name, figure in drawn(view).items()
    }


def _panels(view: View, shown: Sequence[str], pictures: Pictures) -> list[dict[str, Any]]:
    """Of each drawn site: its title, its series, and its pictures."""
    figures = track(site_panels(view, shown), "report", total=len(shown))
    series = {site: figure_uri(figure) for site, figure in figures}
    return [
        {
            "site": site,
            "title": view.titled(site),
            "series": series[site],
            "pictures": [(caption, picture_uri(image)) for name, caption, image in pictures if name == site],
        }
        for site in shown
    ]
