"""Figure 8: t-SNE of the vectors of positive and negative instances."""

from dataclasses import dataclass

import numpy as np
import torch

from mil_asc.errors import UserError
from mil_asc.paper.figures.comparable import choose_extractor
from mil_asc.paper.figures.experiments import CannotDraw, Drawing
from mil_asc.paper.figures.panels import shorten
from mil_asc.paper.figures.shown_classes import choose_scenes
from mil_asc.results import plots
from mil_asc.results.markdown import table

FEWEST_INSTANCES, CLIPS_PER_SCENE = 8, 60
SECONDS_PER_BATCH = 160
COLOURS = ("#009e73", "#d55e00", "#0072b2", "#e69f00", "#cc79a7", "#56b4e9", "#757575")
PANEL, GAP, LINE, PER_LEGEND_LINE = 144, 10, 14, 5


@dataclass(frozen=True)
class Points:
    """Instances of one run: vectors or places ``x_PK``, index of the scene ``scene_P``, and whether positive."""

    x_PK: np.ndarray
    scene_P: np.ndarray
    positive_P: np.ndarray


def choose_instances(run, scenes, seed=0, most=2000, clips_per_scene=CLIPS_PER_SCENE):
    """Instances to show, as {clip: sorted indices}, equally many of each scene where possible, at most ``most``.

    They are drawn at random, by ``seed``, from up to ``clips_per_scene`` clips of each scene.
    """
    rng = np.random.default_rng(seed)
    chosen = {}
    for scene in scenes:
        clips = np.flatnonzero(run.truth_B == run.labels.index(scene))
        clips = np.sort(rng.permutation(clips)[:clips_per_scene])
        pairs = [(int(b), i) for b in clips for i in range(len(run.logits[b]))]
        kept = rng.permutation(len(pairs))[: most // len(scenes)]
        for b, i in sorted(pairs[k] for k in kept):
            chosen.setdefault(b, []).append(i)
    return chosen


def instance_points(run, scenes, options):
    """``Points`` with the instance vectors (P, D) of chosen instances of the scenes' clips."""
    run.recordings(options.data_folder)  # checked before the model is loaded
    model = run.classifier(options.device).mods.model
    chosen = choose_instances(run, scenes, options.seed, options.most_instances)
    waves = {b: run.waveform(b, model.front_end.sample_rate, options.data_folder) for b in chosen}
    vectors = {}
    for clips in _batches(waves, SECONDS_PER_BATCH * model.front_end.sample_rate):
        with torch.no_grad():
            wav_BN = torch.stack([waves[b] for b in clips]).to(options.device)
            instance_BID = model.instance_vectors(wav_BN).float().cpu().numpy()
        vectors |= dict(zip(clips, instance_BID))
    for b, vector_ID in vectors.items():
        if len(vector_ID) != len(run.logits[b]):
            raise UserError(
                f"{run.paths[b]} makes {len(vector_ID)} instances and {run.folder} has {len(run.logits[b])}: "
                "these are not the recordings that the run was evaluated on"
            )
    return Points(
        np.concatenate([vectors[b][kept] for b, kept in chosen.items()]),
        np.concatenate([np.full(len(kept), scenes.index(run.labels[run.truth_B[b]])) for b, kept in chosen.items()]),
        np.concatenate([run.positives[b][kept] for b, kept in chosen.items()]),
    )


def _batches(waves, most_samples):
    """Clips of one length together, in batches of bounded size."""
    by_length = {}
    for b, wav_N in waves.items():
        by_length.setdefault(len(wav_N), []).append(b)
    for length, clips in by_length.items():
        size = max(1, most_samples // length)
        yield from (clips[i : i + size] for i in range(0, len(clips), size))


def embed(x_PK, seed=0):
    """(P, 2) places of vectors by t-SNE (perplexity 30, or less for few points), initialised by PCA."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(x_PK) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x_PK)


def draw(experiments, options):
    """One panel per experiment of one extractor."""
    experiments, extractor = choose_extractor(experiments, options.extractor)
    first = experiments[0].first
    scenes = choose_scenes(options.scenes, first.labels, first.truth_B)
    panels, rows = {}, []
    for run in (experiment.first for experiment in experiments):
        points = instance_points(run, scenes, options)
        if len(points.x_PK) < FEWEST_INSTANCES:
            raise CannotDraw(f"{len(points.x_PK)} instances of {', '.join(scenes)} are too few for t-SNE")
        panels[run.experiment] = Points(embed(points.x_PK, options.seed), points.scene_P, points.positive_P)
        for k, scene in enumerate(scenes):
            positive = points.positive_P[points.scene_P == k]
            rows.append([run.experiment, scene, len(positive), int(positive.sum()), f"{100 * positive.mean():.0f} %"])
    return Drawing(
        "t-SNE of positive and negative instances",
        {"figure_8.svg": plots.svg(paint, panels, scenes)},
        "Instance vectors of clips of the chosen classes, placed in the plane by t-SNE, which keeps neighbours close; "
        "its axes and large distances have no meaning. Filled: positive instances (their most confident class "
        f"is the clip's); rings: negative ones. One model per experiment (seeds "
        f"{', '.join(str(e.first.seed) for e in experiments)}), each laid out on its own. {extractor}\n\n"
        + table(["experiment", "class", "instances shown", "positive", "share"], rows),
    )


def paint(figure, panels, scenes, per_line=3):
    """``panels`` maps an experiment to its ``Points`` in the plane."""
    from matplotlib.lines import Line2D

    lines = -(-len(panels) // per_line)
    per_line = min(per_line, len(panels))
    legend = LINE * -(-(len(scenes) + 2) // PER_LEGEND_LINE) + 6
    height = lines * (PANEL + 18 + GAP) + legend
    figure.set_size_inches(plots.WIDTH / 72, height / 72)
    figure.set_dpi(200)  # of the points, which are painted; names stay text
    left = (plots.WIDTH - per_line * PANEL - (per_line - 1) * GAP) / 2
    for k, (name, points) in enumerate(panels.items()):
        x = left + k % per_line * (PANEL + GAP)
        y = height - (k // per_line + 1) * (PANEL + 18 + GAP) + GAP
        place = (x / plots.WIDTH, y / height, PANEL / plots.WIDTH, PANEL / height)
        _paint_points(figure.add_axes(place), points, shorten(name, PANEL))
    handles = [_mark(Line2D, COLOURS[k % len(COLOURS)], scene, True) for k, scene in enumerate(scenes)]
    handles += [_mark(Line2D, plots.INK, "positive", True), _mark(Line2D, plots.INK, "negative", False)]
    figure.legend(
        handles=handles, loc="lower center", ncols=PER_LEGEND_LINE, borderpad=0.2, handletextpad=0.1, columnspacing=1.2
    )


def _paint_points(axes, points, name):
    colour_P = np.array([COLOURS[k % len(COLOURS)] for k in points.scene_P])
    for positive in (False, True):
        shown = points.positive_P == positive
        face = {"c": colour_P[shown]} if positive else {"facecolors": "none", "edgecolors": colour_P[shown]}
        axes.scatter(*points.x_PK[shown].T, s=5, linewidths=0 if positive else 0.5, rasterized=True, **face)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.set_title(name, fontsize=9, loc="left", pad=3)


def _mark(line, color, label, filled):
    return line(
        [], [], color=color, marker="o", linestyle="", markersize=4, fillstyle="full" if filled else "none", label=label
    )
