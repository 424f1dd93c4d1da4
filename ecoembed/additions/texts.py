"""A row of sites.csv and a name in study.toml, written into the texts that a user wrote: all else stays as it is."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ecoembed.archives.sites.claims import ALIASES, NUMBERS, parse
from ecoembed.archives.sites.tables import read_tables
from ecoembed.errors import ConfigError, TableError

__all__ = ["with_own", "with_row"]

_OURS = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}


def with_row(path: Path, site: str, known: Mapping[str, str]) -> str:
    """The text of a site table in which `site` has a row that holds what is `known`, by our column names.

    Only its own row changes, and the header where a column is new. Numbers get the table's decimal sign.

    Raises
    ------
    FileError, TableError
        The table cannot be read; its row says otherwise, or spells the site in another way.
    """
    table = read_tables(path, path.name)[0]
    if table.bif:
        remedy = "Move it into sites/, which completes a plain sites.csv"
        raise TableError("BADM's interchange format", where=path.name, expected="one row for each site", remedy=remedy)
    text = path.read_bytes().decode("utf-8")
    end = "\r\n" if "\r\n" in text else "\n"
    lines = list(io.StringIO(text, newline=""))
    if not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    header = lines[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    records = [record for record in _records(lines, separator) if any(cell.strip() for cell in record[0])]
    titles, first, last = records[0]
    columns = [_OURS.get(cell.strip().lstrip("\ufeff").lower(), cell.strip()) for cell in titles]
    if "site_id" not in columns:
        raise TableError("column site_id absent", where=path.name, found=", ".join(columns), expected="site_id")
    new = [column for column in known if column not in columns]
    columns += new
    if new:
        lines[first:last] = [_line([*titles, *new], separator, end), *[""] * (last - first - 1)]
    at = columns.index("site_id")
    row, first, last = _row_of(records[1:], at, site, path.name) or ([], len(lines), len(lines))
    cells = [*row, *[""] * (len(columns) - len(row))]
    cells[at] = cells[at] or site
    for column, value in known.items():
        here = columns.index(column)
        cells[here] = _completed(cells[here], column, value, table.decimal_commas > 0, f"{path.name}, {site}, {column}")
    lines[first:last] = [_line(cells, separator, end)]
    return "".join(lines)


def _records(lines: Sequence[str], separator: str) -> Iterator[tuple[list[str], int, int]]:
    """The cells of each record, and the lines (first, one past the last) on which it stands."""
    reader, first = csv.reader(lines, delimiter=separator, strict=True), 0
    for cells in reader:
        yield cells, first, reader.line_num
        first = reader.line_num


def _row_of(
    records: Sequence[tuple[list[str], int, int]], at: int, site: str, name: str
) -> tuple[list[str], int, int] | None:
    for cells, first, last in records:
        spelled = cells[at].strip() if len(cells) > at else ""
        if spelled.upper() == site.upper():
            if spelled != site:
                remedy = "Spell it as the flux file does"
                raise TableError(
                    "another spelling of the site", where=name, found=spelled, expected=site, remedy=remedy
                )
            return cells, first, last
    return None


def _completed(cell: str, column: str, value: str, commas: bool, where: str) -> str:
    """The cell, if it says the same; the value, if it is empty."""
    number = column in NUMBERS
    if cell.strip() in ("", "NA", "NaN", "nan", "N/A", "-9999", "-9999.0"):
        return value.replace(".", ",") if number and commas else value
    plain = cell.strip().replace(",", ".") if number else cell.strip()
    if parse(column, plain) != parse(column, value):
        remedy = "Correct the site table, or leave the option out"
        raise TableError(
            "the site table says otherwise", where=where, found=cell.strip(), expected=value, remedy=remedy
        )
    return cell


def _line(cells: Sequence[str], separator: str, end: str) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, delimiter=separator, lineterminator=end).writerow(cells)
    return line.getvalue()


def with_own(path: Path, site: str) -> str:
    """The text of a study.toml whose ``[study] own`` names `site`; comments and all other lines stay.

    Raises
    ------
    ConfigError
        If the text is written in a way in which no place for it is found.

    Notes
    -----
    Each possible edit is read back: one is taken only if it says what was said before, and the site.
    """
    text = path.read_bytes().decode("utf-8")
    before = tomllib.loads(text)
    own = before.get("study", {}).get("own", [])
    own = [own] if isinstance(own, str) else own
    if site in own:
        return text
    wanted = copy.deepcopy(before)
    wanted.setdefault("study", {})["own"] = [*own, site]
    for edited in _edits(text, json.dumps(site)):
        try:
            if tomllib.loads(edited) == wanted:
                return edited
        except tomllib.TOMLDecodeError:
            continue
    raise ConfigError(
        "no place found for own", where=path, expected=f"own = {json.dumps([*own, site])} under [study]",
        remedy="Write it there yourself, and add the site again",
    )  # fmt: skip


def _edits(text: str, site: str) -> Iterator[str]:
    end = "\r\n" if "\r\n" in text else "\n"
    for found in re.finditer(r"\bown\s*=\s*\[", text):  # into the list that is there, before its bracket
        for bracket in re.finditer(r"\]", text[found.end() :]):
            at = found.end() + bracket.start()
            space = len(text[:at]) - len(text[:at].rstrip())
            for new in (f", {site}", site, f" {site}"):
                yield text[: at - space] + new + text[at - space :]
                yield text[:at] + new + text[at:]  # below a comment of the last line
    for found in re.finditer(r"\bown\s*=\s*([\"'][^\"'\r\n]*[\"'])", text):  # one name without brackets
        yield f"{text[: found.start(1)]}[{found[1]}, {site}]{text[found.end(1) :]}"
    for found in re.finditer(r"^[ \t]*\[\s*study\s*\][^\r\n]*(\r?\n|$)", text, re.MULTILINE):
        lead = "" if found[1] else end
        yield f"{text[: found.end()]}{lead}own = [{site}]{end}{text[found.end() :]}"
    yield f"{text}{'' if not text or text.endswith(end) else end}{end}[study]{end}own = [{site}]{end}"
