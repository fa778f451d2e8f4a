import pytest
import torch
from torch import nn

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.dcase_baseline import DCASEBaseline
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head

PUBLISHED = [((32, 64), 102_208, 116_118), ((16, 16, 32), 38_608, 46_118)]
"""Widths, parameters of the extractor and of the authors' system: those of 2019 and 2021."""


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize("widths, features, system", PUBLISHED)
@torch.no_grad()
def test_system_with_the_authors_head_has_the_published_parameters(widths, features, system):
    """At 40 mel bins and 500 frames, with the authors' second pooling, a clip has one column of two rows."""
    extractor = DCASEBaseline(widths, time_pool=100).eval()
    head = nn.Sequential(nn.Flatten(), nn.Linear(2 * widths[-1], 100), nn.ReLU(), nn.Dropout(0.3), nn.Linear(100, 10))
    assert head(extractor(torch.randn(1, 1, 40, 500))).shape == (1, 10)
    assert (count(extractor), count(extractor, head)) == (features, system)


@pytest.mark.parametrize("widths, features, system", PUBLISHED)
def test_dense_generator_of_100_dimensions_is_the_authors_head_with_a_batch_norm(widths, features, system):
    model = MILClassifier(LogMel(n_mels=40), DCASEBaseline(widths), Head(instances="dense", instance_dim=100))
    assert count(model) == system + 2 * 100


def test_time_span_of_the_second_pooling_sets_the_columns():
    assert [DCASEBaseline(time_pool=span).out_frames(313) for span in (1, 8, 62, 63, 100)] == [62, 7, 1, 0, 0]


def test_context_grows_with_the_convolutions_before_the_first_pooling():
    assert [DCASEBaseline(widths).context_frames for widths in ((4, 4), (4, 4, 4))] == [18, 21]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"widths": (32,)}, "widths must be two or more"),
        ({"widths": (32, 0)}, "widths must be a list of whole numbers from 1 up"),
        ({"time_pool": 0}, "time_pool must be a whole number from 1 up"),
        ({"dropout": 1.0}, "dropout must be a number from 0 up and below 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DCASEBaseline(**settings)
