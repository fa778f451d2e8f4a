"""Three lines classify a recording: any rate, channels, length; strict weights; no network."""

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import tiny
import torch
from finished_run import write_run

from mil_asc import SceneClassifier
from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.inference import windows
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.runtime.checksums import write_checksums
from mil_asc.training.entry import main


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    from dcase_files import write_dcase_folder

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


def in_windows(classifier, wav_N):
    """(I, C) logits of a recording that arrives in blocks of 0.7 s."""
    blocks = np.split(wav_N, range(11200, len(wav_N), 11200))
    return windows.compute_in_windows(blocks, len(wav_N), classifier.interface, classifier.compute).logits_IC


def test_result_is_complete(classifier, tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(3.0), 16000)
    scene = classifier.explain_file(tmp_path / "a.wav")
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
    scene = classifier.explain_waveform(torch.from_numpy(noise(2.0)[:, 0]).float())
    every = list(scene.scores["smi"])
    tau = min(score for instance in scene.instances for score in instance.scores.values())
    assert scene.present(theta=len(scene.instances), tau=tau) == every
    assert scene.present(theta=len(scene.instances) + 1, tau=tau) == []
    best = max(scene.scores["smi"].values())
    assert scene.present(tau=best * 0.999999) == [scene.label]


def test_cmi_can_decide(classifier):
    scene = classifier.explain_waveform(torch.from_numpy(noise(2.0)[:, 0]).float(), assumption="cmi")
    assert scene.label == max(scene.scores["cmi"], key=scene.scores["cmi"].get)
    with pytest.raises(ValueError, match="smi, cmi"):
        classifier.explain_waveform(torch.zeros(16000), assumption="tmi")


@pytest.mark.parametrize("rate, channels, name", [(8000, 1, "a.wav"), (48000, 2, "b.flac"), (22050, 1, "c.ogg")])
def test_any_rate_channels_and_format(classifier, tmp_path, rate, channels, name):
    soundfile.write(tmp_path / name, noise(1.3, rate, channels), rate)
    assert len(classifier.explain_file(tmp_path / name).instances) == 5


def test_same_scores_as_the_training_modules(classifier, run_folder):
    wav = torch.from_numpy(noise(2.0)[:, 0]).float()
    with torch.no_grad():
        expected = classifier.mods.model(wav.unsqueeze(0)).logits_BIC
    torch.testing.assert_close(torch.from_numpy(classifier.compute(wav.numpy()).logits_IC), expected[0])


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
    wav_N = noise(31.7)[:, 0].astype(np.float32)
    whole_IC = classifier.compute(wav_N).logits_IC
    monkeypatch.setattr(windows, "WINDOW_INSTANCES", 20)
    np.testing.assert_allclose(in_windows(classifier, wav_N), whole_IC, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seconds", [9.0, 9.05, 9.1])
@pytest.mark.parametrize("name", sorted(registered_extractors()))
def test_windows_of_every_extractor_give_the_scores_of_the_whole(name, seconds, monkeypatch):
    """The lengths leave different remainders: some extractors pad by the number of frames."""
    torch.manual_seed(0)
    extractor = registered_extractors()[name]
    extractor = extractor(**extractor.tiny)
    front_end = tiny.front_end_of(extractor, n_mels=32, hop_ms=16.0)
    model = MILClassifier(front_end, extractor, Head(3, instance_dim=8))
    model(torch.randn(2, 64000))
    classifier = SceneClassifier(modules={"model": model.eval()}, hparams={"labels": ["a", "b", "c"]})
    wav_N = noise(seconds)[:, 0].astype(np.float32)
    whole_IC = classifier.compute(wav_N).logits_IC
    monkeypatch.setattr(windows, "WINDOW_INSTANCES", max(3, len(whole_IC) // 20))
    np.testing.assert_allclose(in_windows(classifier, wav_N), whole_IC, rtol=1e-3, atol=1e-4)


def test_bad_files_are_refused_in_one_line(classifier, tmp_path):
    soundfile.write(tmp_path / "short.wav", noise(0.01), 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    for name, reason in [("short.wav", "too short"), ("silent.wav", "silent"), ("none.wav", "no such file")]:
        with pytest.raises(AudioError, match=reason) as caught:
            classifier.explain_file(tmp_path / name)
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
        classifier.explain_file(path)
    assert str(caught.value) == f"{path}: {words}"
    with pytest.raises(AudioError) as caught:
        classifier.explain_waveform(torch.from_numpy(wav).float())
    assert str(caught.value) == f"waveform: {words}"


@pytest.mark.parametrize("value", (float("nan"), float("inf")))
def test_scores_that_are_not_finite_give_no_label(classifier, tmp_path, monkeypatch, value):
    soundfile.write(tmp_path / "a.wav", noise(1.0), 16000)
    wav = torch.from_numpy(noise(1.0)[:, 0]).float()
    monkeypatch.setattr(classifier.mods.model.detector.bias, "data", torch.full((10,), value))
    for call, name in (
        (lambda: classifier.explain_file(tmp_path / "a.wav"), f"{tmp_path}/a.wav"),
        (lambda: classifier.explain_waveform(wav), "waveform"),
        (lambda: classifier.classify_batch(wav.unsqueeze(0)), "clip 0 of the batch"),
    ):
        with pytest.raises(UserError) as caught:
            call()
        assert (
            str(caught.value) == f"{name}: the model's scores are not finite, so there is no class: check its weights"
        )


def test_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder and no shipped model"):
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
    found = [[instance.start, instance.end] for instance in classifier.explain_waveform(wav).instances]
    assert found == classifier.mods.model.instance_times(len(wav)).tolist()


def test_a_folder_for_downloads_is_accepted_and_not_used(run_folder, tmp_path):
    SceneClassifier.from_hparams(source=run_folder, savedir=tmp_path / "downloads", run_opts={"device": "cpu"})
    assert not (tmp_path / "downloads").exists()


# -- waveforms as users have them


def test_numpy_and_one_channel_waveforms_are_classified_alike(classifier):
    wav_N1 = noise(2.0).astype(np.float32)
    expected = classifier.explain_waveform(torch.from_numpy(wav_N1[:, 0]))
    for same in (wav_N1[:, 0], wav_N1, wav_N1.T, torch.from_numpy(wav_N1).T, wav_N1[:, 0].astype(">f4")):
        assert classifier.explain_waveform(same) == expected
    assert classifier.explain_waveform(wav_N1[:, 0].astype(np.float64)) == expected
    assert classifier.explain_waveform(wav_N1[::-1, 0][::-1].tolist()) == expected


def test_one_waveform_is_a_batch_of_one(classifier):
    wav_N = noise(2.0)[:, 0].astype(np.float32)
    expected = classifier.classify_batch(torch.from_numpy(wav_N).unsqueeze(0))
    for found in (classifier.classify_batch(wav_N), classifier(wav_N, [1.0])):
        assert torch.equal(found.out_prob, expected.out_prob) and found.text_lab == expected.text_lab


def test_results_have_the_order_and_the_shapes_of_speechbrain(classifier, tmp_path):
    wav_BN = np.stack([noise(2.0)[:, 0], 0.1 * np.sin(np.arange(32000) * 0.3)]).astype(np.float32)
    out_prob, score, index, text_lab = classifier.classify_batch(torch.from_numpy(wav_BN), torch.tensor([1.0, 0.5]))
    assert out_prob.shape == (2, 10) and score.shape == index.shape == (2,) and index.dtype == torch.int64
    assert torch.equal(score, out_prob.gather(1, index[:, None])[:, 0]) and 0 < out_prob.min() <= out_prob.max() < 1
    assert text_lab == [classifier.hparams.labels[i] for i in index.tolist()]
    soundfile.write(tmp_path / "a.wav", wav_BN[1, :16000], 16000, subtype="FLOAT")
    alone = classifier.classify_file(tmp_path / "a.wav")
    assert torch.equal(alone.out_prob[0], out_prob[1]) and alone.text_lab == text_lab[1:]


def test_mixed_lengths_in_a_batch_give_exactly_the_scenes_of_single_clips(classifier):
    lengths = [48000, 31999, 16000, 3584]
    wav_BN = np.random.default_rng(1).normal(scale=0.1, size=(4, 48000)).astype(np.float32)
    relative = torch.tensor(lengths) / 48000  # float32, as SpeechBrain's
    for wav_N, length, scene in zip(wav_BN, lengths, classifier.explain_batch(wav_BN, relative)):
        assert scene == classifier.explain_waveform(wav_N[:length])


def test_waveform_of_another_rate_is_resampled_as_its_file(classifier, tmp_path):
    wav_N = noise(2.0, 44100)[:, 0].astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav_N, 44100, subtype="FLOAT")
    expected = classifier.explain_file(tmp_path / "a.wav")
    assert classifier.explain_waveform(wav_N, sample_rate=44100) == expected
    assert classifier.explain_batch(wav_N, sample_rate=44100) == [expected]
    for rate, words in [(0, "1000 to 768000 Hz"), (44100.0, "a whole number"), (True, "a whole number")]:
        with pytest.raises(ArgumentError, match=f"sample_rate must be {words}"):
            classifier.explain_waveform(wav_N, sample_rate=rate)
    with pytest.raises(AudioError, match="^waveform: silent"):
        classifier.explain_waveform(np.zeros(44100), sample_rate=44100)


def test_threads_share_a_classifier(classifier):
    wavs = [np.random.default_rng(seed).normal(scale=0.1, size=16000 + 800 * seed) for seed in range(8)]
    expected = [classifier.explain_waveform(wav) for wav in wavs]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(classifier.explain_waveform, wavs)) == expected


@pytest.mark.parametrize("rejected", [0, 0.21, True, "0.01", float("nan")])
def test_share_of_rejected_recordings_is_checked(run_folder, rejected):
    with pytest.raises(ArgumentError, match="rejected must be a share above 0, at most 0.2"):
        SceneClassifier.from_hparams(run_folder, rejected=rejected)


@pytest.mark.parametrize(
    "wav, words",
    [
        (np.zeros(16000, np.int16), "got int16: divide integer samples by their full scale, such as 32768 for int16"),
        (torch.zeros(16000, dtype=torch.int32), "got int32: divide integer samples"),
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
        classifier.explain_waveform(wav)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("wav_N ")


@pytest.mark.parametrize("lengths", [[16000.0], [0.0], [1.0, 1.0], 1.0, "x", [None], [float("nan")], [-0.5]])
def test_lengths_that_do_not_fit_are_refused(classifier, lengths):
    with pytest.raises(ArgumentError, match="wav_lens must be 1 relative lengths above 0, at most 1") as caught:
        classifier.classify_batch(np.ones(16000, np.float32), lengths)
    assert "\n" not in str(caught.value)


def test_silent_or_absurd_clip_of_a_batch_is_refused_by_its_position(classifier):
    wav_BN = np.stack([noise(1.0)[:, 0], np.zeros(16000)])
    with pytest.raises(AudioError, match="clip 1 of the batch: silent"):
        classifier.classify_batch(wav_BN)
    wav_BN[1, 12000:] = 0.1  # beyond its length
    with pytest.raises(AudioError, match="clip 1 of the batch: silent"):
        classifier.classify_batch(wav_BN, [1.0, 0.75])
    with pytest.raises(AudioError, match="clip 1 of the batch: too short"):
        classifier.classify_batch(wav_BN, [1.0, 0.1])
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
        classifier.explain_file(value)
    with pytest.raises(ArgumentError, match="source must be a folder, a shipped model's name or hf:user/model, got"):
        SceneClassifier.from_hparams(source=value)


@pytest.mark.parametrize("rule", ["SMI", "", 1, [], {}])
def test_unknown_rule_is_refused(classifier, rule):
    with pytest.raises(ArgumentError, match="unknown assumption .*; legal: smi, cmi, bag"):
        classifier.explain_waveform(noise(1.0)[:, 0], rule)


def test_audio_that_speechbrain_loads_has_the_rate_of_the_model(tmp_path):
    """``classify_batch(load_audio(file))`` and ``classify_file(file)`` agree, as SpeechBrain's do."""
    folder, path = write_run(tmp_path / "run", {"sample_rate": 32000}), str(tmp_path / "a.wav")
    soundfile.write(path, np.random.default_rng(0).normal(scale=0.1, size=44100), 44100)
    classifier = SceneClassifier.from_hparams(folder)
    wav_N = classifier.load_audio(path)
    assert wav_N.shape == (32000,)
    found, expected = classifier.classify_batch(wav_N[None]), classifier.classify_file(path)
    torch.testing.assert_close(found.out_prob, expected.out_prob, atol=0.02, rtol=0)  # two resamplers
    assert len(classifier.explain_waveform(wav_N).instances) == len(classifier.explain_file(path).instances)


def test_options_of_speechbrain_that_are_off_are_taken(run_folder, tmp_path):
    off = {"device": "cpu", "data_parallel_backend": False, "distributed_launch": False, "jit": None}
    classifier = SceneClassifier.from_hparams(run_folder, run_opts=off)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(scale=0.1, size=16000), 16000)
    assert classifier.classify_file(tmp_path / "a.wav", savedir="anywhere").text_lab
    with pytest.raises(ArgumentError, match="run_opts must be"):
        SceneClassifier.from_hparams(run_folder, run_opts={"jit": True})


def test_arrays_of_a_window_are_not_kept_for_the_length_of_a_recording(run_folder):
    """They would pin the memory that the network freed around them: ten hours took 1.1 GB more."""
    classifier = SceneClassifier.from_hparams(run_folder)
    found, alive = [], []

    def compute(wav_N):
        alive.append(sum(one() is not None for one in found))
        scores = classifier.compute(wav_N)
        scores = scores._replace(logits_IC=scores.logits_IC.copy())
        found.append(weakref.ref(scores.logits_IC))
        return scores

    wav_N = noise(60.0)[:, 0].astype(np.float32)
    expected = classifier.explain_waveform(wav_N).instances.confidences_IC
    logits_IC = windows.compute_in_windows([wav_N], len(wav_N), classifier.interface, compute).logits_IC
    assert len(found) > 3 and alive[2:] == [1] * len(alive[2:])  # the last window's, until the next is added
    np.testing.assert_allclose(1 / (1 + np.exp(-logits_IC.astype(np.float64))), expected, rtol=1e-12)
