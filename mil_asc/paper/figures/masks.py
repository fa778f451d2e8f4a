"""Figure 7: log-mel spectrograms masked by the confidence of their instances."""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import torch

from mil_asc.errors import UserError
from mil_asc.paper.figures.comparable import choose_extractor, with_instance_loss
from mil_asc.paper.figures.experiments import Drawing
from mil_asc.results import plots
from mil_asc.results.markdown import table

HEIGHT, GAP, TOP = 92, 20, 20
LONGEST_TITLE = 72
MOST_BINS = 128
"""Rows of a painted spectrogram, about its height on the screen: more would make the file larger and show no more."""


@dataclass(frozen=True)
class Masked:
    """A clip as one run scores it: ``logmel_FT`` (natural-log mel power), the confidence ``mask_T`` (0 to 1) in the
    clip's class that covers each frame, the step between frames (in seconds) and what the run decided.
    """

    run: object
    logmel_FT: np.ndarray
    mask_T: np.ndarray
    hop_seconds: float
    decision: str


def frame_confidence(confidence_I, times_I2, centre_T):
    """(T,) confidence of the instance that covers each frame.

    ``times_I2`` are the instances' starts and ends, ``centre_T`` the frames' centres, all in seconds. Frames after the
    last instance, fewer than one instance has, belong to none and are left out.
    """
    owner_T = np.searchsorted(times_I2[:, 1], centre_T)
    return confidence_I[owner_T[owner_T < len(confidence_I)]]


def choose_clips(without, trained, wanted=()):
    """Positions of the clips to show, each with the reason; ``wanted`` are paths.

    By default: of the clips that both runs classify correctly, the one that the run without instance loss is most
    confident of; and the clip whose mean confidence of the true class differs most between the runs.
    """
    if wanted:
        return [(_position(path, without.paths), "chosen") for path in dict.fromkeys(wanted)]
    low_B, high_B = (mean_true_confidence(run) for run in (without, trained))
    correct_B = np.all([run.decided_B == run.truth_B for run in (without, trained)], axis=0)
    chosen = []
    if correct_B.any():
        chosen.append((int(np.where(correct_B, low_B, -1).argmax()), "both are correct"))
    gap_B = np.abs(high_B - low_B)
    gap_B[[position for position, _ in chosen]] = -1
    if len(gap_B) > len(chosen):
        chosen.append((int(gap_B.argmax()), "the confidence differs most"))
    return chosen


def mean_true_confidence(run):
    """(clips,) confidence of the clip's class, averaged over its instances; 0 to 1."""
    return np.array([p_IC[:, c].mean() for p_IC, c in zip(run.confidences, run.truth_B)])


def draw(experiments, options):
    """One picture per clip: its log-mel spectrogram, and the same masked by each run."""
    chosen, extractor = choose_extractor(experiments, options.extractor, with_instance_loss)
    without, trained = (experiment.first for experiment in with_instance_loss(chosen))
    clips = choose_clips(without, trained, options.clips)
    for run in (without, trained):
        run.recordings(options.data_folder)  # checked before a model is loaded
    models = [(run, run.classifier(options.device).mods.model) for run in (without, trained)]
    pictures, rows = {}, []
    for k, (position, reason) in enumerate(clips, start=1):
        views = [_view(run, model, position, options) for run, model in models]
        pictures[f"figure_7_{k}.svg"] = plots.svg(paint, views, without.paths[position], _label(without, position))
        for view in views:
            confidence_I = view.run.confidences[position][:, view.run.truth_B[position]]
            positive = view.run.positives[position].mean()
            rows.append(
                [without.paths[position], _label(without, position), reason, view.run.experiment, view.decision]
                + [f"{value:.3f}" for value in (confidence_I.max(), confidence_I.mean(), positive)]
            )
    header = ["clip", "class", "why it is shown", "experiment", "decision"]
    header += ["strongest instance", "mean confidence", "positive instances"]
    return Drawing(
        "log-mel spectrograms masked by instance confidence",
        pictures,
        f"Each clip as it is, and with the brightness of every frame multiplied by the confidence that its instance "
        f"has in the clip's class: without instance loss ({without.experiment}, seed {without.seed}) and with it "
        f"({trained.experiment}, seed {trained.seed}). Bright moments support the class, dark ones do not. "
        f"{extractor}\n\n" + table(header, rows),
    )


def paint(figure, views, path, label):
    """The spectrogram, and below it one masked by each view, over a common time axis."""
    axes = plots.stacked_axes(figure, [HEIGHT] * (1 + len(views)), gap=GAP, top=TOP, bottom=32)
    first = views[0]
    _paint_image(axes[0], first, np.ones_like(first.mask_T), _shorten(f"{path} ({label})"))
    for lower, view in zip(axes[1:], views):
        kind = "with" if view.run.instance_loss else "without"
        title = f"{kind} instance loss ({view.run.experiment}): decided {view.decision}, "
        _paint_image(lower, view, view.mask_T, f"{title}mean confidence {view.mask_T.mean():.2f}")
    axes[-1].set_xlabel("time (s)", labelpad=2)


def _paint_image(axes, view, mask_T, title):
    from matplotlib import colormaps

    bins, frames = view.logmel_FT.shape
    image_FT3 = colormaps["magma"](brightness(view.logmel_FT))[..., :3] * mask_T[None, :, None]
    hop = view.hop_seconds
    extent = (-hop / 2, (frames - 0.5) * hop, -0.5, bins - 0.5)
    axes.imshow(image_FT3, extent=extent, origin="lower", aspect="auto", interpolation="none")
    axes.set_ylabel("mel bin", fontsize=9, labelpad=3)
    axes.set_yticks([0, bins // 2, bins - 1])
    axes.set_title(title, fontsize=9, loc="left", pad=3)


def brightness(logmel_FT):
    """(rows, T) brightness from 0 to 1 in ``plots.SHADES`` steps, of at most ``MOST_BINS`` rows: means of some bins."""
    step = -(-len(logmel_FT) // MOST_BINS)
    starts = np.arange(0, len(logmel_FT), step)
    mean_FT = np.add.reduceat(logmel_FT, starts) / np.diff([*starts, len(logmel_FT)])[:, None]
    low, high = np.percentile(mean_FT, (1, 99.8))
    bright_FT = np.clip((mean_FT - low) / max(high - low, 1e-6), 0, 1)
    return np.round(bright_FT * (plots.SHADES - 1)) / (plots.SHADES - 1)


def _shorten(title):
    return title if len(title) <= LONGEST_TITLE else "…" + title[1 - LONGEST_TITLE :]


def _view(run, model, position, options):
    wav_N = run.waveform(position, model.front_end.sample_rate, options.data_folder)
    front_end = model.spectrogram.to(options.device)
    with torch.no_grad():
        logmel_FT = front_end(wav_N.unsqueeze(0).to(options.device))[0].float().cpu().numpy()
    confidence_I = run.confidences[position][:, run.truth_B[position]]
    times_I2 = model.instance_times(len(wav_N))
    if len(times_I2) != len(confidence_I):
        raise UserError(
            f"{run.paths[position]} makes {len(times_I2)} instances and {run.folder} has {len(confidence_I)}: "
            "these are not the recordings that the run was evaluated on"
        )
    hop_seconds = front_end.hop_length / front_end.sample_rate
    mask_T = frame_confidence(confidence_I, times_I2, np.arange(logmel_FT.shape[1]) * hop_seconds)
    return Masked(
        run,
        logmel_FT[:, : len(mask_T)],
        mask_T,
        hop_seconds,
        run.labels[run.decided_B[position]],
    )


def _label(run, position):
    return run.labels[run.truth_B[position]]


def _position(path, paths):
    if path not in paths:
        near = get_close_matches(path, paths, n=1, cutoff=0.0)
        raise UserError(f"--clips: {path} is not in the evaluation set; did you mean {near[0]}?")
    return paths.index(path)
