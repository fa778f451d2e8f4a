"""A recipe's YAML file at debug size: what a test puts behind it on the command line."""

from pathlib import Path

from mil_asc.model.extractors import registered_extractors
from mil_asc.model.features import LogMel, LogMelDeltas, Waveform

ROOT = Path(__file__).parent.parent


def extractor_of(yaml_file):
    """Name of the extractor of an experiment: the longest that its file's name begins with."""
    fitting = [name for name in registered_extractors() if Path(yaml_file).stem.startswith(name)]
    return max(fitting, key=len)


def front_end_of(extractor, **settings):
    """The front end that an extractor takes: the waveform, or log-mel with these settings in one or three channels."""
    if extractor.input == "waveform":
        return Waveform()
    return {1: LogMel, 3: LogMelDeltas}[extractor.in_channels](**settings)


def tiny_model(extractor):
    """Options that make the model of an extractor tiny."""
    cls = registered_extractors()[extractor]
    options = [*(f"--{name}={value}" for name, value in cls.tiny.items()), "--instance_dim=8"]
    if cls.input == "waveform":
        return options
    return [*options, f"--n_mels={16 if cls(**cls.tiny).out_height(16) else 32}"]


def tiny_run(yaml_file, data_folder, output_folder, *more):
    """The arguments of a tiny training on the CPU in float32."""
    return [
        str(ROOT / yaml_file),
        f"--data_folder={data_folder}",
        f"--output_folder={output_folder}",
        f"--cache_folder={Path(output_folder).parent / 'waveforms'}",
        "--device=cpu",
        "--precision=fp32",
        "--noprogressbar",
        "--batch_size=4",
        *tiny_model(extractor_of(yaml_file)),
        *more,
    ]
