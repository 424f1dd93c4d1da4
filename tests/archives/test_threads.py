"""Sites run side by side in threads; the HDF5 library below does not stand that without a lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ecoembed import open_cube
places = [p for p in Path(sys.argv[1]).iterdir()] * 8
with ThreadPoolExecutor(4) as pool:
    shapes = list(pool.map(lambda p: open_cube(p, "S2_L2A").shape[1:], places))
assert set(shapes) == {(10, 24, 24)}, shapes
"""


def test_many_places_at_once(network: Path) -> None:
    """In a process of its own: without the lock it dies of a bus error or hangs."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(network / "satellite")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
