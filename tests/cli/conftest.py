import numpy as np
import pytest
from calls import write_noise

from mil_asc.cli.main import main
from mil_asc.packaging.calibrate import calibrate
from mil_asc.packaging.pack import pack_run
from mil_asc.results.trained_model import load_model


@pytest.fixture(scope="session")
def model(tmp_path_factory, one_run):
    """A model folder with an ONNX file and a calibration to white noise."""
    waveforms = (0.05 * np.random.default_rng(i).normal(size=8000).astype(np.float32) for i in range(500))
    calibration = calibrate(load_model(one_run).network, waveforms, [i % 3 for i in range(500)]).to_json()
    return str(pack_run(one_run, tmp_path_factory.mktemp("cli-models") / "tiny", calibration=calibration))


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory, one_run):
    """A model folder without a calibration."""
    return str(pack_run(one_run, tmp_path_factory.mktemp("cli-models") / "plain"))


@pytest.fixture
def recordings(tmp_path):
    """A folder of four recordings, two of them in sub-folders."""
    for seed, name in enumerate(["b.wav", "a.flac", "night/c.wav", "night/deep/d.ogg"]):
        write_noise(tmp_path / "recordings" / name, 1.0 + 0.3 * seed, seed)
    return tmp_path / "recordings"


@pytest.fixture
def mil_asc(capsys, monkeypatch):
    """Calls the command line; returns its exit status, standard output and standard error."""
    monkeypatch.delenv("MIL_ASC_MODEL", raising=False)

    def call(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return call
