"""The command line: thin commands over the public API; nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from cyclopts import CycloptsError

from ecoembed.cli import additions, model, places, studies, towers  # noqa: F401  (each registers its commands)
from ecoembed.cli.app import app
from ecoembed.errors import EcoembedError

__all__ = ["app", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit code 0, 1 when sites failed, 2 on any error that the user can act on."""
    warnings.formatwarning = _warning_line
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        print(f"ecoembed: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # its reader, such as head, has seen enough; nothing is left for Python to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except EcoembedError as error:
        print(f"ecoembed: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        kept = ["what was finished is kept, run again to continue", *getattr(stop, "__notes__", [])]
        print(f"ecoembed: interrupted; {kept[-1]}", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _warning_line(message: Warning | str, *_: Any, **__: Any) -> str:
    """A warning without a line of our source, which tells a user nothing."""
    return f"ecoembed: warning: {message}\n"
