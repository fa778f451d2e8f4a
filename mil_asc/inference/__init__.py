"""Classify recordings with a trained model."""
