"""Cold start, latency, memory and size of every runtime side by side: python tools/runtimes.py MODEL [--rounds 5]

MODEL is a model folder or the name of a shipped model. Every measurement has a process of its own, and the runtimes
take turns, because the machine may be shared: medians over the rounds, and ratios to PyTorch taken within a round.

* cold start: wall-clock seconds from the start of Python to the result of one file of ten seconds (--seconds);
* latency: milliseconds of processor time, and of wall-clock time, per file after that, decoding included;
* memory: largest resident set of the process (MiB);
* size: the file that the runtime loads (kB).

"network only" is the file of `mil-asc export --network-only` for one window of that length. What its caller does is
measured with it: decoding as in the other rows, the spectrogram of examples/network_only.py (NumPy), labels under SMI
and CMI. The others also give moments, probabilities and the test for foreign sound.
"""

import argparse
import json
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = 20


# -- the process of a contestant: only what its runtime needs is imported


def contest(runtime, source, audio):
    """Load the model, explain the files, and print what was measured as JSON."""
    files = sorted(Path(audio).glob("*.wav"))
    explain = CONTESTANTS[runtime](source, int(os.environ["OMP_NUM_THREADS"]))
    first = explain(files[0])
    begun = float(os.environ["MIL_ASC_BEGUN"])
    cold = time.time() - begun
    wall, cpu = time.perf_counter(), time.process_time()
    for path in files:
        explain(path)
    found = {"cold start, s": cold, "CPU ms a file": 1000 * (time.process_time() - cpu) / len(files)}
    found |= {"wall ms a file": 1000 * (time.perf_counter() - wall) / len(files)}
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
    found["memory, MiB"] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps(found | {"scene": first}))


def with_torch(source, threads):
    """Path -> scene as text, with PyTorch, which reads OMP_NUM_THREADS itself."""
    from mil_asc.inference.scene_classifier import SceneClassifier

    classifier = SceneClassifier.from_hparams(source=source, run_opts={"device": "cpu"})
    return lambda path: str(classifier.explain_file(path))


def with_onnx(source, threads):
    """Path -> scene as text, with ONNX Runtime."""
    from mil_asc.inference.onnx import OnnxSceneClassifier

    classifier = OnnxSceneClassifier.from_hparams(source=source, threads=threads)
    return lambda path: str(classifier.explain_file(path))


def with_network_only(source, threads):
    """Path -> labels under SMI and CMI, with the network in ONNX Runtime and the rest as a caller computes it."""
    from mil_asc.audio.decode import decode  # mil_asc first: it keeps ONNX Runtime from sending usage data

    example = runpy.run_path(str(ROOT / "examples/network_only.py"))
    np, onnxruntime = example["np"], example["onnxruntime"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(found[name]) for name in example["FACTS"]}
    samples = (facts["frames"] - 1) * facts["hop_length"]

    def explain(path):
        wav_N = decode(path, facts["sample_rate"])
        logmel_FT = example["log_mel"](wav_N[:samples], facts)
        (logits_IC,) = session.run(["logits"], {"logmel": logmel_FT[None]})[0]
        smi, cmi = logits_IC.max(0).argmax(), np.bincount(logits_IC.argmax(1)).argmax()
        return f"{facts['labels'][smi]} under SMI, {facts['labels'][cmi]} under CMI"

    return explain


CONTESTANTS = {
    "torch": with_torch,
    "onnx": with_onnx,
    "onnx fp16": with_onnx,
    "onnx int8": with_onnx,
    "network only": with_network_only,
}


# -- the program


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("model", help="a model folder, or the name of a shipped model")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of every runtime (default 5)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each runtime (default 1)")
    parser.add_argument("--seconds", type=int, default=10, metavar="S", help="length of a file, 1 to 600 (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all measurements go")
    options = parser.parse_args(arguments)
    for name in ("rounds", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be a whole number from 1 up")
    if not 1 <= options.seconds <= 600:
        parser.error("--seconds must be a whole number from 1 to 600")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: no such folder: {options.json.parent}")
    return options


def write_noise(folder, seconds, files=FILES):
    """Stereo noise at 48 kHz, 24 bit, as field recordings are."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(files):
        wav_N2 = 0.05 * rng.normal(size=(48000 * seconds, 2))
        soundfile.write(folder / f"{number:02}.wav", wav_N2, 48000, subtype="PCM_24")


def network_only(model, seconds):
    """The file without a front end by its runtime; nothing for a model of waveforms."""
    from mil_asc.packaging.network_only import export_network_only

    if model.network.front_end.output != "logmel":
        print("network only: left out, the model takes the waveform", file=sys.stderr)
        return {}
    return {"network only": export_network_only(model.network, list(model.config.labels), seconds).data}


def sources(place, graph, model, folder, seconds):
    """Runtime -> what it loads, and runtime -> bytes of that; the files are written to ``folder``."""
    from mil_asc.audio.decode import decode
    from mil_asc.packaging.half import to_fp16
    from mil_asc.packaging.int8 import to_int8
    from mil_asc.packaging.layout import WEIGHTS

    waves = [decode(path, model.network.front_end.sample_rate) for path in sorted((folder / "audio").iterdir())]
    # ranges of noise are wrong for scenes, and as fast
    written = {"onnx fp16": to_fp16(graph.data), "onnx int8": to_int8(graph.data, waves).data}
    written |= network_only(model, seconds)
    paths = {"torch": place, "onnx": place}
    for name, data in written.items():
        paths[name] = folder / f"{name.replace(' ', '_')}.onnx"
        paths[name].write_bytes(data)
    sizes = {"torch": (place / WEIGHTS).stat().st_size, "onnx": len(graph.data)}
    return paths, sizes | {name: len(data) for name, data in written.items()}


def turn(runtime, source, audio, threads):
    """One measurement, in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MIL_ASC_BEGUN": repr(time.time())}
    command = [sys.executable, __file__, "--contestant", runtime, str(source), str(audio)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        from mil_asc.errors import UserError

        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"{runtime} ended with status {done.returncode}: {said[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments=None):
    """Measure and print; returns the exit status."""
    from mil_asc.packaging.folder import load_model_folder
    from mil_asc.packaging.graph_file import read_graph
    from mil_asc.packaging.sources import resolve_source
    from mil_asc.results import markdown
    from mil_asc.runtime import hardware

    options = parse(arguments)
    place = resolve_source(options.model)
    model, graph, rounds = load_model_folder(place), read_graph(place), []
    with tempfile.TemporaryDirectory(prefix="mil_asc_runtimes_") as folder:
        audio = Path(folder, "audio")
        write_noise(audio, options.seconds)
        paths, sizes = sources(place, graph, model, Path(folder), options.seconds)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            rounds.append({name: turn(name, path, audio, options.threads) for name, path in paths.items()})
    measures = [key for key in rounds[0]["torch"] if key != "scene"]
    lines = []
    for name in paths:
        cells = [f"{sizes[name] / 1000:.0f}"]
        for key in measures:
            own = statistics.median(found[name][key] for found in rounds)
            ratio = statistics.median(found[name][key] / found["torch"][key] for found in rounds)
            cells.append(f"{own:.3g} ({ratio:.2f} x)")
        lines.append([name, *cells])
    print(f"{hardware.processor_name()}, {options.threads} thread(s), {options.rounds} rounds, ratios to PyTorch\n")
    print(markdown.table(["runtime", "size, kB", *measures], lines))
    if options.json:
        options.json.write_text(json.dumps({"rounds": rounds, "sizes": sizes}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contestant"]:
        contest(*sys.argv[2:])
    else:
        from mil_asc.runtime.program import run_program

        sys.exit(run_program(main))
