"""A calibration whose numbers are known by hand."""

import numpy as np

from mil_asc.packaging.familiarity import Calibration, RuleCalibration


def small(**changes):
    """A calibration of 2 directions of vectors of 3 dimensions: traits are known by hand."""
    rule = RuleCalibration(slope=1.0, intercept=0.0, accuracy=0.9, error_before=0.1, error_after=0.02)
    values = {
        "rules": {"smi": rule, "cmi": rule, "bag": rule},
        "projection": np.float32([[1, 0], [0, 1], [0, 0]]),
        "offset": np.float32([[1, 0]]),
        "centres": np.float32([[0, 0, 0, 0], [100, 0, 0, 0]]),
        "whitening": np.eye(4, dtype=np.float32),
        "counts": [2, 10],
        "scales": [2.0, 1.0],
        "shares": [0.0005, 0.01, 0.2],
        "thresholds": [5.0, 2.0, 1.0],
        "clips": 500,
        "shortest": 10.0,
        "longest": 10.0,
    }
    return Calibration(**values | changes)


def of_dimension(dimension):
    """The text of such a calibration for vectors of another dimension."""
    return small(projection=np.eye(dimension, 2, dtype=np.float32)).to_json()
