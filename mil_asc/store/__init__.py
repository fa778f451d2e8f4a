"""Waveforms decoded once and read many times."""
