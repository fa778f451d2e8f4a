"""Resolved settings, the YAML text that a run keeps: its keys, and what two of them differ in."""

import ruamel.yaml
from ruamel.yaml.comments import CommentedBase

IGNORED_KEYS = (
    *("data_folder", "manifests", "output_folder", "cache_folder", "folder", "subset_folder"),
    "official_seconds",
    "on_bad_audio",
)
"""Last parts of the keys that may change between two starts of a run: where things are, of which lengths to warn, what
to do with bad files."""
LATER_KEYS = {"data.folds": "0", "data.fold": "0", "data.split_seed": "1"}
"""Keys that not all earlier runs have -> the value that these runs were trained with."""

AUGMENTATION = "!new:mil_asc.augment.augmentation.Augmentation"
PARTS_OFF = {
    "waveform": (
        "[!new:mil_asc.augment.waveform_pieces.RandomCrop {'seconds': 0.0}, "
        "!new:mil_asc.augment.waveform_pieces.TimeRoll {'share': 0.0}, "
        "!new:mil_asc.augment.waveform_pieces.RandomGain {'decibels': 0.0}, "
        "!new:mil_asc.augment.impulse_responses.DeviceResponses {'probability': 0.0, 'folder': ''}]"
    ),
    "mixup": "!new:mil_asc.augment.mixup.Mixup",
    "mixup.alpha": "0.0",
    "spectrogram": (
        "[!new:mil_asc.augment.spectrogram_pieces.FreqMixStyle {'probability': 0.0, 'alpha': 0.3}, "
        "!new:mil_asc.augment.spectrogram_pieces.SpecAugment "
        "{'masks': 0, 'time_share': 0.1, 'frequency_share': 0.1}]"
    ),
    "stretch": "!new:mil_asc.augment.stretch.Stretch",
    **{"stretch.time": "0.0", "stretch.frequency": "0.0"},
    "ema_decay": "0.0",
}
PIECES_OFF = {
    **dict.fromkeys(("crop_seconds", "roll_share", "gain_db", "impulse_probability", "mixup_alpha"), "0.0"),
    **{"masks": "0", "mask_time_share": "0.1", "mask_frequency_share": "0.1"},
    **{"mixstyle_probability": "0.0", "mixstyle_alpha": "0.3", "ema_decay": "0.0"},
    **{"time_stretch": "0.0", "frequency_stretch": "0.0"},
}
OFF = {
    "training.freeze_extractor": "False",
    "training.batch_size_of": "step",
    **{"training.teachers": "[]", "training.teacher_level": "both"},
    **{"training.teacher_temperature": "2.0", "training.teacher_label_weight": "0.02"},
    **{f"augment.pieces.{key}": text for key, text in PIECES_OFF.items()},
    **{f"{group}.augmentation": AUGMENTATION for group in ("augment", "augment.pieces")},
    **{f"{group}.augmentation.{k}": text for group in ("augment", "augment.pieces") for k, text in PARTS_OFF.items()},
}
"""Keys that not all earlier runs have -> the value with which they have no effect, and which counts as an empty one."""


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    """Every node of a tree under its dotted key: ``{"a": {"b": 1}}`` as ``{"a": {"b": 1}, "a.b": 1}``."""
    flat = {}
    for key, value in tree.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
    return flat


def tag_of(node: object) -> str | None:
    """The tag of a YAML node, such as ``!new:mil_asc.model.classifier.MILClassifier``; None for plain values."""
    return node.tag.value if isinstance(node, CommentedBase) else None


def class_of(node: object) -> str:
    """Name of the class or function that a YAML node builds or names; empty for plain values."""
    return (tag_of(node) or "").rpartition(".")[2]


def read_settings(text: str) -> dict[str, object]:
    """The nodes of a resolved YAML text by dotted key, as ``flatten`` gives them."""
    return flatten(ruamel.yaml.YAML().load(text))


def setting_texts(nodes: dict[str, object]) -> dict[str, str]:
    """Values of all settings as text, tags included, by dotted key; without ``IGNORED_KEYS``, empty values and ``OFF``.

    A group's own text is its tag alone: its values have keys of their own. ``LATER_KEYS`` that are missing are added.
    """
    texts = dict(LATER_KEYS)
    for key, node in nodes.items():
        text = f"{tag_of(node) or ''} {'' if isinstance(node, dict) else _value(node)}".strip()
        if text and key.rpartition(".")[2] not in IGNORED_KEYS and OFF.get(key) != text:
            texts[key] = text
    return texts


def _value(node: object) -> str:
    """The text of a value; in a list, objects have their tags."""
    if isinstance(node, list) and any(isinstance(item, dict) for item in node):
        return f"[{', '.join(f'{tag_of(item)} {item}' for item in node)}]"
    return str(node)


def changed_settings(old: str, new: str) -> dict[str, tuple[str | None, str | None]]:
    """Keys, sorted, that two resolved YAML texts differ in: key -> (value in ``old``, value in ``new``).

    A value is text, tags included, or None where there is no such key. ``IGNORED_KEYS`` do not count.

    Example
    -------
    >>> changed_settings("seed: 1\\ndata_folder: a", "seed: 2\\ndata_folder: b")
    {'seed': ('1', '2')}
    """
    if old == new:
        return {}
    before, now = setting_texts(read_settings(old)), setting_texts(read_settings(new))
    keys = sorted(before.keys() | now.keys())
    return {key: (before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)}
