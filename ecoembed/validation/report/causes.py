"""Why a score is not defined: every dash of a table has its cause, and all causes are listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Causes"]

_LISTED = 12  # places told by name; the others are counted


class Causes:
    """The undefined scores of a record: ``table, features, regressor, where, score, cause`` each."""

    def __init__(self, undefined: Sequence[Mapping[str, Any]]) -> None:
        self._undefined = list(undefined)
        self._of = {(u["features"], u["regressor"], str(u["where"]), u["score"]): u["cause"] for u in self._undefined}

    def of(self, score: str, where: Mapping[str, Any]) -> str:
        """The cause of one cell, for the pointer that rests on it."""
        place = [str(where[key]) for key in ("site", "by", "group") if key in where]
        words = ", ".join([*place, f"{where['days']} days"])
        return str(self._of.get((where["features"], where["regressor"], words, score), "not defined"))

    def listed(self) -> list[dict[str, Any]]:
        """One line for each table, score and cause: for how many models, and where."""
        lines: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
        for entry in self._undefined:
            lines[entry["table"], entry["score"], entry["cause"]].append(entry)
        return [
            {"table": table, "score": score, "cause": cause, "cells": len(entries), "where": _places(entries)}
            for (table, score, cause), entries in lines.items()
        ]


def _places(entries: Sequence[Mapping[str, Any]]) -> str:
    places = list(dict.fromkeys(str(entry["where"]) for entry in entries))
    rest = len(places) - _LISTED
    return "; ".join(places[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
