"""Models that are installed as packages: found by name, without running anything of theirs."""

import sys
from pathlib import Path

import pytest

from kia.errors import ModelError
from kia.generation import model_folder
from kia.installed import installed_models


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a model that would raise if it were imported."""
    (tmp_path / "some_weights" / "model").mkdir(parents=True)
    (tmp_path / "some_weights" / "model" / "config.json").write_text("{}")
    (tmp_path / "some_weights" / "__init__.py").write_text("raise SystemExit('was run')")
    about = tmp_path / "some_weights-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[kia.models]\nsome-model = some_weights\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "some_weights" / "model"
    assert "some_weights" not in sys.modules


def test_an_installed_model_is_found_by_its_name(package):
    assert installed_models()["some-model"] == package
    assert model_folder("some-model") == model_folder(Path("some-model")) == package


def test_a_folder_of_that_name_comes_first(package, tmp_path, monkeypatch):
    (tmp_path / "here" / "some-model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ModelError, match="is no model"):
        model_folder("some-model")


def test_a_name_that_is_not_installed_is_refused_with_those_that_are(package):
    with pytest.raises(ModelError, match=r"some-modle is no model.*some-model"):
        model_folder("some-modle")
