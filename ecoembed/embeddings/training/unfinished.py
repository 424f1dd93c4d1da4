"""What an unfinished training leaves on disk, from which the same command continues: ``OUT.training/``.

``training.json`` says what is trained, and each stage has a safetensors file; all are written atomically, so that a
killed run leaves its last whole state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ecoembed.errors import ConfigError, FileError
from ecoembed.files import atomic, unwritable, write_json

_CONFIGURATION = "training.json"
_STATE = "ecoembed-training"
#: Seconds to wait for another training to end: of one that was killed, the processes that drew crops live 5 s longer.
PATIENCE = 8.0


def folder_of(out: Path) -> Path:
    """The folder of the unfinished training of the weights file `out`."""
    return out.with_name(f"{out.name}.training")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that trains into `folder`; the lock is the system's, so that a killed one leaves none.

    Raises
    ------
    ConfigError
        If another process trains there now.
    FileError
        If the folder cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        remedy = "Wait until it ends, or name another output"
        raise ConfigError("another process is training here now", where=folder, remedy=remedy) from None
    except OSError as exc:
        raise unwritable(folder, exc.strerror) from exc
    try:
        yield
    finally:
        lock.release()


def claim(folder: Path, configuration: dict[str, Any]) -> bool:
    """Make `folder` that of this training; true if one of the same configuration was begun there.

    Raises
    ------
    ConfigError
        If another training was begun there; the first key that differs is named.
    FileError
        If what is there cannot be read.
    """
    file = folder / _CONFIGURATION
    wanted = json.loads(json.dumps(configuration))
    if not folder.exists() or not [entry for entry in folder.iterdir() if not entry.name.startswith(".")]:
        write_json(file, wanted)  # or it was ended before a word was written
        return False
    remedy = f"Repeat the earlier command to continue that training, or delete {folder} to begin anew"
    try:
        begun = dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        remedy = f"Delete {folder} and begin anew"
        raise FileError("an unfinished training, whose configuration is lost", where=file, remedy=remedy) from None
    if differs := _difference(begun, wanted):
        key, expected, found = differs
        what = f"another training is unfinished here: its {key} differs"
        raise ConfigError(what, where=folder, found=found, expected=expected, remedy=remedy)
    return True


def _difference(begun: Any, wanted: Any, key: str = "") -> tuple[str, str, str] | None:
    """The first key at which two configurations differ, and both values."""
    if isinstance(begun, dict) and isinstance(wanted, dict):
        names = sorted({*begun, *wanted})
        pairs = [(f"{key}.{name}".strip("."), begun.get(name), wanted.get(name)) for name in names]
    elif isinstance(begun, list) and isinstance(wanted, list) and len(begun) == len(wanted):
        pairs = [(f"{key}.{i}", *both) for i, both in enumerate(zip(begun, wanted, strict=True))]
    else:
        a, b = (f"{len(v)} entries" if isinstance(v, list | dict) else json.dumps(v) for v in (begun, wanted))
        return None if begun == wanted else (key, a, b)
    return next((found for name, one, other in pairs if (found := _difference(one, other, name))), None)


def write_state(file: Path, tensors: dict[str, Tensor], said: dict[str, Any]) -> None:
    """Write the state of one stage."""
    content = save({name: t.detach().contiguous() for name, t in tensors.items()}, {_STATE: json.dumps(said)})
    with atomic(file) as temporary:
        temporary.write_bytes(content)


def read_state(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What :func:`write_state` wrote; None if there is nothing.

    Raises
    ------
    FileError
        If it is damaged.
    """
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return tensors, dict(json.loads(opened.metadata()[_STATE]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as exc:
        remedy = f"Delete {file} to train this stage anew, or {file.parent} to begin from the start"
        raise FileError("the state of an unfinished training is damaged", where=file, remedy=remedy) from exc
