import pytest

from ecoembed.errors import ConfigError, FileError
from ecoembed.validation.config import read_benchmark_config
from tests.validation.tables import flat, run

GOOD = """
target = "GPP"
regressors = ["ridge"]

[features]
light = ["NIRv * SW"]

[climatology]
type = "PFT"
latitude = 50.0
"""


def read(tmp_path, text):
    (tmp_path / "b.toml").write_text(text)
    return read_benchmark_config(tmp_path / "b.toml")


def test_gives_the_arguments_of_benchmark(tmp_path):
    config = read(tmp_path, 'table = "t.csv"\n' + GOOD)
    assert config == {
        "target": "GPP",
        "site": "SITE_ID",
        "date": "date",
        "features": {"light": ["NIRv * SW"]},
        "climatology": {"type": "PFT", "latitude": 50.0},
        "regressors": ["ridge"],
        "protocol": "leave-site-out",
        "seed": 0,
    }
    assert set(run(flat(), **config).scores["features"]) == {"light", "climatology"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("regresors = ['ridge']\n" + GOOD, r"b\.toml: unknown key.*regresors.*Did you mean 'regressors'"),
        (GOOD + "latitud = 1", r"climatology\.latitud.*Did you mean 'latitude'"),
        (GOOD + "[quality]\ncolumn = 'QC'\nmn = 0.75", r"quality\.mn.*Did you mean 'min'"),
        (GOOD + "[quality]\ncolumn = 'QC'", r"key absent.*quality\.min"),
        (GOOD.replace('target = "GPP"', ""), "key absent.*target"),
        (GOOD.replace("target", "targte"), "unknown key.*targte.*Did you mean 'target'"),
        (GOOD.replace('["NIRv * SW"]', '"NIRv"'), r"features\.light: .*list"),
        ("seed = 'x'\n" + GOOD, "seed: .*integer"),
        ("target = ", "not valid TOML"),
    ],
)
def test_wrong_files(tmp_path, text, match):
    with pytest.raises(ConfigError, match=match):
        read(tmp_path, text)


def test_absent(tmp_path):
    with pytest.raises(FileError, match=r"b\.toml"):
        read_benchmark_config(tmp_path / "b.toml")
