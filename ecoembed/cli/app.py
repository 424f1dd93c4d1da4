"""The application that every command belongs to, and the one way in which commands answer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter, Token

from ecoembed._version import __version__
from ecoembed.errors import FileError

app = App(
    name="ecoembed",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    help="GPP at flux sites a model has never seen, from footprint-weighted satellite embeddings.",
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the answer as JSON on standard output.")]


def _not_empty(_: object, value: Sequence[object] | None) -> None:
    if value is not None and not value:
        raise ValueError("no value follows")


def _whole(_: object, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is no whole number") from None


#: A whole number; cyclopts would round 2.5.
Whole = Annotated[int, Parameter(converter=_whole)]

#: --option A B, as well as --option A --option B.
Several = Parameter(consume_multiple=True, negative="", validator=_not_empty)


def answer(value: dict[str, Any], as_json: bool, *lines: str) -> None:
    """Print the answer: JSON for a program, lines for a person."""
    print(as_text(value) if as_json else "\n".join(lines))


def as_text(value: dict[str, Any]) -> str:
    """An answer as JSON; a number that is not finite, which JSON has not, is null."""
    return json.dumps(_finite(value), indent=2, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def refuse_overwriting(out: Path, *inputs: Path | None) -> None:
    """Refuse to write the answer onto one of the inputs, or into one that is a folder."""
    real = out.resolve()
    for path in inputs:
        if path is not None and path.resolve() in (real, *real.parents):
            where = "is one of the inputs" if path.resolve() == real else f"lies in one of the inputs, {path}"
            raise FileError(f"the output {where}", where=out, remedy="Choose another name")
