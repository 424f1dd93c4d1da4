"""The one mechanism of each kind that touches the disk or the terminal: atomic writes, hashes, stages, progress."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from ecoembed._version import __version__
from ecoembed.errors import ConfigError, FileError, check_name

if TYPE_CHECKING:
    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)

T = TypeVar("T")

#: What a full disk, a quota, a folder without rights, or a file in the place of a folder and the reverse answer.
_UNWRITABLE = {
    getattr(errno, name, None)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "ENOTDIR", "EISDIR", "ENAMETOOLONG")
}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success rename it to `path`, on failure remove it.

    Works for a file and for a folder (a Zarr store): an existing target is replaced only once the new one is
    whole. A killed run leaves the old or the new, and perhaps a hidden ``.part``; never a half. (A folder cannot be
    exchanged in one step: killed in the instant between two renames, neither is there and both lie beside.)

    Raises
    ------
    FileError
        The disk is full, or nothing may be written there.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(os.path.realpath(path))  # a link stays, what it points to is replaced
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise unwritable(path, exc.strerror) from exc
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    except shutil.Error as exc:  # of a folder's copy: (from, to, why) of each file
        raise unwritable(path, str(exc.args[0][0][2]).split(": '")[0]) from exc
    except OSError as exc:
        if exc.errno not in _UNWRITABLE:
            raise
        raise unwritable(path, exc.strerror) from exc
    finally:
        if os.path.isdir(temporary):  # Path.is_dir raises for a name that is too long
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def unwritable(path: Path, found: object) -> FileError:
    """The error of a file that the disk does not take."""
    remedy = "Make room there, or see to its rights, and run it again: what was finished is kept"
    return FileError("cannot be written", where=path, found=found, remedy=remedy)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically, with sorted keys."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", "utf-8", newline="\n")


def read_toml(path: Path, model: type[M]) -> M:
    """Read a TOML file into the pydantic `model`, which states what it may hold.

    Raises
    ------
    FileError
        If it is absent.
    ConfigError
        If it is not TOML, has a key that the model does not know (the nearest is named), or a value out of range.
    """
    return validated(toml_values(path), model, path)


def toml_values(path: Path) -> dict[str, Any]:
    """What a TOML file holds; raises as :func:`read_toml` does."""
    if not path.is_file():
        raise FileError("no such file", where=path, expected="a TOML file", remedy="Check the path")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"not valid TOML: {exc}", where=path) from None


def validated(values: dict[str, Any], model: type[M], path: Path) -> M:
    """The values of a TOML file as the pydantic `model`; raises as :func:`read_toml` does."""
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as exc:
        error = min(exc.errors(), key=lambda error: error["type"] != "extra_forbidden")  # the cause of others, perhaps
        said = error["msg"].removeprefix("Value error, ")
        if not error["loc"]:  # keys that do not go together
            raise ConfigError(said, where=path) from None
        *sections, last = (str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            known = list(_section(model, sections).model_fields)
            check_name(last, known, "key", where=f"{path}: {'.'.join(sections) or 'top'}")
        key, field = ".".join([*sections, last]), _section(model, sections).model_fields.get(last)
        expected = field.description if field else None
        if error["type"] in _PLAIN:
            said, plain = _PLAIN[error["type"]]
            expected = expected or plain
        found = None if error["type"] == "missing" else repr(error["input"])
        raise ConfigError(f"{key}: {said}", where=path, found=found, expected=expected) from None


#: What pydantic says in its own words -> what it means in a TOML file, and an example.
_PLAIN = {
    "missing": ("absent", "this key"),
    "tuple_type": ("not a list", 'texts in brackets: ["...", "..."]'),
    "list_type": ("not a list", 'texts in brackets: ["...", "..."]'),
    "model_type": ("not a section", "keys below [...]"),
    "string_type": ("not a text", 'a text in quotes: "..."'),
    "int_parsing": ("not a number", "a whole number"),
    "float_parsing": ("not a number", "a number, with a decimal point"),
    "float_type": ("not a number", "a number, with a decimal point"),
    "int_type": ("not a number", "a whole number"),
    "bool_parsing": ("neither true nor false", "true or false, without quotes"),
    "bool_type": ("neither true nor false", "true or false, without quotes"),
}


def _section(model: type[BaseModel], sections: Sequence[str]) -> type[BaseModel]:
    """The section of `model` that is reached through `sections`."""
    for section in sections:
        field = model.model_fields.get(section)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        model = next((kind for kind in kinds if isinstance(kind, type) and hasattr(kind, "model_fields")), model)
    return model


def digest(path: str | Path) -> str:
    """SHA-256 (first 16 hex digits) of a file, or of all files of a folder with their relative names."""
    path, total = Path(path), hashlib.sha256()
    files = {p.relative_to(path.parent).as_posix(): p for p in (path.rglob("*") if path.is_dir() else [path])}
    for name, file in sorted((name, p) for name, p in files.items() if p.is_file()):
        total.update(name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()[:16]


def stage(output: Path, inputs: Iterable[Path], parameters: dict[str, Any], make: Callable[[], object]) -> None:
    """Run `make`, which writes `output`, unless the manifest says that it would give what is there already.

    The manifest stands beside the output and holds the hashes of the inputs, the parameters and the code version.
    """
    record = {
        "inputs": [[path.name, digest(path)] for path in inputs],
        "parameters": parameters,
        "code_version": __version__,
    }
    manifest = output.with_name(output.name + ".json")
    if output.exists() and manifest.is_file():
        try:
            if json.loads(manifest.read_text(encoding="utf-8")) == json.loads(json.dumps(record)):
                return
        except json.JSONDecodeError:
            pass  # a damaged manifest proves nothing: run again
    make()
    write_json(manifest, record)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over `items` with a progress bar on stderr; without it where ``CI`` is set and nobody looks."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(total, description) as step:
        for item in items:
            yield item
            step()


@contextmanager
def progress(total: int | None, description: str, done: int = 0) -> Iterator[Callable[..., None]]:
    """The progress bar of :func:`track` for work that comes back by itself: call what is yielded at each step.

    A `note` that is handed over with a step stands behind the description; `done` steps were taken before.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    spent = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *spent)
    unseen = "CI" in os.environ and not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=unseen) as bar:
        task = bar.add_task(description, total=total, completed=done)
        yield lambda *_, note="": bar.update(task, advance=1, description=f"{description} {note}".rstrip())
