"""A recipe's YAML file at debug size: what a test puts behind it on the command line."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY_MODEL = [
    "--model.channels=[4, 4, 6, 8]",
    "--model.num_blocks=1",
    "--model.features.n_mels=16",
    "--model.instance_dim=8",
]


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
        *TINY_MODEL,
        *more,
    ]
