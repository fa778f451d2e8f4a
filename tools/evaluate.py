"""Evaluate a trained run on other data: python tools/evaluate.py RUN --data_folder DIR --output_folder OUT"""

import sys

from mil_asc.training.evaluate_run import main

if __name__ == "__main__":
    sys.exit(main())
