"""The floor of a run: its features, and that it changes nothing but the report."""

import gc
import html
import json
import random

import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc.corpora.manifest import Clip
from mil_asc.model.features import LogMel
from mil_asc.store.batches import ClipDataset
from mil_asc.training import steps
from mil_asc.training.clip_statistics import clip_statistics
from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
CLASSES = ["airport", "park", "tram"]
CPU = torch.device("cpu")


# -- the features


class Store:
    """Three clips of different lengths and levels, as int16."""

    lengths = np.array([16000, 1100, 8000])

    def samples(self, row):
        rng = np.random.default_rng(row)
        return np.round(10.0 ** (4 - row) * rng.uniform(-1, 1, self.lengths[row])).astype(np.int16)

    def read(self, rows):
        wav_BN = np.stack([np.resize(self.samples(row), self.lengths[rows].max()) for row in rows])
        return wav_BN, np.full(len(rows), 1e-4, dtype=np.float32), self.lengths[rows]


class CountingStore(Store):
    """Many clips; counts the tensors that are there whenever one is read."""

    lengths = np.full(12, 2000)
    tensors = 0

    def samples(self, row):
        return np.full(2000, 100, dtype=np.int16)

    def read(self, rows):
        self.tensors = sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
        return super().read(rows)


def random_states():
    """The states of all global random generators, as values that can be compared."""
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


def dataset(rows):
    clips = [Clip(f"{row}.wav", "park", "oslo", f"oslo-{row}", "a") for row in rows]
    return ClipDataset(Store(), rows, clips, ["park"])


def test_no_tensor_is_kept_per_clip():
    counts = []
    for count in (3, 12):
        clips = [Clip(f"{row}.wav", "park", "oslo", f"oslo-{row}", "a") for row in range(count)]
        store = CountingStore()
        clip_statistics(ClipDataset(store, range(count), clips, ["park"]), LogMel(n_mels=24), CPU, progress=False)
        counts.append(store.tensors)
    assert counts[0] == counts[1]


def test_features_are_mean_and_deviation_of_each_bin_over_the_clips_own_length():
    front_end = LogMel(n_mels=24)
    found = clip_statistics(dataset([0, 1, 2]), front_end, CPU, progress=False)
    assert found.shape == (3, 48) and found.dtype == np.float32
    for row, statistics in enumerate(found):
        wav_1N = torch.from_numpy(Store().samples(row).astype(np.float32) * np.float32(1e-4))[None]
        logmel_FT = front_end(wav_1N)[0].double().numpy()
        assert logmel_FT.shape[1] == front_end.num_frames(int(Store.lengths[row]))
        np.testing.assert_allclose(statistics[:24], logmel_FT.mean(1), rtol=1e-5)
        np.testing.assert_allclose(statistics[24:], logmel_FT.std(1), rtol=1e-4, atol=1e-5)


def test_features_of_a_clip_depend_on_no_other_clip():
    front_end = LogMel(n_mels=24)
    together = clip_statistics(dataset([0, 1, 2]), front_end, CPU, progress=False)
    np.testing.assert_array_equal(together[1:2], clip_statistics(dataset([1]), front_end, CPU, progress=False))


def test_features_use_no_random_generator_and_stay_float32_under_autocast():
    front_end = LogMel(n_mels=24)
    plain = clip_statistics(dataset([0, 1]), front_end, CPU, progress=False)
    before = random_states()
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(clip_statistics(dataset([0, 1]), front_end, CPU, progress=False), plain)
    assert random_states() == before


# -- the run


def write_set(folder):
    """Clips of three classes, which their pitch tells apart, of 0.4 to 0.7 s, four locations for each class and list.

    The evaluation set has a city and a device that the training set lacks.
    """
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    meta, lists = ["filename\tscene_label\tidentifier\tsource_label"], {"train": [], "evaluate": []}
    for number in range(48):
        name, c, place = ("train", "evaluate")[number % 2], number // 2 % 3, number // 6 % 4
        city = "prague" if name == "evaluate" and place == 3 else "oslo"
        device = "s4" if name == "evaluate" and place < 2 else "a"
        time = np.arange(round(16000 * (0.4 + 0.1 * (number % 4)))) / 16000
        noise = np.random.default_rng(number).normal(size=len(time))
        sound = 0.05 * np.sin(2 * np.pi * 400 * (1 + c) * time) + 0.02 * noise
        path = f"audio/{CLASSES[c]}-{city}-{name}-{c}{place}-{number}-{device}.wav"
        soundfile.write(folder / path, sound.astype(np.float32), 16000, subtype="PCM_16")
        meta.append(f"{path}\t{CLASSES[c]}\t{city}-{name}{c}{place}\t{device}")
        lists[name].append(f"{path}\t{CLASSES[c]}")
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")
    for name, lines in lists.items():
        (folder / f"evaluation_setup/fold1_{name}.csv").write_text("\n".join(["filename\tscene_label", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data") / "set")


def words_of(data_folder, output, *more):
    classes = [f"--data.labels=[{', '.join(CLASSES)}]", "--num_classes=3"]
    training = ["--number_of_epochs=2", "--learning_rate=0.0001", "--warmup_epochs=0"]
    return [*tiny.tiny_run(YAML, data_folder, output), *classes, *training, *more]


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def run(data_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    assert main(words_of(data_folder, folder)) == 0
    return folder


def test_report_has_the_floor_of_its_split(run):
    report = report_of(run)
    found, decided = report["floor"], [row["smi"]["label"] for row in report["decisions"]]
    truth = [row["label"] for row in report["decisions"]]
    assert (found["train_clips"], found["train_groups"], found["folds"], found["features"]) == (24, 12, 4, 32)
    assert found["accuracy"] == 1.0 and found["cross_validated_accuracy"] == 1.0 and 0 < found["log_loss"] < 0.5
    assert found["chance"] == {"class": "airport", "accuracy": pytest.approx(1 / 3)}
    assert found["difference"]["accuracy"] == pytest.approx(np.mean(np.array(truth) == decided) - 1)
    assert found["difference"]["groups"] == 12


def test_model_that_is_not_better_is_warned_of_in_the_report_and_on_the_page(run):
    (warning,) = [text for text in report_of(run)["warnings"] if "floor" in text]
    assert "is not better than the floor (100.0 %)" in warning
    assert warning in html.unescape((run / "report.html").read_text())
    assert warning in (run / "log.txt").read_text()


def test_cities_and_devices_of_the_evaluation_set_alone_are_kept_apart(run):
    found = report_of(run)["evaluation"]["seen_unseen"]
    sides = {part: {side: found[part][side]["names"] for side in found[part]} for part in found}
    assert sides["per_city"] == {"seen": ["oslo"], "unseen": ["prague"]}
    assert sides["per_device"] == {"seen": ["a"], "unseen": ["s4"]}
    assert found["per_city"]["unseen"]["clips"] == 6 and found["per_device"]["unseen"]["clips"] == 12


def test_floor_changes_neither_the_weights_nor_the_results(data_folder, run, tmp_path, monkeypatch, capsys):
    floor = report_of(run)["floor"]
    monkeypatch.setattr(steps, "measure_floor", lambda *arguments: floor)  # as it is, but not computed again
    assert main(words_of(data_folder, tmp_path / "run")) == 0
    assert "  floor: accuracy 1.000  class-wise 1.000  log loss 0." in capsys.readouterr().out
    expected, found = (torch.load(folder / "model.ckpt", weights_only=True) for folder in (run, tmp_path / "run"))
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    first, second = report_of(run), report_of(tmp_path / "run")
    for part in ("evaluation", "decisions", "events"):
        assert first[part] == second[part]
    assert [epoch["train"] for epoch in first["history"]] == [epoch["train"] for epoch in second["history"]]


def test_random_generators_are_the_same_before_and_after(data_folder, tmp_path, monkeypatch):
    seen, measure = [], steps.measure_floor

    def watched(*arguments):
        before = random_states()
        floor = measure(*arguments)
        seen.append((before, random_states()))
        return floor

    monkeypatch.setattr(steps, "measure_floor", watched)
    assert main(words_of(data_folder, tmp_path / "run")) == 0
    ((before, after),) = seen
    assert before == after


def test_run_that_is_evaluated_again_has_the_same_floor(data_folder, run):
    before = report_of(run)
    assert main(words_of(data_folder, run, "--test_only")) == 0
    after = report_of(run)
    assert after["floor"] == before["floor"] and after["warnings"] == before["warnings"]
    assert after["evaluation"] == before["evaluation"]


def test_validation_clips_are_not_trained_on(data_folder, tmp_path):
    assert main(words_of(data_folder, tmp_path / "run", "--data.validation_fraction=0.3")) == 0
    report = report_of(tmp_path / "run")
    assert report["floor"]["train_clips"] == report["run"]["train_clips"] == 18
    assert report["floor"]["train_groups"] == 9 and report["floor"]["folds"] == 3
    assert "Validation clips are not used." in (tmp_path / "run/report.html").read_text()


def test_debug_run_has_a_floor_and_no_warning_of_it(data_folder, tmp_path):
    assert main(words_of(data_folder, tmp_path / "run", "--debug")) == 0
    report = report_of(tmp_path / "run_debug")
    assert report["floor"]["train_clips"] == report["run"]["train_clips"] == 8
    assert not any("floor" in warning for warning in report["warnings"])
