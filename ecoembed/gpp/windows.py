"""Windows of past days as views of one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def make_windows(
    site: np.ndarray, date: pd.DatetimeIndex, values: np.ndarray, wanted: np.ndarray, length: int
) -> tuple[Any, np.ndarray]:
    raise NotImplementedError
