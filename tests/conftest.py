import os
import shutil
import signal
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve each other on a shared machine
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the numbers asserted here are those of float32 on a CPU

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import hypothesis
import pytest
import torch
from dcase_files import write_dcase_folder
from speechbrain.utils.importutils import LazyModule

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a background job, whose programs could not be stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
torch.set_num_threads(1)  # tiny models: a second thread would only wait
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    """Hypothesis asks every module for its file, which makes SpeechBrain's redirects import what is not there."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, LazyModule):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def shuffle_order(monkeypatch):
    """SpeechBrain keeps a run's seed in the environment, where the next test would find it."""
    monkeypatch.setenv("SB_GLOBAL_SEED", "0")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))])
def device(request):
    """The CPU, and a GPU where ``CUDA_VISIBLE_DEVICES`` names one."""
    return torch.device(request.param)


@pytest.fixture
def small_model():
    """FUSE of the paper's shape in small: 32 mel bins, 4 modules, 12 instance dimensions, 4 classes."""
    torch.manual_seed(0)
    return MILClassifier(LogMel(n_mels=32), FUSE(channels=(4, 6, 8, 10)), Head(num_classes=4, instance_dim=12))


@pytest.fixture
def dcase_folder(tmp_path):
    """Twelve one-second clips of three classes, eight to train on and four to evaluate on."""
    classes = ["airport", "park", "tram"]
    train = [("train", classes[i % 3], "lisbon", 10 + i, 0) for i in range(8)]
    evaluate = [("evaluate", classes[i % 3], "prague", 50 + i, 0) for i in range(4)]
    return write_dcase_folder(tmp_path / "data", train + evaluate)


@pytest.fixture(scope="session")
def one_run(tmp_path_factory):
    """A tiny finished run, not to be changed."""
    import finished_run

    return finished_run.write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def one_model(tmp_path_factory, one_run):
    """The model folder of the tiny run, not to be changed."""
    import finished_run

    return finished_run.write_packed(tmp_path_factory.mktemp("models") / "tiny", one_run)


@pytest.fixture
def run_copy(tmp_path, one_run):
    """A copy of the tiny finished run, to damage."""
    return shutil.copytree(one_run, tmp_path / "run")


@pytest.fixture
def model_copy(tmp_path, one_model):
    """A copy of the tiny model folder, to damage."""
    return shutil.copytree(one_model, tmp_path / "model")
