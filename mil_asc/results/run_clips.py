"""The clips of a finished run, from the manifests in its folder: what they are and where they come from."""

from collections.abc import Sequence
from dataclasses import replace

from mil_asc.corpora.json_manifests import read_manifest
from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.results.run import MANIFESTS, Run
from mil_asc.store.segments import split_name


def recordings_of(run: Run, names: Sequence[str]) -> dict[str, Clip]:
    """The recordings of some of a run's lists (``train``, ``validation``, ``evaluate``), by path.

    Raises
    ------
    UserError
        The run has no manifests, or they are damaged.
    """
    return {clip.path: clip for clip in read_manifest(run.folder / MANIFESTS, list(names)).evaluate}


def evaluated_clips(run: Run, advice: str) -> list[Clip]:
    """The clips that a run was evaluated on, in the order of its predictions, with what is known of their recordings.

    Arguments
    ---------
    run : Run
        A finished run.
    advice : str
        What the reader of an error can do.

    Raises
    ------
    UserError
        A clip of the predictions is not in the evaluation set, or a file is missing or damaged.
    """
    recordings, clips = recordings_of(run, ["evaluate"]), []
    for path in run.paths:
        recording = recordings.get(path) or recordings.get(split_name(path)[0])
        if recording is None:
            raise UserError(f"{run.folder}: {path} is in the predictions and not in the evaluation set: {advice}")
        clips.append(replace(recording, path=path))
    return clips
