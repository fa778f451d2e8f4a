"""What is known of a data set before any sound is read: its clips, their lists and labels."""

import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from mil_asc.errors import UserError, name_some

LIST_NAMES = {"train": "training set", "validation": "validation set", "evaluate": "evaluation set"}
"""What the lists of a corpus are called in messages."""

ANYWHERE = "all"
"""City or device of clips of which it is not known."""
FEW_CLIPS = 30
"""Training clips of a class below which there is a warning."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording, or a piece of one (``path`` is then ``FILE@START``, see ``mil_asc.store.segments``).

    ``path`` is relative to the data folder; ``location`` is the place, city included, or whatever else must
    not be split over two lists.
    """

    path: str
    label: str
    city: str
    location: str
    source_device: str


@dataclass(frozen=True)
class Event:
    """A sound event inside a clip: ``onset`` and ``offset`` (in seconds), its kind and its role."""

    onset: float
    offset: float
    kind: str
    role: str


@dataclass
class Corpus:
    """The clips of a data set: lists to train and to evaluate on, and what a user should know about them.

    ``labels`` are the classes in the order of the model's outputs; ``events`` (path -> events) is empty
    where they are unknown, and so is ``durations`` (path -> seconds that the list states); ``notes`` are
    announcements (counts, empty classes), ``warnings`` what makes the scores unreliable (a location in both lists);
    longer recordings are cut into pieces of ``clip_seconds`` (in seconds, 0 keeps them whole). ``list_notes`` are
    those of the notes that are true of these lists only; ``fixed_by`` says what the user fixed the lists with, and is
    empty where they may be drawn again; ``official_folds`` maps every location to the fold that the data set assigns it
    to, and is empty where it has none; clips of an official set last ``official_seconds``, 0 where any length is usual.
    """

    folder: Path
    labels: list[str]
    train: list[Clip]
    evaluate: list[Clip]
    validation: list[Clip] = field(default_factory=list)
    events: dict[str, list[Event]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict, compare=False)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    clip_seconds: float = 0.0
    list_notes: list[str] = field(default_factory=list, compare=False)
    fixed_by: str = field(default="", compare=False)
    official_folds: dict[str, str] = field(default_factory=dict, compare=False)
    official_seconds: float = field(default=0.0, compare=False)

    @property
    def clips(self):
        """Every clip once, in the order train, validation, evaluate."""
        return list({clip.path: clip for clip in [*self.train, *self.validation, *self.evaluate]}.values())

    def counts(self, name, by="label"):
        """Number of clips of the list called ``name`` by class, or by another field of ``Clip``: a ``Counter``."""
        return Counter(getattr(clip, by) for clip in getattr(self, name))

    def without(self, paths):
        """A copy that leaves out the clips at ``paths``."""
        return self._with_lists(lambda clips: [clip for clip in clips if clip.path not in paths])

    def head(self, count):
        """A copy of at most ``count`` clips a list, spread evenly over each list (for debug runs)."""

        def thin(clips):
            chosen = np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int))
            return [clips[i] for i in chosen]

        return self._with_lists(thin)

    def cut(self, pieces):
        """A copy with every recording replaced by its pieces: ``pieces`` maps its path to their names, in order."""
        return self._with_lists(
            lambda clips: [replace(clip, path=name) for clip in clips for name in pieces[clip.path]]
        )

    def hold_out(self, fraction, seed=0):
        """A copy whose training list gives up about ``fraction`` of each class's locations for validation.

        No location is split. Every class keeps a location for training, so one with a single location
        gives none.
        """
        if not 0 <= fraction < 1:
            raise UserError(f"validation_fraction must be at least 0 and below 1, got {fraction}")
        if fraction == 0:
            return self
        if self.validation:
            raise UserError("validation_fraction must be 0 here: these lists have a validation list already")
        places = {label: set() for label in self.labels}
        for clip in self.train:
            places[clip.label].add(clip.location)
        held = draw_locations(list(filter(None, places.values())), fraction, seed)
        train = [clip for clip in self.train if clip.location not in held]
        validation = [clip for clip in self.train if clip.location in held]
        none = ["no validation clips: every class has but one location to train on"] if not held else []
        return replace(self, train=train, validation=validation, notes=self.notes + none)

    def _with_lists(self, choose):
        lists = {name: choose(getattr(self, name)) for name in ("train", "validation", "evaluate")}
        return replace(self, **lists)


def draw_locations(places, fraction, seed):
    """Locations that hold about ``fraction`` of those of each class, and leave each class one.

    Arguments
    ---------
    places : list of set of str
        The locations of each class, at least one.
    fraction : float
        Share to draw, above 0 and below 1.
    seed : int
        Of the draw.

    Returns
    -------
    set of str

    Example
    -------
    >>> len(draw_locations([{"a", "b", "c", "d"}], 0.5, seed=0)), draw_locations([{"a"}], 0.5, seed=0)
    (2, set())
    """
    rng, held, kept, classes_of = np.random.default_rng(seed), set(), list(map(len, places)), {}
    for index, own in enumerate(places):
        for location in own:
            classes_of.setdefault(location, []).append(index)
    for index, own in enumerate(places):
        wanted = min(max(1, round(fraction * len(own))), len(own) - 1)
        for location in rng.permutation(sorted(own)).tolist():
            enough = len(own) - kept[index] >= wanted
            if not enough and location not in held and all(kept[other] > 1 for other in classes_of[location]):
                held.add(location)
                for other in classes_of[location]:
                    kept[other] -= 1
    return held


def check_label(label, labels, where):
    """Raise a ``UserError`` that names the place and the nearest legal class unless ``label`` is one."""
    if label not in labels:
        near = get_close_matches(label, labels, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"{where}: unknown class {label!r}; {hint}legal: {', '.join(labels)}")


def alike(names):
    """Lists of names that differ in case, in spaces or in the way that accents are encoded, and in nothing else."""
    variants = {}
    for name in names:
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        variants.setdefault(key, []).append(name)
    return [own for own in variants.values() if len(own) > 1]


def inspect_lists(corpus, expected=None):
    """Add what a user should know about the lists to ``corpus.notes`` and ``corpus.warnings``.

    ``expected`` maps ``train`` and ``evaluate`` to the official numbers of clips.
    """
    for label in corpus.labels:
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in label):
            raise UserError(f"{corpus.folder}: a control character in the class {label!r}: rename it")
    for name, official in (expected or {}).items():
        found = len(getattr(corpus, name))
        if found != official:
            corpus.notes.append(f"partial set: {found} of the official {official} {name} clips")
    for name in ("train", "evaluate"):
        counts = corpus.counts(name)
        missing = [label for label in corpus.labels if not counts[label]]
        if missing:
            corpus.notes.append(f"no clips in the {LIST_NAMES[name]} of: {', '.join(missing)}")
        if not counts:
            raise UserError(f"{corpus.folder}: the {LIST_NAMES[name]} holds no clip")
    _check_apart(corpus)
    untrained = {clip.label for clip in corpus.evaluate} - {clip.label for clip in corpus.train}
    if untrained:
        corpus.warnings.append(f"evaluated on but with no clip to train on: {', '.join(sorted(untrained))}")
    shared = {clip.location for clip in corpus.train} & {clip.location for clip in corpus.evaluate}
    if shared:
        corpus.warnings.append(
            f"{len(shared)} location(s) are in both the training set and the evaluation set "
            f"({name_some(sorted(shared), 5)}): the scores will be too high"
        )
    return corpus


def _check_apart(corpus):
    """Raise a ``UserError`` where a file is in two of the lists, or twice in one."""
    seen = {}
    for name, words in LIST_NAMES.items():
        clips, found = getattr(corpus, name), Counter()
        found.update(clip.path for clip in clips)
        both = [path for path in found if path in seen]
        if both:
            raise UserError(
                f"{corpus.folder}: {len(both)} file(s) are in both the {seen[both[0]]} and the {words}: "
                f"{name_some(both, 5)}"
            )
        twice = [path for path, count in found.items() if count > 1]
        if twice:
            raise UserError(f"{corpus.folder}: {len(twice)} file(s) are in the {words} twice: {name_some(twice, 5)}")
        seen.update(dict.fromkeys(found, words))


def never_trained_on(corpus):
    """Notes that name the cities and the devices that are evaluated on but not trained on."""
    notes = []
    for by, words in (("city", "cities"), ("source_device", "devices")):
        known = corpus.counts("train", by)
        unknown = {name: count for name, count in sorted(corpus.counts("evaluate", by).items()) if name not in known}
        if unknown:
            names = ", ".join(f"{name} ({count} clips)" for name, count in unknown.items())
            notes.append(f"{words} in the evaluation set only: {names}")
    return notes


def few_clips(corpus):
    """A warning that names the classes with fewer than ``FEW_CLIPS`` training clips; no warnings if there are none.

    Recordings must have been cut by then: their pieces are the clips that count.
    """
    counts = corpus.counts("train")
    few = [f"{label} ({counts[label]})" for label in corpus.labels if 0 < counts[label] < FEW_CLIPS]
    return [f"fewer than {FEW_CLIPS} training clips, too few to rely on the scores: {', '.join(few)}"] if few else []
