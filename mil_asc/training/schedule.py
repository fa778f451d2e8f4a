"""Learning-rate schedules as functions of training progress; they have no state that a resume could lose."""

import math

from mil_asc.checks import check_count, check_number


class WarmupCosine:
    """Linear warm-up, then cosine annealing to zero, per optimizer step (paper, section 4.2).

    Arguments
    ---------
    number_of_epochs : int
        Epochs of the complete training.
    warmup_epochs : int
        Epochs of linear warm-up at the start.

    Example
    -------
    >>> factor = WarmupCosine(number_of_epochs=100, warmup_epochs=5)
    >>> factor(0.0), factor(2.5), factor(5.0), round(factor(52.5), 3), factor(100.0)
    (0.0, 0.5, 1.0, 0.5, 0.0)
    """

    def __init__(self, number_of_epochs, warmup_epochs=5):
        check_count("number_of_epochs", number_of_epochs)
        check_number("warmup_epochs", warmup_epochs, least=0)
        self.number_of_epochs = number_of_epochs
        self.warmup_epochs = min(warmup_epochs, number_of_epochs)

    def __call__(self, epochs_done):
        """Factor of the learning rate (0 to 1) after ``epochs_done`` epochs, which may be a fraction."""
        if epochs_done < self.warmup_epochs:
            return epochs_done / self.warmup_epochs
        rest = max(self.number_of_epochs - self.warmup_epochs, 1)
        return 0.5 * (1 + math.cos(math.pi * min((epochs_done - self.warmup_epochs) / rest, 1.0)))
