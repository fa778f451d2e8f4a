"""Speed and memory beside a plain baseline: preparing, feeding, augmentation, a training step, one clip's latency.

    python tools/benchmark.py [--device cpu|cuda] [--steps] [--json FILE]
        [--only preparing,feeding,augmentation,training,latency]

The machine may be shared, so contestants take turns, ratios are taken within a turn, and medians are printed.
Every contestant has a process of its own, because an allocator is chosen when a process starts. The "plain"
loop is the same model as PyTorch gives it: NCHW, float32, no autocast, the system's allocator. "ours" is what
``train.py`` does: channels_last, bf16 autocast where the device has it, an allocator that keeps its pages. A
clip's latency is float32 on both sides, as ``SceneClassifier`` computes.
"""

import sys

from bench.command import main

from mil_asc.runtime.program import run_program

if __name__ == "__main__":
    sys.exit(run_program(main))
