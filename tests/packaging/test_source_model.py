"""A trained network by the name of its source."""

import pytest
import torch
from finished_run import LABELS

from mil_asc.errors import UserError
from mil_asc.packaging.source_model import load_source
from mil_asc.packaging.sources import shipped_models
from mil_asc.results.trained_model import load_model


def test_run_and_model_folder_give_the_same_network(one_run, one_model):
    run, packed = load_source(one_run), load_source(str(one_model))
    assert run.labels == packed.labels == LABELS and run.rule == packed.rule == "smi"
    assert run.weights_sha256 == load_model(one_run).checksum != packed.weights_sha256
    assert (run.folder, packed.folder) == (one_run, one_model)
    wav_BN = torch.randn(2, 8000)
    bags = [one.network(wav_BN) for one in (run, packed)]
    assert torch.equal(bags[0].logits_BIC, bags[1].logits_BIC) and not bags[0].logits_BIC.requires_grad
    assert not run.network.training and not packed.network.training


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_are_loaded_without_a_change_of_random_numbers(name):
    before = torch.get_rng_state()
    model = load_source(name)
    assert torch.equal(before, torch.get_rng_state()) and len(model.labels) == model.network.num_classes


def test_anything_else_is_refused_in_one_line(tmp_path):
    for source in ("no-model", tmp_path):
        with pytest.raises(UserError) as caught:
            load_source(source)
        assert "\n" not in str(caught.value) and str(source) in str(caught.value)
