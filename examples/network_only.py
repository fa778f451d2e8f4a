"""A network without its front end: python examples/network_only.py network.onnx street.wav

`mil-asc export MODEL --to network.onnx --network-only` leaves the spectrogram to the device. This computes it with
NumPy from what the file says of itself, window after window, and decides from all instances. Needs numpy, soundfile and
onnxruntime alone.
"""

import functools
import json
import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before it is imported: its usage data go to its makers otherwise

import numpy as np
import onnxruntime
import soundfile

FACTS = ("labels", "sample_rate", "frames", "n_fft", "hop_length", "n_mels", "log_floor")


@functools.cache
def mel_filters(rate, n_fft, n_mels):
    """(n_mels, n_fft // 2 + 1) triangles between points at equal steps of the HTK mel scale, of height 1."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), n_mels + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    low, middle, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    return np.maximum(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0)


def log_mel(wav, facts):
    """(n_mels, frames) natural log of mel power: periodic Hann window, centred frames, edges reflected."""
    size, hop = facts["n_fft"], facts["hop_length"]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wav, size // 2, mode="reflect"), size)[::hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    mel = mel_filters(facts["sample_rate"], size, facts["n_mels"]) @ power.T
    return np.log(np.maximum(mel, facts["log_floor"])).astype(np.float32)


def main(network, path):
    """Print the scene under SMI (the most confident instance) and under CMI (most instances)."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(found[name]) for name in FACTS}
    wav, rate = soundfile.read(path, always_2d=True)
    samples = (facts["frames"] - 1) * facts["hop_length"]
    if rate != facts["sample_rate"] or len(wav) < samples:
        sys.exit(f"{path}: needs {facts['sample_rate']} Hz and {samples} samples or more, got {rate} Hz, {len(wav)}")
    logits = []
    for start in range(0, len(wav) - samples + 1, samples):
        spectrogram = log_mel(wav[start : start + samples].mean(1), facts)
        logits.append(session.run(["logits"], {"logmel": spectrogram[None]})[0][0])
    logits = np.concatenate(logits)
    smi, cmi = logits.max(0).argmax(), np.bincount(logits.argmax(1), minlength=logits.shape[1]).argmax()
    print(f"{facts['labels'][smi]} under SMI, {facts['labels'][cmi]} under CMI; {len(logits)} instances")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
