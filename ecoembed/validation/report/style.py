"""How the report looks: colours, numbers in words, and figures as SVG inside a page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "FLOOR", "GREY", "MARKS", "anchor", "bare", "inline_svg", "number", "paper", "superscripts", "svg_bytes",
    "typeset",
]  # fmt: skip

#: Okabe and Ito's palette, which colour-blind readers can tell apart: observed, best, its comparison.
COLOURS = ("#222222", "#0072B2", "#D55E00")
#: The shapes of the best and of its comparison, told apart without colour, too.
MARKS = ("o", "s")
#: What is not shown to differ, grid lines' big brother.
GREY = "#767676"
#: r2 below this is drawn at the edge.
FLOOR = -1.0
#: Fit for two columns of a journal: text of 8 points at a width of 7.2 inches.
_PAPER: Any = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "ecoembed",
}
#: On a screen a figure for a paper is a little small.
_ENLARGED = 1.25


@contextmanager
def paper() -> Iterator[None]:
    """Figures made and drawn inside have the report's style."""
    from matplotlib import rc_context

    with rc_context(_PAPER):
        yield


def number(value: Any, digits: int = 2, sign: str = "") -> str:
    """A number as it is read: a minus sign rather than a hyphen, none before a zero; a dash where there is none.

    Examples
    --------
    >>> number(-0.001), number(0.034, sign="+"), number(float("nan")), number(12345, 0)
    ('0.00', '+0.03', '–', '12 345')
    """
    if value is None or not np.isfinite(value):
        return "\N{EN DASH}"
    text = f"{round(float(value), digits) + 0.0:{sign},.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}").replace(",", "\N{THIN SPACE}" if digits else " ")


def typeset(text: str) -> str:
    """A sentence whose numbers look as they do elsewhere in the report; the hyphens of names stay.

    Examples
    --------
    >>> typeset("US-2 beats s1-2 at 95% of the days: difference -0.05 (-0.1 to +0.2), p = 3.7e-14")
    'US-2 beats s1-2 at 95\\xa0% of the days: difference −0.05 (−0.1 to +0.2), p = 3.7 × 10⁻¹⁴'
    """
    text = re.sub(r"(?<=[ (])-(?=\d)", "\N{MINUS SIGN}", text)
    text = re.sub(r"(?<=\d)e-0?(\d+)", lambda found: superscripts(f" × 10-{found[1]}"), text)
    return re.sub(r"(?<=\d)%", "\N{NO-BREAK SPACE}%", text)


def superscripts(units: str) -> str:
    """Units (or a power of ten) with their negative exponents raised, so that no line is broken before one.

    Examples
    --------
    >>> superscripts("gC m-2 d-1")
    'gC m⁻² d⁻¹'
    """
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return re.sub(r"(?<=\w)-\d+\b", lambda found: found[0].translate(raised), units)


def anchor(site: str) -> str:
    """The id of a site's panel in the page.

    Examples
    --------
    >>> anchor("US-Tw3"), anchor("my site")
    ('site-US-Tw3', 'site-my_20_site')
    """
    return "site-" + re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", site)


def bare(axis: Axes, grid: str | None = None) -> None:
    """An axis with light grid lines along `grid` alone."""
    if grid:
        axis.grid(axis=grid, color="#e4e4e4", linewidth=0.6)  # type: ignore[arg-type]
    axis.set_axisbelow(True)


def svg_bytes(figure: Figure) -> bytes:
    """A figure as SVG whose text stays text; the same figure gives the same file."""
    stream = io.BytesIO()
    with paper():
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def inline_svg(figure: Figure, name: str, alt: str, tips: dict[str, str] | None = None) -> str:
    """A figure as an ``<svg>`` element of a page: its ids bear `name`, for a page has one of each.

    `tips` are told where a pointer rests on a link, by its target.
    """
    text = svg_bytes(figure).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)

    def renamed(found: re.Match[str]) -> str:
        return f"{found[1]}{name}-{found[2]}" if found[2] in ids else found[0]

    text = re.sub(r'((?:href="|url\()#)([^")]+)', renamed, text)
    text = re.sub(r' (?:xmlns(?::xlink)?|target)="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(
        r'\b(width|height)="([\d.]+)pt"', lambda f: f'{f[1]}="{_ENLARGED * float(f[2]):.0f}pt"', text, count=2
    )
    head = f'<svg role="{"group" if tips else "img"}" aria-label="{escape(alt)}"'
    text = text.replace("<svg", head, 1)
    for target, tip in (tips or {}).items():
        opened = f'<a href="{target}">'
        text = text.replace(opened, f'<a href="{target}" aria-label="{escape(tip)}"><title>{escape(tip)}</title>')
    return text
