"""Augmentation and teachers of a finished run, in words."""

import json
import re

import finished_run
import ruamel.yaml
import tiny

from mil_asc.results.how_trained import TURNED_ON_BY, augmentation_of, teachers_of
from mil_asc.results.run import Run


def test_pieces_are_turned_on_by_the_values_that_are_zero_in_their_file():
    values = ruamel.yaml.YAML().load((tiny.ROOT / "hparams/augment/pieces.yaml").read_text())
    assert set(TURNED_ON_BY) == {name for name, value in values.items() if value == 0}


def test_words_are_those_of_the_settings_and_the_report(tmp_path):
    folder = finished_run.write_run(tmp_path / "run")
    assert augmentation_of(Run(folder)) == "none" and teachers_of(Run(folder)) is None
    settings = folder / "hyperparams.yaml"
    text = settings.read_text().replace("mixup_alpha: 0.0", "mixup_alpha: 0.3")
    settings.write_text(re.sub(r"\bmasks: 0\b", "masks: 2", text))
    report = json.loads((folder / "report.json").read_text())
    teachers = {"teachers": [{}, {}], "levels": ["bag", "instances"], "temperature": 2.0, "label_weight": 0.02}
    report["run"]["distillation"] = teachers
    (folder / "report.json").write_text(json.dumps(report))
    assert augmentation_of(Run(folder)) == "mixup_alpha 0.3, masks 2"
    words = "2 teachers for bag and instances, temperature 2, weight of the labels 0.02"
    assert teachers_of(Run(folder)) == words


def test_an_augmentation_without_pieces_is_unknown_and_not_none(tmp_path):
    folder = finished_run.write_run(tmp_path / "run")
    settings = folder / "hyperparams.yaml"
    settings.write_text("experiment: own\naugment:\n  augmentation: !new:my_augment.Noise\n    decibels: 3.0\n")
    assert augmentation_of(Run(folder)) is None
    settings.write_text("experiment: earlier\n")
    assert augmentation_of(Run(folder)) == "none"
