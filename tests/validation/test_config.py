import pytest

from ecoembed.errors import ConfigError, FileError
from ecoembed.validation.config import read_benchmark_config
from tests.validation.tables import flat, run

GOOD = """
target = "GPP"
regressors = ["ridge"]

[features]
light = ["NIRv * SW"]

[places]
vegetation = "PFT"
latitude = 50.0
"""


def read(tmp_path, text):
    (tmp_path / "b.toml").write_text(text)
    return read_benchmark_config(tmp_path / "b.toml")


def test_gives_the_arguments_of_benchmark(tmp_path):
    config = read(tmp_path, 'table = "t.csv"\n' + GOOD)
    assert config == {
        "target": "GPP",
        "features": {"light": ["NIRv * SW"]},
        "places": {"vegetation": "PFT", "latitude": 50.0},
        "regressors": ["ridge"],
    }
    assert set(run(flat(), **config).scores["features"]) == {"light", "climatology"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("regresors = ['ridge']\n" + GOOD, r"b\.toml: top: unknown key.*regresors.*Did you mean 'regressors'"),
        (GOOD + "latitud = 1", r"b\.toml: places: unknown key.*latitud.*Did you mean 'latitude'"),
        (GOOD + "[quality]\ncolumn = 'QC'\nmn = 0.75", r"b\.toml: quality: unknown key.*mn.*Did you mean 'min'"),
        (GOOD + "[quality]\ncolumn = 'QC'", r"quality\.min: absent"),
        (GOOD.replace('target = "GPP"', ""), "target: absent"),
        (GOOD.replace("target", "targte"), "unknown key.*targte.*Did you mean 'target'"),
        (GOOD.replace('["NIRv * SW"]', '"NIRv"'), r"features\.light: not a list .found 'NIRv'; expected .*\["),
        ("seed = 'x'\n" + GOOD, "seed: not a number .found 'x'; expected a whole number"),
        ("nested = 'yess'\n" + GOOD, "nested: neither true nor false .found 'yess'; expected true or false"),
        ("frozen = 'f.csv'\n" + GOOD, "unknown key .found frozen; expected one of .*protocol"),
        ("target = ", "not valid TOML"),
    ],
)
def test_wrong_files(tmp_path, text, match):
    with pytest.raises(ConfigError, match=match):
        read(tmp_path, text)


def test_absent(tmp_path):
    with pytest.raises(FileError, match=r"b\.toml"):
        read_benchmark_config(tmp_path / "b.toml")


def test_a_toml_may_stand_on_another(tmp_path):
    (tmp_path / "base.toml").write_text(GOOD)
    (tmp_path / "folds.toml").write_text('base = "base.toml"\n[protocol]\nname = "site-k-fold"\nfrozen = "f.csv"\n')
    config = read_benchmark_config(tmp_path / "folds.toml")
    assert config["target"] == "GPP"
    assert config["protocol"] == {"name": "site-k-fold", "frozen": str(tmp_path / "f.csv")}  # beside the TOML
    for domain, read in (
        ('"map.csv"', str(tmp_path / "map.csv")),
        ('"land"', "land"),
        ("[0, 40, 9, 50]", [0, 40, 9, 50]),
    ):
        (tmp_path / "map.toml").write_text(f'base = "base.toml"\n[protocol]\nname = "knndm"\ndomain = {domain}\n')
        assert read_benchmark_config(tmp_path / "map.toml")["protocol"] == {"name": "knndm", "domain": read}
    (tmp_path / "third.toml").write_text('base = "folds.toml"\n')
    with pytest.raises(ConfigError, match="a base that has a base"):
        read_benchmark_config(tmp_path / "third.toml")
    (tmp_path / "fourth.toml").write_text('base = "none.toml"\n')
    with pytest.raises(FileError, match=r"none\.toml"):
        read_benchmark_config(tmp_path / "fourth.toml")
