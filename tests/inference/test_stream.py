"""Sound that arrives in chunks: the instances of the whole recording, in bounded memory, with a stated delay."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.inference.stream import StreamingClassifier, pads_by_length
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.packaging.export import export_onnx

MODEL = "synthscenes-fuse-pnl"
LABELS = ["a", "b", "c"]
BY_LENGTH = {"two_path_resnet", "trident_resnet"}
WITHOUT_TORCH = """
import sys
import numpy as np
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.stream import StreamingClassifier
stream = StreamingClassifier(OnnxSceneClassifier.from_hparams("synthscenes-fuse-pnl", threads=1))
assert stream.push(0.1 * np.random.default_rng(0).normal(size=80000))
assert not {"torch", "speechbrain", "scipy"} & set(sys.modules)
"""


@pytest.fixture(scope="module", params=[SceneClassifier, OnnxSceneClassifier], ids=["torch", "onnx"])
def classifier(request):
    return request.param.from_hparams(MODEL)


@pytest.fixture(scope="module")
def small():
    return OnnxSceneClassifier.from_hparams(MODEL, threads=1)


def noise(samples, seed=0):
    """Noise whose level changes every 0.3 s, so that instances differ."""
    random = np.random.default_rng(seed)
    level_N = np.repeat(random.uniform(0.001, 0.3, samples // 4800 + 1), 4800)[:samples]
    return (level_N * random.normal(size=samples)).astype(np.float32)


def chunks(wav_N, random, longest):
    """Chunks of random sizes, a tenth of them of one sample and some empty; some longer than 48 instances."""
    first = 0
    while first < len(wav_N):
        size = 1 if random.random() < 0.1 else int(random.integers(0, longest))
        yield wav_N[first : first + size]
        first += size


def streamed(classifier, parts, **settings):
    """The final instances of a stream, and the stream."""
    stream = StreamingClassifier(classifier, **settings)
    found = [one for part in parts for one in stream.push(part)]
    found = [one for one in found if one.final] + stream.finish()
    assert [one.position for one in found] == list(range(len(found))) and all(one.final for one in found)
    return found, stream


def assert_same(found, scene):
    assert len(found) == len(scene.instances)
    np.testing.assert_allclose(
        [list(one.scores.values()) for one in found], scene.instances.confidences_IC, atol=1e-5, rtol=0
    )
    np.testing.assert_allclose([[one.start, one.end] for one in found], scene.instances.times_I2, atol=1e-9)
    assert [one.label for one in found] == [one.label for one in scene.instances]


# -- the same as the whole


@pytest.mark.parametrize("seed, samples, longest", [(0, 7168, 900), (1, 200_000, 9000), (2, 1_000_001, 700_000)])
def test_random_chunks_give_the_instances_of_the_whole(classifier, seed, samples, longest):
    wav_N = noise(samples, seed)
    found, _ = streamed(classifier, chunks(wav_N, np.random.default_rng(seed), longest))
    assert_same(found, classifier.explain_waveform(wav_N))


def test_single_samples_give_the_instances_of_the_whole(small):
    wav_N = noise(16_000)
    found, _ = streamed(small, wav_N[:, None])
    assert_same(found, small.explain_waveform(wav_N))


def network_of(name):
    """A small network of random weights; its front end in the middle of what the extractor takes."""
    torch.manual_seed(0)
    extractor = registered_extractors()[name]
    extractor = extractor(**extractor.tiny)
    front_end = tiny.front_end_of(extractor, n_mels=32, hop_ms=16.0)
    model = MILClassifier(front_end, extractor, Head(3, instance_dim=8))
    model(torch.randn(2, 64000))
    return model.eval()


def with_torch(model, folder):
    return SceneClassifier(modules={"model": model}, hparams={"labels": LABELS})


def with_onnx(model, folder):
    (folder / "a.onnx").write_bytes(export_onnx(model, LABELS, weights_sha256="0" * 64))
    return OnnxSceneClassifier.from_hparams(folder / "a.onnx", threads=1)


@pytest.mark.parametrize("load", [with_torch, pytest.param(with_onnx, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(registered_extractors()))
def test_every_extractor_with_bounded_context_gives_the_instances_of_the_whole(tmp_path, name, load):
    """Of those that pad by the number of frames, without what follows the last complete step."""
    model = network_of(name)
    classifier = load(model, tmp_path)
    if model.context_instances is None:
        with pytest.raises(UserError, match="depends on the whole recording .*: classify complete recordings$"):
            StreamingClassifier(classifier)
        return
    step = model.instance_samples
    wav_N = noise(min((3 * model.context_instances + 60) * step, 300_000) + step // 3)
    found, stream = streamed(classifier, chunks(wav_N, np.random.default_rng(0), 40_000))
    assert pads_by_length(classifier) == (name in BY_LENGTH)
    judged = round(stream.judged_seconds * 16000)
    assert judged == (len(wav_N) - len(wav_N) % step if name in BY_LENGTH else len(wav_N))
    assert_same(found, classifier.explain_waveform(wav_N[:judged]))


def test_attention_comes_along():
    torch.manual_seed(0)
    model = MILClassifier(LogMel(n_mels=32), FUSE(channels=(4, 6, 8)), Head(3, 8, pooling="attention"))
    model(torch.randn(2, 32000))
    classifier = SceneClassifier(modules={"model": model.eval()}, hparams={"labels": LABELS})
    wav_N = noise(60_000)
    found, stream = streamed(classifier, np.array_split(wav_N, 7))
    assert_same(found, classifier.explain_waveform(wav_N))
    expected = classifier.explain_waveform(wav_N).scores["bag"]
    assert stream.scene().scores["bag"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_give_the_instances_of_the_file(small, tmp_path, rate):
    wav_N = noise(rate * 7 + 5)
    soundfile.write(tmp_path / "a.wav", wav_N, rate, subtype="FLOAT")
    parts = chunks(wav_N, np.random.default_rng(rate), 20_000)
    found, stream = streamed(small, parts, sample_rate=rate)
    assert_same(found, small.explain_file(tmp_path / "a.wav"))
    assert stream.seconds == pytest.approx(7, abs=0.01) and stream.sample_rate == rate


# -- delay, provisional instances, memory


def test_instance_is_final_after_the_stated_delay(small):
    stream, step = StreamingClassifier(small), small.interface.step_samples
    assert stream.delay_seconds == pytest.approx(3.616)
    wav_N, last = noise(120_000), {}
    for first in range(0, len(wav_N), 1000):
        for one in stream.push(wav_N[first : first + 1000]):
            if one.final:
                waited = stream.seconds - one.end
                assert stream.delay_seconds - step / 16000 < waited <= stream.delay_seconds + 1000 / 16000
            last[one.position] = one.final
    assert stream.final_seconds == pytest.approx(small.interface.instance_times(sum(last.values()), 120_000)[-1, 1])


def test_provisional_instances_are_those_of_a_recording_that_ends_now(small):
    stream, wav_N = StreamingClassifier(small), noise(100_000)
    stream.push(wav_N[:90_000])
    found = stream.push(wav_N[90_000:])
    provisional, scene = [one for one in found if not one.final], small.explain_waveform(wav_N)
    assert len(provisional) == small.interface.context_instances and found[-1] == provisional[-1]
    expected = scene.instances.confidences_IC[-len(provisional) :]
    np.testing.assert_allclose([list(one.scores.values()) for one in provisional], expected, atol=1e-5)
    assert provisional[-1].end == scene.end


def test_nothing_is_said_before_another_instance_is_complete(small):
    stream, wav_N = StreamingClassifier(small), noise(20_000)
    assert stream.push(wav_N[:7000]) == [] and stream.scene() is None
    assert [one.final for one in stream.push(wav_N[7000:9000])] == [False]
    assert stream.push(wav_N[9000:9500]) == [] and stream.push([]) == [] and stream.push(np.zeros((0, 1))) == []


def test_memory_does_not_grow(small):
    stream, sizes = StreamingClassifier(small), []
    bound = 4 * (2 * small.interface.context_instances + 49) * small.interface.step_samples
    for seed in range(4):
        stream.push(noise(1_000_000, seed))  # longer than all that is kept
        sizes.append(stream._recent.num_bytes)
        assert len(stream._kept.logits_IC) <= 21 and stream._kept.logits_IC.base is not None
        assert stream._kept.logits_IC.base.size <= 200 * len(small.interface.labels)
    assert max(sizes) <= bound and sizes[1:] == sizes[:-1]
    assert stream._recent.end - stream._recent.begin <= 16 * small.interface.step_samples


def test_short_chunks_need_little_memory(small):
    stream = StreamingClassifier(small)
    for first in range(0, 500_000, 16_000):
        stream.push(noise(16_000, first))
        assert stream._recent.num_bytes <= 2 * 4 * 18 * small.interface.step_samples  # it doubles


# -- the sliding window


def test_scene_of_the_window_is_that_of_its_instances(classifier):
    wav_N = noise(400_000)
    stream = StreamingClassifier(classifier, window_seconds=4.0)
    for part in np.array_split(wav_N, 25):
        stream.push(part)
    stream.finish()
    scene, whole = stream.scene(), classifier.explain_waveform(wav_N)
    count = len(scene.instances)
    assert count == 8 and scene.end == whole.end and 3.5 < scene.end - scene.start < 4.5
    expected = whole.instances.confidences_IC[-count:]
    np.testing.assert_allclose(scene.instances.confidences_IC, expected, atol=1e-5)
    assert list(scene.scores["smi"].values()) == pytest.approx(expected.max(0).tolist(), abs=1e-5)
    votes = np.bincount(expected.argmax(1), minlength=expected.shape[1]) / count
    assert list(scene.scores["cmi"].values()) == pytest.approx(votes.tolist(), abs=1e-5)
    assert stream.scene("cmi").assumption == "cmi"
    with pytest.raises(ValueError, match="smi, cmi, bag"):
        stream.scene("tmi")
    with pytest.raises(ValueError, match="whole recording"):
        scene.timeline()


def test_window_longer_than_the_stream_judges_as_the_whole(classifier):
    wav_N = noise(150_000)
    _, stream = streamed(classifier, np.array_split(wav_N, 10), window_seconds=60)
    scene, whole = stream.scene(), classifier.explain_waveform(wav_N)
    assert (scene.label, scene.familiar) == (whole.label, whole.familiar) and scene.familiar is not None
    assert scene.unfamiliarity == pytest.approx(whole.unfamiliarity, rel=1e-3)
    assert scene.probability == (None if whole.probability is None else pytest.approx(whole.probability, abs=1e-4))


def test_scene_without_provisional_instances_ends_where_instances_are_final(small):
    stream = StreamingClassifier(small, window_seconds=0.01)
    stream.push(noise(50_000))
    assert stream.scene(provisional=False) is None and len(stream.scene().instances) == 1
    stream.push(noise(50_000))
    assert stream.scene(provisional=False).end == stream.final_seconds < stream.scene().end


# -- silence, refusals, the end


def test_silence_within_a_stream_is_judged_as_within_a_recording(small):
    wav_N = noise(160_000)
    wav_N[:60_000] = wav_N[100_000:130_000] = 0
    stream = StreamingClassifier(small)
    found = stream.push(wav_N[:60_000])
    assert found and stream.is_silent and stream.scene() is None
    found = [one for one in found + stream.push(wav_N[60_000:]) if one.final] + stream.finish()
    assert_same(found, small.explain_waveform(wav_N))
    assert stream.scene() is not None and stream.silent_seconds == 60_000 / small.interface.sample_rate


@pytest.mark.parametrize(
    "wav_N, words",
    [
        ([], "too short: 0.000 s, at least 0.448 s needed"),
        (noise(7167), "too short: 0.447937 s, at least 0.448000 s needed"),
        (np.zeros(100_000), "silent (every sample is zero)"),
    ],
)
def test_stream_without_anything_to_judge_is_refused_at_its_end(small, wav_N, words):
    stream = StreamingClassifier(small)
    stream.push(wav_N)
    with pytest.raises(AudioError) as caught:
        stream.finish()
    assert str(caught.value) == f"the stream: {words}"


@pytest.mark.parametrize("rate", [None, 44100])
@pytest.mark.parametrize(
    "value, words",
    [
        (np.nan, "holds NaN or infinite"),
        (np.uint32(0x7F800001).view(np.float32), "holds NaN"),  # one that NumPy warns of
        (-np.inf, "infinite"),
        (1e20, "samples up"),
    ],
)
def test_bad_samples_are_refused_and_the_stream_goes_on(small, rate, value, words):
    wav_N = noise(120_000)
    stream = StreamingClassifier(small, sample_rate=rate)
    found = stream.push(wav_N[:50_000])
    with pytest.raises(AudioError, match=f"^the stream: .*{words}") as caught:
        stream.push(np.where(np.arange(9) == 3, value, 0.1))
    assert "\n" not in str(caught.value)
    found = [one for one in found + stream.push(wav_N[50_000:]) if one.final] + stream.finish()
    assert_same(found, small.explain_waveform(wav_N, sample_rate=rate))


@pytest.mark.parametrize("samples", [np.ones(5, np.int16), np.zeros((2, 5)), "sound", 0.5])
def test_other_samples_are_refused(small, samples):
    with pytest.raises(ArgumentError, match="^samples must be"):
        StreamingClassifier(small).push(samples)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"window_seconds": 0}, "window_seconds must be a number above 0"),
        ({"window_seconds": float("nan")}, "window_seconds must be a number"),
        ({"window_seconds": 3601}, "window_seconds must be at most 3600"),
        ({"sample_rate": 10}, "sample_rate must be 1000 to 768000 Hz"),
        ({"sample_rate": 16000.5}, "sample_rate must be a whole number"),
    ],
)
def test_illegal_settings_are_refused(small, settings, words):
    with pytest.raises(ArgumentError, match=words):
        StreamingClassifier(small, **settings)


def test_finished_stream_takes_nothing_more(small):
    _, stream = streamed(small, [noise(20_000)])
    for call in (stream.finish, lambda: stream.push(noise(5))):
        with pytest.raises(ArgumentError, match="the stream is finished"):
            call()


def test_scores_that_are_not_finite_are_refused():
    torch.manual_seed(0)
    model = MILClassifier(LogMel(n_mels=32), FUSE(channels=(4, 6, 8)), Head(3, 8)).eval()
    classifier = SceneClassifier(modules={"model": model}, hparams={"labels": LABELS})
    model.detector.bias.data.fill_(float("nan"))
    with pytest.raises(UserError, match="^the stream: the model's scores are not finite"):
        StreamingClassifier(classifier).push(noise(20_000))


def test_pytorch_is_not_imported():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
