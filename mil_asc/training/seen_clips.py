"""Warnings if a model was trained on clips that it is evaluated on."""

from mil_asc.corpora.json_manifests import read_manifest
from mil_asc.corpora.remote_folder import place_of_clip
from mil_asc.packaging.layout import is_model_folder
from mil_asc.results.run import MANIFESTS


def training_manifest(folder):
    """The manifest of the clips that a run was trained on, its validation set included; None if it has none."""
    folder = folder / MANIFESTS
    return read_manifest(folder, ["train", "validation"]) if folder.is_dir() else None


def seen_warnings(folder, corpus, who="the model"):
    """Sentences for a report: clips of the evaluation set that ``who`` was trained on, or that this is unknown.

    Arguments
    ---------
    folder : Path
        The run's or the model's folder; that of a run has manifests.
    corpus : Corpus
        Its evaluation set is compared, by file, then by path and class.
    who : str
        What was trained.

    Returns
    -------
    list of str
        At most one; none if no clip was seen.
    """
    trained = training_manifest(folder)
    if trained is None:
        why = "a model folder does not list its training clips"
        if not is_model_folder(folder):
            why = f"{folder / MANIFESTS} is missing"
        return [f"whether {who} was trained on these clips is unknown, because {why}"]
    files = {place_of_clip(trained.folder, clip.path) for clip in trained.evaluate}
    both = sum(place_of_clip(corpus.folder, clip.path) in files for clip in corpus.evaluate)
    if both:
        return [f"{who} was trained on {both} of these {len(corpus.evaluate)} recordings: the scores are too high"]
    names = {(clip.path, clip.label) for clip in trained.evaluate}
    alike = sum((clip.path, clip.label) in names for clip in corpus.evaluate)
    if alike:
        return [
            f"{alike} of these {len(corpus.evaluate)} recordings have the path and the class of one that {who} was "
            "trained on: if they are copies, the scores are too high"
        ]
    return []
