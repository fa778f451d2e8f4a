import shutil

import finished_run
import pytest


@pytest.fixture(scope="session")
def one_run(tmp_path_factory):
    return finished_run.write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def one_model(tmp_path_factory, one_run):
    return finished_run.write_packed(tmp_path_factory.mktemp("models") / "tiny", one_run)


@pytest.fixture
def run_folder(tmp_path, one_run):
    """A copy of a tiny finished run, to damage."""
    return shutil.copytree(one_run, tmp_path / "run")


@pytest.fixture
def model_folder(tmp_path, one_model):
    """A copy of a tiny model folder, to damage."""
    return shutil.copytree(one_model, tmp_path / "model")
