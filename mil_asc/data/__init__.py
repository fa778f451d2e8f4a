"""From a folder of recordings to batches: manifest, decoder, waveform cache, data sets."""
