"""An evaluation set for a model that was trained elsewhere: its layout is recognised, its classes are the model's.

DIR/test.json                              a manifest
DIR/meta.csv  DIR/evaluation_setup/        the official layout
DIR/meta/esc50.csv  DIR/audio/             ESC-50
DIR/evaluate/<class>/...  DIR/train/...    class folders with ready lists
DIR/<class>/...                            class folders: all of it
"""

from dataclasses import replace
from pathlib import Path

from mil_asc.checks import check_number, check_text
from mil_asc.corpora.class_folders import as_names, read_class_folders
from mil_asc.corpora.data_layout import META, official_folder_near, ready_lists
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.esc50 import META as ESC50_META
from mil_asc.corpora.esc50 import read_esc50
from mil_asc.corpora.folder_tree import FolderTree, sub_folders
from mil_asc.corpora.json_manifests import read_manifest
from mil_asc.corpora.leave_out import findings
from mil_asc.corpora.manifest import LIST_NAMES, Corpus, check_label
from mil_asc.corpora.manifest_entries import FILES
from mil_asc.corpora.remote_folder import RemoteFolder
from mil_asc.errors import UserError, name_some
from mil_asc.runtime.remote_files import refuse_url

SPLIT_OPTIONS = ("groups", "evaluate_groups", "evaluate_fraction", "split_seed")
OPTIONS = {
    "a manifest": ("data_root",),
    "the official layout": ("fold",),
    "the layout of ESC-50": ("evaluate_fold", "subset"),
    "class folders": ("classes", "clip_seconds", *SPLIT_OPTIONS),
}
"""Layout -> options of its reader."""
CHOICES = ("evaluate", "train", "all")
"""Which clips of data that have lists are evaluated."""


def read_evaluation_set(folder, labels, options, clips="evaluate"):
    """Read the clips to evaluate a model on.

    Arguments
    ---------
    folder : str or Path
        The data, in one of the layouts above.
    labels : list of str
        Classes of the model, in the order of its outputs.
    options : dict
        Options of the layout's reader, of ``OPTIONS``. Class folders without ready lists are split only if one of
        ``SPLIT_OPTIONS`` is given, and otherwise evaluated as a whole.
    clips : str
        ``evaluate`` for the evaluation set, ``train`` for the training set, ``all`` for both.

    Returns
    -------
    Corpus
        Its evaluation set has the clips; it has no training set.

    Raises
    ------
    ArgumentError
        An option has no legal value.
    UserError
        The layout is not recognised; an option has no effect; a clip has a class that the model lacks.
    """
    refuse_url("data_folder", folder)
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"data_folder {folder} is not a folder")
    layout = _layout(folder)
    unknown = sorted(options.keys() - set(OPTIONS[layout]))
    if unknown:
        raise UserError(
            f"--{unknown[0]} has no effect on {folder}, which is {layout}: legal are {_words(OPTIONS[layout])}"
        )
    readers = dict(zip(OPTIONS, (_manifest, _official, _esc50, _class_folders), strict=True))
    corpus = readers[layout](folder, labels, options, clips)
    for clip in corpus.evaluate:
        check_label(clip.label, labels, f"{folder}: {clip.path}: no class of the model")
    if not corpus.evaluate:
        raise UserError(f"{folder}: there is no clip to evaluate")
    absent = [label for label in labels if label not in corpus.counts("evaluate")]
    notes = [f"no clips in the {LIST_NAMES['evaluate']} of: {', '.join(absent)}"] if absent else []
    return replace(corpus, train=[], validation=[], labels=list(labels), notes=corpus.notes + notes)


def _layout(folder):
    if (folder / FILES["evaluate"]).is_file():
        return "a manifest"
    unlabelled = _lists_without_labels(folder)
    if unlabelled:
        raise UserError(
            f"{folder} has no labels ({unlabelled} names files only), so there is nothing to score: "
            f"mil-asc classify {folder} --list {folder / unlabelled}"
        )
    if (folder / META).is_file():
        return "the official layout"
    if (folder / ESC50_META).is_file():
        return "the layout of ESC-50"
    if sub_folders(folder):
        return "class folders"
    raise UserError(f"{folder} holds no {FILES['evaluate']}, no {META} and no class folders")


def _lists_without_labels(folder):
    """A list of ``evaluation_setup/`` to classify where none has labels, as in DCASE's evaluation sets; or None."""
    place = folder / "evaluation_setup"
    names = sorted(path.name for path in place.glob("fold*_*") if path.suffix in (".csv", ".txt"))
    tests = [name for name in names if name.partition(".")[0].endswith("_test")]
    return f"evaluation_setup/{tests[0]}" if tests and len(tests) == len(names) else None


def _words(names):
    return ", ".join(f"--{name}" for name in names)


def _chosen(corpus, clips):
    """The corpus with another of its lists, or all of its clips, as evaluation set; no warnings compare its lists."""
    about_lists = findings(corpus).warnings
    return replace(
        corpus,
        evaluate=corpus.clips if clips == "all" else getattr(corpus, clips),
        notes=[],
        warnings=[warning for warning in corpus.warnings if warning not in about_lists],
    )


def _manifest(folder, labels, options, clips):
    names = {"evaluate": ["evaluate"], "train": ["train", "validation"], "all": list(FILES)}[clips]
    root = options.get("data_root")
    if root is not None:
        check_text("data_root", root)
    corpus = read_manifest(folder, names, root)
    if isinstance(corpus.folder, RemoteFolder):
        raise UserError(f"{folder}: its recordings are at {corpus.folder}: give --data_root=DIR, the folder of a copy")
    return corpus


def _official(folder, labels, options, clips):
    return _chosen(read_dcase_folder(folder, labels, **options), clips)


def _esc50(folder, labels, options, clips):
    return _chosen(read_esc50(folder, **options), clips)


def _class_folders(folder, labels, options, clips):
    if ready_lists(folder) or options.keys() & set(SPLIT_OPTIONS):
        given = {"seed" if name == "split_seed" else name: value for name, value in options.items()}
        return _chosen(read_class_folders(folder, **given), clips)
    if clips == "train":
        raise UserError(f"{folder} has no lists, all of it is evaluated: leave out --clips=train")
    there = sub_folders(folder)
    chosen = as_names("classes", options.get("classes", []), there) or there
    near = official_folder_near(folder, option="")
    if near and not set(chosen) & set(labels):
        raise UserError(f"{folder}: no sub-folder is a class of the model{near}")
    for name in chosen:
        check_label(name, there, f"{folder}: no sub-folder for a class")
        check_label(name, labels, f"{folder / name}: no class of the model")
    seconds = options.get("clip_seconds", 10.0)
    check_number("clip_seconds", seconds, least=0)
    tree = FolderTree(folder, [folder / name for name in there])
    found = [clip for name in chosen for clip in tree.read(folder / name)]
    notes = [f"{len(tree.left_out)} file(s) left out: {name_some(tree.left_out, 5)}"] if tree.left_out else []
    return Corpus(folder, chosen, [], evaluate=found, notes=notes, warnings=tree.warnings, clip_seconds=float(seconds))
