"""Fetching what a plan misses: a few scenes at once, each whole or not at all, each written down as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from ecoembed.archives import netcdf
from ecoembed.archives.stac import manifest
from ecoembed.archives.stac.images import open_scene
from ecoembed.archives.stac.plan import WORKERS, Plan
from ecoembed.archives.stac.scenes import Scene
from ecoembed.archives.stac.transport import Patience, StoppedError, UnreachableError, bare
from ecoembed.errors import ArchiveError, EcoembedError, FileError
from ecoembed.files import digest

#: So many scenes in a row that cannot be reached mean that the archive is down: nothing more is asked of it.
DOWN = 8


@dataclass(frozen=True)
class Fetched:
    """What came of a plan.

    Attributes
    ----------
    written : list of str
        Files, in the order in which they came.
    already : list of str
        Files of the plan that were there before.
    failed : dict of str to str
        Item id -> reason, with the asset; asked for again by the next plan.
    bytes : int
        Of the images' inner tiles that were read, uncompressed: their true sizes, beside the plan's assumed ones.
    seconds : float
    """

    written: list[str]
    already: list[str]
    failed: dict[str, str]
    bytes: int
    seconds: float


def fetch(
    plan: Plan, *, workers: int = WORKERS, progress: Callable[[Scene], None] | None = None, retries: int = 4
) -> Fetched:
    """Fetch what `plan` misses into ``plan.folder``.

    Each scene becomes ``<SENSOR>_<time>_<item>.nc``, written whole or not at all, and an entry of ``fetch.json``. A
    scene that fails is named in the result; the others go on. Ended at any moment (also by ``kill -9``), it continues
    where it stopped, with a new plan.

    Parameters
    ----------
    plan : Plan
    workers : int
        Scenes that are read at once; each holds one window of all bands in memory.
    progress : callable, optional
        Called with each scene once it is done or has failed.
    retries : int
        How often a request that failed is repeated.

    Raises
    ------
    FileError, GridError
        The manifest cannot be read, or is of another window; the disk is full, or nothing may be written there.
    KeyboardInterrupt
        Once the scenes that were under way have ended.
    """
    began, patience = time.monotonic(), Patience(retries)
    files, _ = manifest.present(plan.folder, plan.place, {scene.file for scene in plan.items})
    wanted = [scene for scene in plan.missing if scene.file not in files]
    already = sorted(scene.file for scene in plan.items if scene.file in files)
    written: list[str] = []
    failed: dict[str, str] = {}
    read = unreachable = 0
    manifest.write(plan.folder, plan.place, files)
    with ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        tasks = {pool.submit(_fetch_one, scene, plan, patience): scene for scene in wanted}
        try:
            for task in as_completed(tasks):
                scene = tasks[task]
                entry, reason = _outcome(task)
                if entry is not None:
                    files[scene.file] = entry
                    manifest.write(plan.folder, plan.place, files)
                    written.append(scene.file)
                    read += entry["read"]
                else:
                    failed[scene.id] = reason
                unreachable = unreachable + 1 if isinstance(task.exception(), UnreachableError) else 0
                if unreachable >= DOWN:
                    patience.stop.set()
                if progress is not None:
                    progress(scene)
        except BaseException:
            patience.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Fetched(written, already, failed, read, time.monotonic() - began)


def _fetch_one(scene: Scene, plan: Plan, patience: Patience) -> dict[str, Any]:
    """Read and write one scene; its entry in the manifest."""
    if patience.stop.is_set():
        raise StoppedError
    try:
        data, entry = open_scene(scene, plan.place, plan.provider, patience)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError) as exc:  # of strange contents
        what = f"{type(exc).__name__}: {bare(str(exc))[:200]}"
        raise ArchiveError("an item that cannot be used", where=scene.id, found=what) from exc
    path = plan.folder / scene.file
    packed = {"zlib": True, "complevel": 4, "shuffle": True}
    netcdf.write(data, path, {str(name): dict(packed) for name in data.data_vars})
    return entry | {"bytes": path.stat().st_size, "digest": digest(path)}


def _outcome(task: Future[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
    """The entry of a scene, or why there is none; what nobody expected is raised."""
    try:
        return task.result(), ""
    except FileError:  # of this machine's disk: the next scene would come for nothing
        raise
    except EcoembedError as exc:
        return None, str(exc)
    except StoppedError:
        return None, "not asked for: the archive has stopped answering"
