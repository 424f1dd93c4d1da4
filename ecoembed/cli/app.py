"""The application that every command belongs to, and the one way in which commands answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

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


#: --option A B, as well as --option A --option B.
Several = Parameter(consume_multiple=True, negative="", validator=_not_empty)


def answer(value: dict[str, Any], as_json: bool, *lines: str) -> None:
    """Print the answer: JSON for a program, lines for a person."""
    print(as_text(value) if as_json else "\n".join(lines))


def as_text(value: dict[str, Any]) -> str:
    """An answer as JSON."""
    return json.dumps(value, indent=2, default=str)


def refuse_overwriting(out: Path, *inputs: Path | None) -> None:
    """Refuse to write the answer onto one of the inputs."""
    for path in inputs:
        if path is not None and path.resolve() == out.resolve():
            raise FileError("the output is one of the inputs", where=out, remedy="Name another file with --out")
