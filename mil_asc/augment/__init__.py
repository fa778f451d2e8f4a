"""Augmentation: training clips changed at random, in whole batches on the device; evaluation never sees it."""
