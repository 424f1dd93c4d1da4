"""How an archive is asked: with a time limit, again after a failure that may pass, never without end.

One mechanism for the catalogue, the tokens, the metadata files and the images. A failure that may pass (no connection,
no whole answer in time, HTTP 408, 425, 429, 500, 502, 503, 504) is followed by another try after a wait that doubles
each time and is spread at random by half, or as long as the archive asks for (``Retry-After``). Any other ends it.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ecoembed.errors import ArchiveError

T = TypeVar("T")

#: Seconds within which an answer must be whole, before the second try, and beyond which nobody waits.
TIMEOUT = 60.0
CONNECT = 10.0  # of these, to be let in: where a firewall drops everything, nothing is to be waited for
FIRST_WAIT = 1.0
LONGEST_WAIT = 120.0

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class PassingError(Exception):
    """A failure that may pass; `wait` is how many seconds the archive asks for."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class UnreachableError(ArchiveError):
    """The archive failed at every try."""


class StoppedError(Exception):
    """The user has ended the fetch; what waits, waits no longer."""


@dataclass(frozen=True)
class Patience:
    """How often a request is repeated; `stop` ends all waiting."""

    retries: int = 4
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, attempt: Callable[[], T], where: str) -> T:
        """What `attempt` returns, tried again while it raises :class:`PassingError`.

        Raises
        ------
        UnreachableError
            It failed at every try, or the archive asks for a longer wait than anybody has.
        """
        for tried in range(1, self.retries + 2):
            if self.stop.is_set():
                raise StoppedError
            try:
                return attempt()
            except PassingError as exc:
                wait = FIRST_WAIT * 2.0 ** (tried - 1) * random.uniform(0.5, 1.5) if exc.wait is None else exc.wait
                if tried > self.retries or wait > LONGEST_WAIT:
                    times = f"{tried} {'try' if tried == 1 else 'tries'}"
                    raise UnreachableError(
                        f"the archive does not answer ({times})",
                        where=where,
                        found=f"{exc}{f'; it asks to wait {wait:.0f} s' if exc.wait is not None else ''}",
                        remedy="Check your connection, or run it again later: what is here is not fetched again",
                    ) from None
            self.stop.wait(wait)
        raise AssertionError  # pragma: no cover (the loop returns or raises)


def request(
    method: str,
    url: str,
    *,
    json: Any = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    limit: int = 1 << 26,
) -> bytes:
    """The body of one answer, of at most `limit` bytes, whole within ``TIMEOUT``.

    Raises
    ------
    PassingError
        No answer, not in time, not whole, or a status that may pass.
    ArchiveError
        A refusal (4xx), an answer too long, or an address that is not http(s).
    """
    import requests

    where = bare(checked(url, ("http", "https")))
    until, limits = time.monotonic() + TIMEOUT, (min(CONNECT, TIMEOUT), TIMEOUT)
    try:
        with requests.request(
            method, url, json=json, params=params, headers=headers, timeout=limits, stream=True,
            allow_redirects=not headers,  # a key is for this address alone
        ) as answer:  # fmt: skip
            if answer.status_code in PASSING:
                raise PassingError(f"HTTP {answer.status_code}", _wait(answer.headers.get("Retry-After")))
            body = bytearray()
            for piece in answer.iter_content(1 << 16):
                body += piece
                if len(body) > limit:
                    raise ArchiveError("the answer is too long", where=where, expected=f"at most {limit >> 20} MiB")
                if time.monotonic() > until:
                    raise PassingError(f"no whole answer within {TIMEOUT:g} s")
    except requests.exceptions.ConnectTimeout:
        raise PassingError(f"no connection within {limits[0]:g} s") from None
    except requests.exceptions.Timeout:
        raise PassingError(f"no answer within {TIMEOUT:g} s") from None
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    ) as exc:
        raise PassingError(bare(f"no connection: {_first_cause(exc)}")) from None
    except requests.RequestException as exc:
        raise ArchiveError("the archive cannot be asked", where=where, found=bare(str(exc))) from None
    if not answer.ok:
        said = " ".join(body[:300].decode("utf-8", "replace").split())
        raise ArchiveError("the archive refuses", where=where, found=f"HTTP {answer.status_code}: {bare(said)}")
    return bytes(body)


def checked(url: str, schemes: tuple[str, ...] = ("http", "https", "s3")) -> str:
    """`url`, unchanged, if a catalogue may send us there: never to a file of this machine.

    Raises
    ------
    ArchiveError
        Another scheme, a path without one, or no host.
    """
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or any(sign in url for sign in "\n\r\0 \"'<>|,"):
        raise ArchiveError(
            "the catalogue points to something that is not fetched",
            found=bare(url)[:120],
            expected=f"an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}",
        )
    return url


def bare(text: str) -> str:
    """`text` with every address in it rid of its query and of names and passwords: no signature is ever written down.

    Examples
    --------
    >>> bare("cannot read https://u:p@x.org/a.tif?sig=SECRET&se=1: HTTP 403")
    'cannot read https://x.org/a.tif: HTTP 403'
    """
    text = re.sub(r"(\w+://)[^/\s'\"@]*@", r"\1", text)
    return re.sub(r"\?[^\s'\"<>]*?(?=[:,.;)]*(?:[\s'\"<>]|$))", "", text)


def _first_cause(exc: BaseException) -> str:
    """The last words of a chain of wrapped errors: what the system said."""
    while isinstance(exc.args[0] if exc.args else None, BaseException):
        exc = exc.args[0]
    reason = getattr(exc, "reason", None)
    return str(reason if reason is not None else exc).rpartition(": ")[2][:200]


def _wait(header: str | None) -> float | None:
    """Seconds of a ``Retry-After``, which is a number or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
