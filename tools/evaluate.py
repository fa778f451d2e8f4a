"""Evaluate a trained run on other data: python tools/evaluate.py RUN --data_folder DIR --output_folder OUT"""

import sys

from mil_asc.runtime.program import run_program
from mil_asc.training.launch import calm_progress_bars

if __name__ == "__main__":
    calm_progress_bars()  # before tqdm is imported
    from mil_asc.training.evaluate_run import main

    sys.exit(run_program(main))
