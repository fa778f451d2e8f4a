"""A recipe's YAML file at debug size: what a test puts behind it on the command line."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY_MODELS = {
    "fuse": ["--channels=[4, 4, 6, 8]", "--num_blocks=1"],
    "vgg_like": ["--channels=[4, 6, 8]"],
    "resnet": ["--channels=[4, 4, 6, 8]", "--blocks=[1, 1, 1, 1]"],
    "bc_resnet": ["--c=4", "--bands=2"],
    "cp_mobile": ["--base_channels=8"],
    "cp_resnet": ["--base_channels=4"],
    "two_path_resnet": ["--filters=4"],
}
"""Sizes of every extractor, by the beginning of an experiment's name."""


def tiny_model(yaml_file):
    """Options that make the model of an experiment tiny."""
    (extractor,) = [name for name in TINY_MODELS if Path(yaml_file).stem.startswith(name)]
    return [*TINY_MODELS[extractor], "--n_mels=16", "--instance_dim=8"]


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
        *tiny_model(yaml_file),
        *more,
    ]
