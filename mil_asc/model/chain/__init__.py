"""FUSE's chains of depthwise convolutions, batch norms and ReLUs in few passes over memory, on a CPU."""
