"""An example of your own Brain; the training block of ``hparams/fuse_gain_pnl.yaml`` names it."""

import speechbrain as sb

from mil_asc.training.brain import MILBrain


class GainBrain(MILBrain):
    """Trains on clips of random level: a gain from -6 to 6 dB is drawn for every clip of a batch."""

    def compute_forward(self, batch, stage):
        """``Bags`` of a ``ClipBatch``; the level is changed in training only."""
        if stage != sb.Stage.TRAIN:
            return super().compute_forward(batch, stage)
        wav_BN = batch.waveforms()
        gain_db_B1 = wav_BN.new_empty(len(wav_BN), 1).uniform_(-6.0, 6.0)
        return self.modules.model(wav_BN * 10 ** (gain_db_B1 / 20), batch.length_B)
