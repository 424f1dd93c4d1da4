"""`study.toml`: what a study may be told; an unknown key is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from ecoembed.errors import FileError
from ecoembed.files import read_toml

#: The feature sets that every study compares, unless its study.toml lists others.
FEATURES = (
    "climatology",
    "nirv_x_radiation",
    "kndvi_x_radiation",
    "p_model",
    "bands",
    "indices",
    "s1",
    "meteo",
    "embeddings",
    "embeddings:random",
    "embeddings:s1",
    "embeddings:s2",
    "p_model+meteo",
    "bands+meteo",
    "indices+meteo",
    "embeddings+meteo",
    "embeddings:random+meteo",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _several(names: object) -> object:
    """One name, or several in order of preference, as a sequence."""
    return (names,) if isinstance(names, str) else names


class StudySection(_Section):
    name: str = "study"
    seed: int = Field(default=0, ge=0, lt=2**32, description="a whole number from 0 to 2**32 - 1")
    own: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()


class FluxSection(_Section):
    target: Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)] = ("GPP_NT_VUT_REF",)
    min_qc: float = Field(default=0.75, ge=0, le=1)
    agreement: float | None = Field(default=None, gt=0, le=1)


class SatelliteSection(_Section):
    """What to fetch, and how cubes are made of it: the choices of :func:`ecoembed.open_cube`, by the same names."""

    provider: str = "planetary-computer"
    radar_provider: str = "planetary-computer"
    start: date | None = Field(default=None, description="a date as 2019-05-01")
    end: date | None = Field(default=None, description="a date as 2019-05-01")
    size: int = Field(
        default=100, ge=16, le=2000, multiple_of=2,
        description="the side of the window: an even number of 10 m pixels, 16 to 2000",
    )  # fmt: skip
    mask: Literal["scl", "learned", "both"] = "scl"
    dilation: float | None = Field(default=None, ge=0, le=500, description="metres, 0 to 500")
    resampling: Literal["nearest", "bilinear"] = "nearest"
    nbar: bool = False

    @property
    def choices(self) -> dict[str, Any]:
        """Keywords of :func:`ecoembed.open_cube` for Sentinel-2."""
        return self.model_dump(include={"mask", "dilation", "resampling", "nbar"}, exclude_none=True)


class EmbeddingsSection(_Section):
    weights: str = "default"
    window: Literal["centred", "causal"] = "causal"


class FootprintSection(_Section):
    model: Literal["kljun", "kormann", "disc"] = "kljun"
    period: Literal["all", "month", "overpass"] = "all"
    radius: float = Field(default=100.0, gt=0, description="metres")
    min_coverage: float = Field(default=0.5, gt=0, le=1)


class BenchmarkSection(_Section):
    features: tuple[str, ...] = FEATURES
    indices: tuple[str, ...] = Field(default=(), description="names of the spyndex catalogue; none: eight of them")
    regressors: tuple[str, ...] = ("ridge", "lightgbm")
    protocol: str | dict[str, Any] = "leave-site-out"
    gaps: Literal["none", "last", "linear"] = "none"
    max_age: float = Field(
        default=30.0, gt=0, le=366,
        description='days since the last clear image, 0 to 366, beside gaps = "last" or "linear"',
    )  # fmt: skip
    retrospective: bool = False
    window_days: int = Field(default=1, ge=1, le=365, description="1 to 365 days")
    nested: bool = False
    explain: bool = False
    intervals: float | None = Field(default=None, gt=0, lt=1, description="a share of the days, such as 0.9")

    @field_validator("max_age")
    @classmethod
    def _of_filled_days(cls, days: float, info: ValidationInfo) -> float:
        """Refuse one that is given (a default is not asked here) where no day is filled: it would change nothing."""
        if info.data.get("gaps") == "none":
            raise ValueError("no day is filled, so that it would change nothing")
        return days


class StudyConfig(_Section):
    """The whole of `study.toml`; an unknown key is refused."""

    study: StudySection = StudySection()
    flux: FluxSection = FluxSection()
    satellite: SatelliteSection = SatelliteSection()
    embeddings: EmbeddingsSection = EmbeddingsSection()
    footprint: FootprintSection = FootprintSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    external: dict[str, str] = Field(default={}, description="name of a feature set = folder of its cubes")

    def encoder(self, folder: Path) -> str | Path:
        """The weights' name, or their path: relative to the study's folder."""
        name = self.embeddings.weights
        return name if name in ("default", "random") else folder / name


def read_config(path: Path) -> StudyConfig:
    """Read and check a `study.toml`.

    Raises
    ------
    FileError
        If it is absent.
    ConfigError
        If it is not TOML, has an unknown key, or a value out of range.
    """
    if not path.is_file():
        raise FileError(
            "no study.toml",
            where=path.parent,
            remedy="Make one; `[study]` and a name are enough (README, Your own study)",
        )
    return read_toml(path, StudyConfig)
