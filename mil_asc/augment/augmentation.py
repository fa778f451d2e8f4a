"""A complete augmentation, as the blocks of ``hparams/augment/`` describe it."""

from contextlib import contextmanager

from mil_asc.augment.mixup import TrainingBatch
from mil_asc.checks import check_number
from mil_asc.errors import UserError


class Augmentation:
    """What happens to a batch of training clips, in this order: waveforms, mixup, spectrograms.

    All numbers are drawn by PyTorch's generator of the device, whose state is part of every checkpoint: a resumed run
    goes on with the same numbers. Evaluation and the estimate of batch-norm statistics use the clips as they are.

    Arguments
    ---------
    waveform : sequence of WaveformPiece
        Applied in their order; those that are not active are left out.
    mixup : Mixup, optional
    spectrogram : sequence of SpectrogramPiece
        As ``waveform``; they need a model with a log-mel front end.
    stretch : Stretch, optional
        Applied before ``spectrogram``. It is no part of that list, so that the list of earlier runs, which resume, is
        as it was.
    ema_decay : float
        Of the moving average of the weights that is evaluated and saved, see
        ``mil_asc.training.weight_average.WeightAverage`` (0 to below 1); 0: off.

    Example
    -------
    >>> from mil_asc.augment.waveform_pieces import RandomGain
    >>> Augmentation([RandomGain(6.0), RandomGain(0.0)]).active
    ['RandomGain']
    """

    def __init__(self, waveform=(), mixup=None, spectrogram=(), ema_decay=0.0, stretch=None):
        check_number("ema_decay", ema_decay, least=0, below=1)
        self.waveform = [piece for piece in waveform if piece.active]
        self.mixup = mixup if mixup is not None and mixup.active else None
        first = [] if stretch is None else [stretch]
        self.spectrogram = [piece for piece in (*first, *spectrogram) if piece.active]
        self.ema_decay = ema_decay

    @property
    def active(self):
        """Names of the classes of all active pieces."""
        mixup = [] if self.mixup is None else [self.mixup]
        return [type(piece).__name__ for piece in [*self.waveform, *mixup, *self.spectrogram]]

    @property
    def moves_instances(self):
        """Whether some piece changes at which frames a moment of the waveform is."""
        return any(piece.moves_instances for piece in self.spectrogram)

    @property
    def files_sha256(self):
        """SHA-256 of all files that pieces read, to be compared when a run goes on; empty where they read none."""
        return "+".join(filter(None, (piece.files_sha256 for piece in self.waveform)))

    def prepare(self, network, device):
        """Get ready for a model (``MILClassifier``) and a device.

        Raises
        ------
        UserError
            A piece does not fit the model.
        """
        if self.spectrogram and network.front_end.output != "logmel":
            name = type(self.spectrogram[0]).__name__
            raise UserError(f"augment: {name} changes log-mel spectrograms, and this model takes the waveform")
        for piece in self.waveform:
            piece.prepare(network, device)

    def __call__(self, batch):
        """A ``ClipBatch`` on the device -> a ``TrainingBatch`` with changed waveforms."""
        wav_BN, length_B = batch.waveforms(), batch.length_B
        for piece in self.waveform:
            wav_BN, length_B = piece(wav_BN, length_B)
        made = TrainingBatch(wav_BN, length_B, batch.label_B, batch.index_B)
        return made if self.mixup is None else self.mixup(made)

    @contextmanager
    def on_spectrograms(self, network):
        """Within this context, the spectrograms of the model are changed before its input normalization."""
        hooks = [
            network.input_norm.register_forward_pre_hook(lambda _, inputs, piece=piece: (piece(inputs[0]),))
            for piece in self.spectrogram
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
