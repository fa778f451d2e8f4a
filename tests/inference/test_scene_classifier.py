"""Three lines classify a recording: any rate, channels, length; strict weights; no network."""

import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc import SceneClassifier
from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.inference import scene_classifier as inference
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.runtime.checksums import write_checksums
from mil_asc.training.entry import main


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from conftest import write_dcase_folder

    clips = [(name, label, "lisbon", place, 0) for place, (name, label) in enumerate(
        [("train", "park"), ("train", "tram"), ("evaluate", "park"), ("evaluate", "tram")]
    )]  # fmt: skip
    root = tmp_path_factory.mktemp("inference")
    data = write_dcase_folder(root / "set", clips)
    assert main(tiny.tiny_run("recipes/TAU2019/hparams/fuse_gt.yaml", data, root / "run", "--number_of_epochs=1")) == 0
    return root / "run"


@pytest.fixture(scope="module")
def classifier(run_folder):
    return SceneClassifier.from_hparams(source=run_folder, run_opts={"device": "cpu"})


def noise(seconds, rate=16000, channels=1):
    return 0.05 * np.random.default_rng(0).normal(size=(round(seconds * rate), channels))


def test_result_is_complete(classifier, tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(3.0), 16000)
    scene = classifier.classify_file(tmp_path / "a.wav")
    assert scene.label == max(scene.scores["smi"], key=scene.scores["smi"].get)
    assert sum(scene.scores["cmi"].values()) == pytest.approx(1, abs=1e-5)
    assert len(scene.scores["smi"]) == 10 and scene.label in str(scene)
    first, second = scene.instances[:2]
    assert first.start == 0 and first.end == second.start
    for instance in scene.instances:
        assert instance.positive == (instance.label == scene.label)
        assert instance.confidence == max(instance.scores.values())
    best = max(instance.scores[scene.label] for instance in scene.instances)
    assert scene.scores["smi"][scene.label] == pytest.approx(best)


def test_classes_present_under_the_threshold_assumption(classifier):
    scene = classifier.classify_waveform(torch.from_numpy(noise(2.0)[:, 0]).float())
    every = list(scene.scores["smi"])
    tau = min(score for instance in scene.instances for score in instance.scores.values())
    assert scene.present(theta=len(scene.instances), tau=tau) == every
    assert scene.present(theta=len(scene.instances) + 1, tau=tau) == []
    best = max(scene.scores["smi"].values())
    assert scene.present(tau=best * 0.999999) == [scene.label]


def test_cmi_can_decide(classifier):
    scene = classifier.classify_waveform(torch.from_numpy(noise(2.0)[:, 0]).float(), assumption="cmi")
    assert scene.label == max(scene.scores["cmi"], key=scene.scores["cmi"].get)
    with pytest.raises(ValueError, match="smi, cmi"):
        classifier.classify_waveform(torch.zeros(16000), assumption="tmi")


@pytest.mark.parametrize("rate, channels, name", [(8000, 1, "a.wav"), (48000, 2, "b.flac"), (22050, 1, "c.ogg")])
def test_any_rate_channels_and_format(classifier, tmp_path, rate, channels, name):
    soundfile.write(tmp_path / name, noise(1.3, rate, channels), rate)
    assert len(classifier.classify_file(tmp_path / name).instances) == 5


def test_same_scores_as_the_training_modules(classifier, run_folder):
    wav = torch.from_numpy(noise(2.0)[:, 0]).float()
    with torch.no_grad():
        expected = classifier.mods.model(wav.unsqueeze(0)).logits_BIC
    torch.testing.assert_close(classifier.classify_batch(wav.unsqueeze(0)).logits_BIC, expected)


def test_context_covers_what_an_instance_depends_on():
    """Windows of a model with much context give the scores of the whole recording."""
    torch.manual_seed(0)
    model = MILClassifier(LogMel(n_mels=16), FUSE(channels=(4, 6, 8), num_blocks=6, time_kernel=7), Head(3, 8)).eval()
    wav, context = torch.randn(400_000), model.context_instances * model.instance_samples
    with torch.no_grad():
        whole = model(wav.unsqueeze(0)).logits_BIC[0]
        first = 60 * model.instance_samples
        part = model(wav[first - context : first + model.instance_samples + context].unsqueeze(0)).logits_BIC[0]
    torch.testing.assert_close(part[model.context_instances], whole[60], rtol=1e-4, atol=1e-4)


def test_long_recordings_are_computed_in_windows_with_equal_results(classifier, monkeypatch):
    wav = torch.from_numpy(noise(31.7)[:, 0]).float()
    whole = classifier._windowed_scores(wav)
    monkeypatch.setattr(inference, "WINDOW_INSTANCES", 20)
    torch.testing.assert_close(classifier._windowed_scores(wav), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seconds", [9.0, 9.05, 9.1])
@pytest.mark.parametrize("name", sorted(registered_extractors()))
def test_windows_of_every_extractor_give_the_scores_of_the_whole(name, seconds, monkeypatch):
    """The lengths leave different remainders: some extractors pad by the number of frames."""
    torch.manual_seed(0)
    extractor = registered_extractors()[name]
    model = MILClassifier(LogMel(n_mels=32, hop_ms=16.0), extractor(**extractor.tiny), Head(3, instance_dim=8))
    model(torch.randn(2, 64000))
    classifier = SceneClassifier(modules={"model": model.eval()}, hparams={"labels": ["a", "b", "c"]})
    wav = torch.from_numpy(noise(seconds)[:, 0]).float()
    whole = classifier._windowed_scores(wav)
    monkeypatch.setattr(inference, "WINDOW_INSTANCES", 3)
    torch.testing.assert_close(classifier._windowed_scores(wav), whole, rtol=1e-3, atol=1e-4)


def test_bad_files_are_refused_in_one_line(classifier, tmp_path):
    soundfile.write(tmp_path / "short.wav", noise(0.01), 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    for name, reason in [("short.wav", "too short"), ("silent.wav", "silent"), ("none.wav", "no such file")]:
        with pytest.raises(AudioError, match=reason) as caught:
            classifier.classify_file(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(
    "wav, words",
    [
        (np.zeros(16000), "silent (every sample is zero)"),
        (np.full(100, 0.1), "too short: 0.006 s, at least 0.224 s needed"),
        (np.full(16000, 1e20), "samples up to 1e+20, at most 4.29e+09 allowed (1 is full scale)"),
        (np.full(16000, np.nan), "holds NaN or infinite samples"),
    ],
)
def test_waveform_is_refused_as_its_file_is(classifier, tmp_path, wav, words):
    path = tmp_path / "a.wav"
    soundfile.write(path, wav, 16000, subtype="FLOAT")
    with pytest.raises(AudioError) as caught:
        classifier.classify_file(path)
    assert str(caught.value) == f"{path}: {words}"
    with pytest.raises(AudioError) as caught:
        classifier.classify_waveform(torch.from_numpy(wav).float())
    assert str(caught.value) == f"waveform: {words}"


@pytest.mark.parametrize("value", (float("nan"), float("inf")))
def test_scores_that_are_not_finite_give_no_label(classifier, tmp_path, monkeypatch, value):
    soundfile.write(tmp_path / "a.wav", noise(1.0), 16000)
    wav = torch.from_numpy(noise(1.0)[:, 0]).float()
    monkeypatch.setattr(classifier.mods.model.detector.bias, "data", torch.full((10,), value))
    for call, name in (
        (lambda: classifier.classify_file(tmp_path / "a.wav"), f"{tmp_path}/a.wav"),
        (lambda: classifier.classify_waveform(wav), "waveform"),
        (lambda: classifier.classify_batch(wav.unsqueeze(0)), "clip 0 of the batch"),
    ):
        with pytest.raises(UserError) as caught:
            call()
        assert (
            str(caught.value) == f"{name}: the model's scores are not finite, so there is no class: check its weights"
        )


def test_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        SceneClassifier.from_hparams(source=tmp_path / "no_such_run")


def test_weights_that_do_not_fit_are_refused(run_folder, tmp_path):
    weights = torch.load(run_folder / "model.ckpt", weights_only=True)
    weights.pop("detector.bias")
    torch.save(weights, tmp_path / "model.ckpt")
    (tmp_path / "model.yaml").write_text((run_folder / "model.yaml").read_text())
    write_checksums(tmp_path / "model.sha256", ["model.ckpt", "model.yaml"])
    with pytest.raises(UserError, match=r"detector\.bias"):
        SceneClassifier.from_hparams(source=tmp_path)


def test_instances_have_the_times_of_the_model(classifier):
    wav = torch.from_numpy(noise(2.3)[:, 0]).float()
    found = [[instance.start, instance.end] for instance in classifier.classify_waveform(wav).instances]
    assert found == classifier.mods.model.instance_times(len(wav)).tolist()


def test_a_folder_for_downloads_is_accepted_and_not_used(run_folder, tmp_path):
    SceneClassifier.from_hparams(source=run_folder, savedir=tmp_path / "downloads", run_opts={"device": "cpu"})
    assert not (tmp_path / "downloads").exists()


# -- waveforms as users have them


def test_numpy_and_one_channel_waveforms_are_classified_alike(classifier):
    wav_N1 = noise(2.0).astype(np.float32)
    expected = classifier.classify_waveform(torch.from_numpy(wav_N1[:, 0]))
    for same in (wav_N1[:, 0], wav_N1, wav_N1.T, torch.from_numpy(wav_N1).T, wav_N1[:, 0].astype(">f4")):
        assert classifier.classify_waveform(same) == expected
    assert classifier.classify_waveform(wav_N1[:, 0].astype(np.float64)) == expected
    assert classifier.classify_waveform(wav_N1[::-1, 0][::-1].tolist()) == expected


def test_one_waveform_is_a_batch_of_one(classifier):
    wav_N = noise(2.0)[:, 0].astype(np.float32)
    expected = classifier.classify_batch(torch.from_numpy(wav_N).unsqueeze(0)).logits_BIC
    assert torch.equal(classifier.classify_batch(wav_N).logits_BIC, expected)
    assert torch.equal(classifier(wav_N, [len(wav_N)]).logits_BIC, expected)


@pytest.mark.parametrize(
    "wav, words",
    [
        (np.zeros(16000, np.int16), "got int16: divide integer samples by their full scale, such as 32768 for int16"),
        (torch.zeros(16000, dtype=torch.int32), "got torch.int32: divide integer samples"),
        (np.zeros((16000, 2)), r"a mono waveform \(N,\), got shape \(16000, 2\): average the channels"),
        (np.zeros((1, 1, 16000)), r"got shape \(1, 1, 16000\)"),
        (np.float32(0.5), r"got shape \(\)"),
        (np.zeros(16000, complex), "got ndarray of complex128"),
        ("any.wav", "must be floating-point samples, got str"),
        (None, "must be floating-point samples, got NoneType"),
        ([[0.1], [0.1, 0.2]], "of one length, got a ragged list"),
        (np.ma.masked_less(np.linspace(-0.5, 0.5, 16000), 0), "no masked samples"),
        (torch.ones(16000).to_sparse(), "a dense tensor with samples, got a torch.sparse_coo tensor"),
        (torch.ones(16000, device="meta"), "a dense tensor with samples, got a meta tensor"),
    ],
)
def test_other_waveforms_are_refused_in_one_line(classifier, wav, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        classifier.classify_waveform(wav)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("wav_N ")


@pytest.mark.parametrize("length", [[16000.0], [1], [16001], [16000, 16000], 16000, "x", [None], [2**70]])
def test_lengths_that_do_not_fit_are_refused(classifier, length):
    with pytest.raises(ArgumentError, match="length_B must be 1 whole numbers from"):
        classifier.classify_batch(np.ones(16000, np.float32), length)


def test_silent_or_absurd_clip_of_a_batch_is_refused_by_its_position(classifier):
    wav_BN = np.stack([noise(1.0)[:, 0], np.zeros(16000)])
    with pytest.raises(AudioError, match="clip 1 of the batch: silent"):
        classifier.classify_batch(wav_BN)
    wav_BN[1, 12000:] = 0.1  # beyond its length
    with pytest.raises(AudioError, match="clip 1 of the batch: silent"):
        classifier.classify_batch(wav_BN, [16000, 12000])
    wav_BN[1, 0] = 1e30
    with pytest.raises(AudioError, match="clip 1 of the batch: samples up to 1e.30"):
        classifier.classify_batch(wav_BN)


@pytest.mark.parametrize("name", ["foo", "meta"])
def test_unknown_device_is_refused_in_one_line(run_folder, name):
    with pytest.raises(UserError, match=f"^--device={name}: no such device is available; use --device=cpu$"):
        SceneClassifier.from_hparams(source=run_folder, run_opts={"device": name})


def test_device_may_be_an_object(run_folder):
    assert SceneClassifier.from_hparams(run_folder, run_opts={"device": torch.device("cpu")}).device == "cpu"


@pytest.mark.parametrize("run_opts", ["cpu", {"precision": "fp16"}, {"jit": True}, ["device"]])
def test_run_options_without_effect_are_refused(run_folder, run_opts):
    with pytest.raises(ArgumentError, match="run_opts must be a dictionary with a device"):
        SceneClassifier.from_hparams(source=run_folder, run_opts=run_opts)


@pytest.mark.parametrize("value", [None, 1, b"any.wav", ["any.wav"]])
def test_what_is_no_path_is_refused(classifier, value):
    """An integer would be the number of an open file, which would be closed."""
    with pytest.raises(ArgumentError, match="path must be the path of an audio file, got"):
        classifier.classify_file(value)
    with pytest.raises(ArgumentError, match="source must be the output folder of a run, got"):
        SceneClassifier.from_hparams(source=value)


@pytest.mark.parametrize("rule", ["SMI", "", 1, [], {}])
def test_unknown_rule_is_refused(classifier, rule):
    with pytest.raises(ArgumentError, match="unknown assumption .*; legal: smi, cmi, bag"):
        classifier.classify_waveform(noise(1.0)[:, 0], rule)
