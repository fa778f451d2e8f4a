"""Resolved settings: flat keys, and what counts as a change."""

import re

import pytest
import ruamel.yaml
import tiny

from mil_asc.results.settings import (
    LATER_KEYS,
    changed_settings,
    class_of,
    flatten,
    read_settings,
    setting_texts,
    tag_of,
)
from mil_asc.training.config import resolve_settings

TEXT = """\
seed: 1
data_folder: here
data:
  cache_folder: there
  on_bad_audio: stop
model:
  network: !new:mil_asc.model.classifier.MILClassifier
    num_classes: 10
objective: {}
"""


def test_flat_keys():
    tree = ruamel.yaml.YAML(typ="safe").load("a: {b: 1, c: {d: [2]}}\ne: x")
    assert flatten(tree) == {"a": {"b": 1, "c": {"d": [2]}}, "a.b": 1, "a.c": {"d": [2]}, "a.c.d": [2], "e": "x"}


def test_tags_name_classes():
    nodes = read_settings(TEXT)
    assert tag_of(nodes["model.network"]) == "!new:mil_asc.model.classifier.MILClassifier"
    assert (class_of(nodes["model.network"]), class_of(nodes["seed"]), tag_of(nodes["seed"])) == (
        "MILClassifier",
        "",
        None,
    )


def test_texts_leave_out_locations_and_empty_groups():
    assert setting_texts(read_settings(TEXT)) == {
        "seed": "1",
        "model.network": "!new:mil_asc.model.classifier.MILClassifier",
        "model.network.num_classes": "10",
        **LATER_KEYS,
    }


@pytest.mark.parametrize(
    "old, new, changes",
    [
        ("here", "elsewhere", {}),
        ("stop", "skip", {}),
        ("num_classes: 10", "num_classes: 4", {"model.network.num_classes": ("10", "4")}),
        ("seed: 1\n", "", {"seed": ("1", None)}),
        ("{}", "{alpha: 2}", {"objective.alpha": (None, "2")}),
        (
            "classifier.MIL",
            "classifier.Other",
            {
                "model.network": (
                    "!new:mil_asc.model.classifier.MILClassifier",
                    "!new:mil_asc.model.classifier.OtherClassifier",
                )
            },
        ),
    ],
)
def test_changes(old, new, changes):
    assert changed_settings(TEXT, TEXT.replace(old, new)) == changes


def test_runs_of_versions_without_folds_had_none():
    later = TEXT.replace("data:\n", "data:\n  folds: 0\n  fold: 0\n  split_seed: 1\n")
    assert changed_settings(TEXT, later) == changed_settings(later, TEXT) == {}
    assert changed_settings(TEXT, later.replace("folds: 0", "folds: 5")) == {"data.folds": ("0", "5")}
    assert changed_settings(later, TEXT.replace("seed: 1", "seed: 2")) == {"seed": ("1", "2")}


def test_runs_of_versions_without_augmentation_had_none():
    recipe = tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"

    def resolved(**options):
        return resolve_settings(recipe, {"data_folder": "DIR", "experiment": "one", **options})

    plain = resolved()
    earlier = plain[: plain.index("\naugment:")] + plain[plain.index("\ntraining:") :]
    assert "augment" not in earlier and changed_settings(earlier, plain) == {}
    assert changed_settings(earlier, resolved(mixup_alpha=0.3))["augment.pieces.mixup_alpha"] == (None, "0.3")
    other = plain.replace("waveform_pieces.RandomGain", "waveform_pieces.OtherGain")
    assert changed_settings(plain, other).keys() == {
        "augment.augmentation.waveform",
        "augment.pieces.augmentation.waveform",
    }


@pytest.mark.parametrize("options", [{}, {"augment": "mixup"}, {"augment": "spec_augment", "mixup_alpha": 0.3}])
def test_runs_of_versions_without_the_stretch_had_none(options):
    recipe = tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"
    now = resolve_settings(recipe, {"data_folder": "DIR", "experiment": "one", **options})
    node = r"\n +stretch: !new:mil_asc.augment.stretch.Stretch\n +time: .*\n +frequency: .*"
    earlier = re.sub(r"\n +(time|frequency)_stretch: .*", "", re.sub(node, "", now))
    assert "tretch" not in earlier and "Mixup" in earlier
    assert changed_settings(earlier, now) == {}
    later = now.replace("time_stretch: 0.0", "time_stretch: 0.2")
    assert changed_settings(earlier, later)["augment.pieces.time_stretch"] == (None, "0.2")
