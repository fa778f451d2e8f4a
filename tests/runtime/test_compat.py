"""torchaudio works with a torch that its compiled part does not match."""

import subprocess
import sys

MISMATCH = """
import sys, torch
def refuse(path):
    raise OSError("libc10_cuda.so: cannot open shared object file")
torch.ops.load_library = refuse
from mil_asc.runtime.compat import torchaudio
from mil_asc.model.features import LogMel
import speechbrain
from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE
print(LogMel()(torch.randn(1, 16000)).shape, _IS_TORCHAUDIO_EXT_AVAILABLE)
"""


def test_torchaudio_works_without_its_compiled_part():
    done = subprocess.run([sys.executable, "-c", MISMATCH], capture_output=True, text=True)
    assert done.stdout.strip() == "torch.Size([1, 256, 32]) False", done.stderr
