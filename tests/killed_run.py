"""A training that kills itself after a number of steps: a program for ``python -c`` with that number first."""

KILLED_RUN = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from mil_asc.training.brain import MILBrain
from mil_asc.training.entry import main

steps, last_step = 0, int(sys.argv[1])
fit_batch = MILBrain.fit_batch

def fit_and_die(self, batch):
    global steps
    steps += 1
    if steps > last_step:
        os.kill(os.getpid(), signal.SIGKILL)
    return fit_batch(self, batch)

MILBrain.fit_batch = fit_and_die
main(sys.argv[2:])
"""
