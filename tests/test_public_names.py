"""The package's public names, and what importing them brings along."""

import subprocess
import sys
from pathlib import Path

import pytest

import mil_asc


def modules_after(statement):
    """Names of all modules that a fresh Python has after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_public_names_are_importable():
    from mil_asc import Scene, SceneClassifier
    from mil_asc.inference import scene, scene_classifier

    assert (Scene, SceneClassifier) == (scene.Scene, scene_classifier.SceneClassifier)
    assert set(mil_asc.__all__) == set(mil_asc.HOMES) <= set(dir(mil_asc))
    assert "__version__" in dir(mil_asc)


def test_unknown_names_raise_attribute_error():
    with pytest.raises(AttributeError, match="module 'mil_asc' has no attribute 'Scenes'"):
        mil_asc.Scenes  # noqa: B018 (it raises)
    with pytest.raises(ImportError):
        from mil_asc import Scenes  # noqa: F401


@pytest.mark.parametrize("statement", ["import mil_asc", "import mil_asc; dir(mil_asc)", "from mil_asc import Scene"])
def test_importing_the_package_brings_no_numerical_library(statement):
    found = {name.partition(".")[0] for name in modules_after(statement)}
    assert "mil_asc" in found and not found & {"torch", "numpy", "scipy", "sklearn", "speechbrain", "ruamel"}


def test_inference_does_not_import_scikit_learn_or_the_modules_of_training_and_reports():
    found = modules_after("from mil_asc import SceneClassifier")
    assert "mil_asc.inference.scene_classifier" in found and "torch" in found
    assert not [name for name in found if name.partition(".")[0] in ("sklearn", "matplotlib")]
    assert not [name for name in found if name.startswith(("mil_asc.training", "mil_asc.results.metrics"))]


def test_version_is_the_same_everywhere():
    root = Path(mil_asc.__file__).parents[1]
    assert f"version: {mil_asc.__version__}\n" in (root / "CITATION.cff").read_text()
    headings = [line for line in (root / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert [heading for heading in headings if heading != "## Unreleased"][0] == f"## {mil_asc.__version__}"
