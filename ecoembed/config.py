"""`study.toml`: what a study may be told; an unknown key is refused."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecoembed.errors import ConfigError, FileError

#: The feature sets that every study compares, unless its study.toml lists others.
FEATURES = (
    "climatology",
    "nirv_x_radiation",
    "bands",
    "indices",
    "meteo",
    "embeddings",
    "embeddings:random",
    "bands+meteo",
    "indices+meteo",
    "embeddings+meteo",
    "embeddings:random+meteo",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StudySection(_Section):
    name: str = "study"
    seed: int = 0


class FluxSection(_Section):
    target: str = "GPP_NT_VUT_REF"
    min_qc: float = Field(default=0.75, ge=0, le=1)


class EmbeddingsSection(_Section):
    weights: str = "default"
    window: Literal["centred", "causal"] = "causal"


class FootprintSection(_Section):
    radius: float = Field(default=100.0, gt=0)
    min_coverage: float = Field(default=0.5, gt=0, le=1)


class BenchmarkSection(_Section):
    features: tuple[str, ...] = FEATURES
    regressors: tuple[str, ...] = ("ridge", "lightgbm")
    protocol: str = "leave-site-out"


class StudyConfig(_Section):
    """The whole of `study.toml`; an unknown key is refused."""

    study: StudySection = StudySection()
    flux: FluxSection = FluxSection()
    embeddings: EmbeddingsSection = EmbeddingsSection()
    footprint: FootprintSection = FootprintSection()
    benchmark: BenchmarkSection = BenchmarkSection()

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
            remedy="Make one; `[study]` and a name are enough (README, Your own sites)",
        )
    try:
        return StudyConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"not valid TOML: {exc}", where=path) from None
    except ValidationError as exc:
        error = exc.errors()[0]
        key = ".".join(str(part) for part in error["loc"])
        if error["type"] != "extra_forbidden":
            raise ConfigError(f"{key}: {error['msg']}", where=path, found=repr(error["input"])) from None
        raise ConfigError("unknown key", where=path, found=key, expected=_known_keys(error["loc"])) from None


def _known_keys(location: tuple[int | str, ...]) -> str:
    """The keys that stand where an unknown one was met, the closest first."""
    section: Any = StudyConfig
    for part in location[:-1]:
        section = section.model_fields[str(part)].annotation
    known = list(section.model_fields)
    close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return ", ".join(close + [k for k in known if k not in close])
