"""Which epoch the results, the predictions and the weights of a run come from, and which clips they belong to.

The epoch that the validation split selects is forced to be the first of three; the results are compared with those
that the weights of each epoch give clip by clip.
"""

import json

import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.training.brain import MILBrain
from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
CLASSES = ["airport", "park", "tram"]
BEST, LAST = 1, 3


def write_set(folder):
    """Twelve clips to train on, and nine to evaluate on: three sounds, each of them labelled with every class.

    So three of nine are decided correctly whatever the model does. Sounds have different lengths, the longest first;
    the device goes with the class, the city with neither.
    """
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    meta, lists = ["filename\tscene_label\tidentifier\tsource_label"], {"train": [], "evaluate": []}

    def add(name, label, place, device, sound, seconds):
        rng = np.random.default_rng(sound)
        time = np.arange(round(16000 * seconds)) / 16000
        tone = 0.05 * np.sin(2 * np.pi * 300 * (1 + sound % 3) * time) + 0.02 * rng.normal(size=len(time))
        path = f"audio/{label}-{place}-{len(meta)}-{device}.wav"
        soundfile.write(folder / path, tone.astype(np.float32), 16000, subtype="PCM_16")
        meta.append(f"{path}\t{label}\t{place}\t{device}")
        lists[name].append(f"{path}\t{label}")

    for i in range(12):
        add("train", CLASSES[i % 3], f"lisbon-{i}", "a", i % 3, 0.5)
    for i in range(9):
        sound, label = i // 3, i % 3
        city = "prague" if i in (0, 4, 5, 7) else "oslo"
        add("evaluate", CLASSES[label], f"{city}-{50 + i}", "abc"[label], 100 + sound, 1.2 - 0.3 * sound)
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")
    for name, lines in lists.items():
        (folder / f"evaluation_setup/fold1_{name}.csv").write_text("\n".join(["filename\tscene_label", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, its arguments, and the weights after each epoch."""
    top = tmp_path_factory.mktemp("reported")
    options = ["--number_of_epochs=3", "--warmup_epochs=0", "--learning_rate=1.0", "--evaluate_every=1"]
    classes = [f"--data.labels=[{', '.join(CLASSES)}]", "--num_classes=3", "--data.validation_fraction=0.3"]
    words = tiny.tiny_run(YAML, write_set(top / "data"), top / "run", *options, *classes)
    kept, save = {}, MILBrain._save_epoch

    def force_best(brain, epoch):
        brain.record["monitor"]["accuracy"] = 0.9 if epoch == BEST else 0.1
        kept[epoch] = {key: value.clone() for key, value in brain.modules.model.state_dict().items()}
        save(brain, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MILBrain, "_save_epoch", force_best)
        assert main(words) == 0
    return top / "run", words, kept


def scenes_of(folder, data_folder, weights):
    """Path -> scene of every clip of the evaluation set under these weights."""
    classifier = SceneClassifier.from_hparams(source=folder)
    classifier.mods.model.load_state_dict(weights)
    lines = (data_folder / "evaluation_setup/fold1_evaluate.csv").read_text().splitlines()[1:]
    return {line.split("\t")[0]: classifier.explain_file(data_folder / line.split("\t")[0]) for line in lines}


def log_loss_of(scenes):
    """Mean of -ln of the true class's share of the bag confidences."""
    shares = []
    for path, scene in scenes.items():
        scores = scene.scores["smi"]
        shares.append(scores[path.removeprefix("audio/").split("-")[0]] / sum(scores.values()))
    return -np.log(shares).mean()


@pytest.fixture(scope="module")
def scenes(run):
    folder, _, kept = run
    return {epoch: scenes_of(folder, folder.parent / "data", kept[epoch]) for epoch in (BEST, LAST)}


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def check_blocks(report, scenes):
    best = report["evaluation_of_best_on_validation"]
    assert best["epoch"] == BEST and report["history"][-1]["epoch"] == report["run"]["epochs"] == LAST
    for block, epoch, other in ((report["evaluation"], LAST, BEST), (best, BEST, LAST)):
        assert block["log_loss"] == pytest.approx(log_loss_of(scenes[epoch]), rel=1e-3)
        assert block["log_loss"] != pytest.approx(log_loss_of(scenes[other]), rel=4e-3)
        assert block["clips"] == 9
    for row in report["decisions"]:
        scene = scenes[LAST][row["path"]]
        assert row["smi"] == {"label": scene.label, "score": pytest.approx(scene.scores["smi"][scene.label], rel=1e-3)}


def test_report_has_the_last_epoch_first_and_the_best_beside_it(run, scenes):
    check_blocks(report_of(run[0]), scenes)


def test_weights_of_the_model_are_those_of_the_last_epoch(run):
    folder, _, kept = run
    weights = torch.load(folder / "model.ckpt", weights_only=True)
    assert all(torch.equal(weights[key], value) for key, value in kept[LAST].items())
    assert not all(torch.equal(weights[key], value) for key, value in kept[BEST].items())


def test_predictions_are_those_of_the_last_epoch_in_the_order_of_the_list(run, scenes):
    folder, *_ = run
    with np.load(folder / "predictions.npz") as file:
        found = {name: file[name] for name in ("paths", "truth", "counts", "logits", "labels")}
    assert found["paths"].tolist() == list(scenes[LAST]) and found["labels"].tolist() == CLASSES
    assert found["truth"].tolist() == [0, 1, 2] * 3
    logits = np.split(found["logits"], np.cumsum(found["counts"])[:-1])
    for epoch, agree in ((LAST, True), (BEST, False)):
        expected = [[list(i.scores.values()) for i in scene.instances] for scene in scenes[epoch].values()]
        assert [len(scores) for scores in expected] == found["counts"].tolist()
        close = [np.allclose(1 / (1 + np.exp(-z_IC)), p_IC, atol=0.01) for z_IC, p_IC in zip(logits, expected)]
        assert all(close) == agree


def test_results_by_device_and_city_belong_to_their_own_clips(run, scenes):
    folder, *_ = run
    hits = {"per_device": {}, "per_city": {}}
    for path, scene in scenes[LAST].items():
        label, city, *_, device = path.removeprefix("audio/").removesuffix(".wav").split("-")
        hits["per_device"].setdefault(device, []).append(scene.label == label)
        hits["per_city"].setdefault(city, []).append(scene.label == label)
    found = report_of(folder)["evaluation"]["smi"]
    assert found["accuracy"] == pytest.approx(1 / 3)
    for part, groups in hits.items():
        assert found[part] == {k: {"accuracy": pytest.approx(np.mean(v)), "clips": len(v)} for k, v in groups.items()}


def test_evaluating_again_changes_neither_block_nor_the_weights(run, scenes):
    folder, words, _ = run
    before, weights = report_of(folder), (folder / "model.ckpt").read_bytes()
    assert main([*words, "--test_only"]) == 0
    after = report_of(folder)
    check_blocks(after, scenes)
    for part in ("evaluation", "evaluation_of_best_on_validation", "decisions", "history"):
        assert after[part] == before[part]
    assert (folder / "model.ckpt").read_bytes() == weights
