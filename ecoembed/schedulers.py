"""Where the sites of a study are worked on: this process, its machine, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ecoembed.errors import ConfigError


@contextmanager
def workers(scheduler: str) -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """(submit, as_completed) of a scheduler."""
    if scheduler == "threads":
        from concurrent.futures import ThreadPoolExecutor, as_completed

        import joblib
        import torch

        inner, pool = torch.get_num_threads(), ThreadPoolExecutor(max_workers=joblib.cpu_count())
        torch.set_num_threads(1)  # one core a site: inner threads would wait for each other
        try:
            yield pool.submit, as_completed
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt waits for the sites under way, not for the queue
            torch.set_num_threads(inner)
        return
    if scheduler != "local" and not scheduler.startswith(("tcp://", "tls://")):
        raise ConfigError("unknown scheduler", found=scheduler, expected="threads, local or tcp://HOST:PORT")
    try:
        import distributed
    except ImportError:
        remedy = "pip install 'ecoembed[cluster]'"
        raise ConfigError("Dask distributed is not installed", where=scheduler, remedy=remedy) from None
    try:
        local = {"dashboard_address": None} if scheduler == "local" else {"address": scheduler, "timeout": 10}
        client = distributed.Client(**local)
    except (OSError, TimeoutError, ValueError) as exc:
        raise ConfigError(f"no scheduler answers: {exc}", where=scheduler) from None
    with client:
        # pure=False: the same site is a new task at each run; the manifests decide what is skipped
        yield partial(client.submit, pure=False), distributed.as_completed
