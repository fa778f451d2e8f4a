"""Warnings about a training: settings that cannot be meant, and losses from which nothing is learnt."""

LARGE_LOSS = 1e6
"""A loss above this is warned of; those of a training that works are below 100."""


def schedule_warnings(training):
    """Warnings about the schedule of a training block (its values by name)."""
    epochs, warmup = training["number_of_epochs"], training.get("warmup_epochs", 0)  # a custom block may have none
    if warmup <= epochs:
        return []
    return [
        f"the warm-up ({warmup:g} epochs) is longer than the training ({epochs}): the learning rate never reaches "
        "learning_rate; set --warmup_epochs"
    ]


def loss_warnings(history):
    """Warnings about the losses of an epoch's record each, as ``RunState.history`` has them."""
    losses = {record["epoch"]: record.get("largest_loss", 0.0) for record in history}  # version 0.3 kept none
    epochs = [epoch for epoch, loss in losses.items() if loss > LARGE_LOSS]
    if not epochs:
        return []
    largest = max(losses.values())
    return [
        f"the loss reached {largest:.1e} (first above {LARGE_LOSS:.0e} in epoch {epochs[0]}): the training diverged; "
        "lower the learning rate"
    ]
