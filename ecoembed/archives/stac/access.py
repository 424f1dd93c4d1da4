"""From the address of an asset to one that can be read: signed, checked, and with GDAL told how.

Sources: GDAL, network file systems (configuration options); Planetary Computer, "Using tokens for data access".
"""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import urlsplit

from ecoembed.archives.stac import transport
from ecoembed.archives.stac.providers import Provider
from ecoembed.archives.stac.transport import PassingError, Patience, bare, checked, request
from ecoembed.errors import ArchiveError

_REFUSALS = ("NotFound", "AccessDenied", "InvalidCredentials", "SignatureDoesNotMatch")


def address(href: str, provider: Provider, patience: Patience) -> str:
    """Where `href` can be read by HTTP or GDAL; signed where the provider signs, and so never to be written down.

    Raises
    ------
    ArchiveError
        Not http(s) or s3; the token is refused.
    """
    href = checked(href)
    if provider.signing == "sas":
        return _signed(href, patience)
    return href


def gdal_options(provider: Provider, *, forget: bool) -> dict[str, Any]:
    """Options of GDAL for its images: our time limit, no tries of its own, no looking for files beside.

    GDAL remembers what it has read of a file, also of one that it could not read, and would tell us the same at the
    next try without asking. With `forget` it drops that when the file is closed, at the price of asking twice. A JPEG
    2000 that it cannot decode is an error only where one thread reads it: of several, none says that there is nothing.
    """
    limit = str(max(1, round(transport.TIMEOUT)))
    ours = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_TIMEOUT": limit,
        "GDAL_HTTP_CONNECTTIMEOUT": limit,
        "GDAL_HTTP_MAX_RETRY": "0",
        "GDAL_NUM_THREADS": "1",
    }
    if forget:
        ours["CPL_VSIL_CURL_NON_CACHED"] = "/vsis3/:/vsicurl/http"
    return ours | {name: os.environ.get(name, value) for name, value in provider.gdal.items()}


def gdal_error(exc: BaseException) -> Exception:
    """A failure of GDAL as one that may pass or one that may not; `exc` with its causes says which."""
    causes: list[str] = []
    cause: BaseException | None = exc
    while cause is not None:
        causes.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    code = next((int(found[1]) for text in causes if (found := re.search(r"HTTP response code: (\d+)", text))), None)
    said = bare(re.sub(r"/vsi(curl|s3)/", lambda m: "" if m[1] == "curl" else "s3://", causes[-1].partition(": ")[2]))
    if code is not None:
        said = f"HTTP {code}"
    refused = code is not None and 400 <= code < 500 and code not in (*transport.PASSING, 416)
    if refused or any(word in text for text in causes for word in _REFUSALS):
        return ArchiveError("the image cannot be read", found=said)
    return PassingError(said)


def _signed(href: str, patience: Patience) -> str:
    """`href` with a token of the Planetary Computer, which is asked for once and kept by its own library."""
    import planetary_computer
    from planetary_computer import sas
    from planetary_computer.settings import Settings
    from planetary_computer.utils import parse_blob_url

    parts = urlsplit(href)
    if not (parts.hostname or "").endswith(sas.BLOB_STORAGE_DOMAIN):
        return href
    settings = Settings.get()
    url = "/".join([settings.sas_url, *parse_blob_url(parts)])
    token = sas.TOKEN_CACHE.get(url)
    if token is None or token.ttl() < 120:
        key = {"Ocp-Apim-Subscription-Key": settings.subscription_key} if settings.subscription_key else None
        try:
            answer = patience.ask(lambda: request("GET", url, headers=key), url)
            sas.TOKEN_CACHE[url] = sas.SASToken(**_object(answer))
        except ArchiveError as exc:
            exc.remedy = exc.remedy or (
                "If you have an account key of the Planetary Computer, set PC_SDK_SUBSCRIPTION_KEY in the environment"
            )
            raise
        except (ValueError, TypeError) as exc:
            raise ArchiveError("no token for these images", where=bare(url), found=type(exc).__name__) from None
    return str(planetary_computer.sign(href))


def _object(answer: bytes) -> dict[str, Any]:
    found = json.loads(answer)
    if not isinstance(found, dict):
        raise TypeError(type(found).__name__)
    return found
