"""A mistake on the command line is reported before PyTorch and SpeechBrain are imported, which takes seconds."""

import subprocess
import sys

import pytest
import tiny

CHECK = """
import sys
from mil_asc.training.launch import main
try:
    main()
finally:
    print(sorted({"torch", "speechbrain", "torchaudio", "numpy"} & sys.modules.keys()))
"""
RECIPE = str(tiny.ROOT / "recipes/SynthScenes/hparams/fuse_pnl.yaml")


@pytest.mark.parametrize(
    "words, status, part",
    [
        (["--lr=0.1"], 1, "error: unknown option --lr; did you mean --learning_rate?"),
        (["--model=bc_resnett"], 1, "error: --model: there is no block 'bc_resnett'"),
        (["--precision=fp8"], 1, "error: --precision must be one of"),
        (["--compile"], 1, "error: --compile does not work here"),
        (["--seed=x"], 1, "seed must be a whole number"),
        (["--help"], 0, ""),
    ],
)
def test_nothing_large_is_imported_before_the_command_line_is_checked(words, status, part):
    done = subprocess.run([sys.executable, "-c", CHECK, RECIPE, *words], capture_output=True, text=True)
    assert done.returncode == status and part in done.stderr and done.stderr.count("\n") == status
    assert done.stdout.splitlines()[-1] == "[]"
