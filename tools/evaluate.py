"""Evaluate a trained model on other data: python tools/evaluate.py MODEL --data_folder DIR --output_folder OUT"""

import sys

from mil_asc.runtime.program import run_program
from mil_asc.training.launch import calm_progress_bars

if __name__ == "__main__":
    calm_progress_bars()  # before tqdm is imported
    from mil_asc.cli.evaluated_folder import open_folder
    from mil_asc.training.evaluate_run import main

    sys.exit(run_program(lambda: main(open_model=open_folder)))
