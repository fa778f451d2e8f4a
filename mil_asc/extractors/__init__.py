"""Feature-map extractors: (B, 1, F, T) log-mel spectrogram in, (B, channels, F', T') feature map out.

Every extractor has ``out_channels`` and ``out_height(n_mels)`` for the instance vector generator that
stands behind it, ``time_reduction``, the number of spectrogram frames that make one column, and
``context_frames``, how far beyond its own frames a column hears on either side.
"""
