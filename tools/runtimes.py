"""Cold start, latency, memory and size of every runtime side by side: python tools/runtimes.py MODEL [--rounds 5]

MODEL is a model folder or the name of a shipped model. Every measurement has a process of its own, and the runtimes
take turns, because the machine may be shared: medians over the rounds, and ratios to PyTorch taken within a round.

* cold start: wall-clock seconds from the start of Python to the printed result of one ten-second file;
* latency: milliseconds of processor time, and of wall-clock time, per ten-second file after that, decoding included;
* memory: largest resident set of the process (MiB);
* size: the file that the runtime loads (kB).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNTIMES = ("torch", "onnx", "onnx fp16", "onnx int8")
SECONDS, FILES = 10.0, 20


# -- the process of a contestant: only what its runtime needs is imported


def contest(runtime, source, audio):
    """Load the model, explain the files, and print what was measured as JSON."""
    files = sorted(Path(audio).glob("*.wav"))
    if runtime == "torch":
        from mil_asc.inference.scene_classifier import SceneClassifier

        classifier = SceneClassifier.from_hparams(source=source, run_opts={"device": "cpu"})
    else:
        from mil_asc.inference.onnx import OnnxSceneClassifier

        classifier = OnnxSceneClassifier.from_hparams(source=source, threads=int(os.environ["OMP_NUM_THREADS"]))
    first = str(classifier.explain_file(files[0]))
    begun = float(os.environ["MIL_ASC_BEGUN"])
    cold = time.time() - begun
    wall, cpu = time.perf_counter(), time.process_time()
    for path in files:
        classifier.explain_file(path)
    found = {"cold start, s": cold, "CPU ms a file": 1000 * (time.process_time() - cpu) / len(files)}
    found |= {"wall ms a file": 1000 * (time.perf_counter() - wall) / len(files)}
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
    found["memory, MiB"] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps(found | {"scene": first}))


# -- the program


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("model", help="a model folder, or the name of a shipped model")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of every runtime (default 5)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each runtime (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all measurements go")
    options = parser.parse_args(arguments)
    for name in ("rounds", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be a whole number from 1 up")
    return options


def write_noise(folder, seconds=SECONDS, files=FILES):
    """Stereo noise at 48 kHz, 24 bit, as field recordings are."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(files):
        wav_N2 = 0.05 * rng.normal(size=(round(48000 * seconds), 2))
        soundfile.write(folder / f"{number:02}.wav", wav_N2, 48000, subtype="PCM_24")


def sources(model, folder, audio):
    """Runtime -> what it loads, and runtime -> bytes of that."""
    from mil_asc.audio.decode import decode
    from mil_asc.packaging.graph_file import read_graph
    from mil_asc.packaging.half import to_fp16
    from mil_asc.packaging.int8 import to_int8
    from mil_asc.packaging.layout import WEIGHTS
    from mil_asc.packaging.sources import resolve_source

    place = resolve_source(model)
    graph = read_graph(place)
    paths = {"torch": place, "onnx": place, "onnx fp16": folder / "fp16.onnx", "onnx int8": folder / "int8.onnx"}
    paths["onnx fp16"].write_bytes(to_fp16(graph.data))
    # ranges of noise are wrong for scenes, and as fast
    paths["onnx int8"].write_bytes(to_int8(graph.data, [decode(path) for path in sorted(audio.iterdir())]).data)
    sizes = {name: path.stat().st_size for name, path in paths.items() if path.is_file()}
    return paths, sizes | {"torch": (place / WEIGHTS).stat().st_size, "onnx": len(graph.data)}


def turn(runtime, source, audio, threads):
    """One measurement, in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MIL_ASC_BEGUN": repr(time.time())}
    command = [sys.executable, __file__, "--contestant", runtime, str(source), str(audio)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        from mil_asc.errors import UserError

        raise UserError(f"{runtime} ended with status {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments=None):
    """Measure and print; returns the exit status."""
    from mil_asc.results import markdown
    from mil_asc.runtime import hardware

    options = parse(arguments)
    rounds = []
    with tempfile.TemporaryDirectory(prefix="mil_asc_runtimes_") as folder:
        audio = Path(folder, "audio")
        audio.mkdir()
        write_noise(audio)
        paths, sizes = sources(options.model, Path(folder), audio)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            rounds.append({name: turn(name, paths[name], audio, options.threads) for name in RUNTIMES})
    measures = [key for key in rounds[0]["torch"] if key != "scene"]
    lines = []
    for name in RUNTIMES:
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
