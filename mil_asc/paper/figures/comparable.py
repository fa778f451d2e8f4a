"""Which experiments a figure compares: those of one extractor, which differ in how it was trained."""

from mil_asc.errors import UserError
from mil_asc.paper.figures.experiments import CannotDraw

OF_THE_PAPER = "FUSE"
"""The extractor that is drawn where there are several."""


def by_extractor(experiments):
    """{name: experiments} of one extractor each, by its class, its settings and those of the features.

    Names are those of the classes, FUSE first; where several groups share a class, the mel bins are
    appended, then the hop, then a number.
    """
    groups = {}
    for experiment in experiments:
        run = experiment.first
        same = run.settings_of("model.network.extractor", "model.features.")
        groups.setdefault(tuple(sorted(same.items())), []).append(experiment)
    named = {}
    for members in sorted(groups.values(), key=lambda members: members[0].first.extractor != OF_THE_PAPER):
        named[_name(members, groups.values())] = members
    return named


def _name(members, groups):
    """The shortest name that no other group has."""
    others = [_names(group[0].first) for group in groups if group is not members]
    names = _names(members[0].first)
    found = [name for k, name in enumerate(names) if all(other[k] != name for other in others)]
    if found:
        return found[0]
    same = [group for group in groups if _names(group[0].first)[-1] == names[-1]]
    return f"{names[-1]}-{1 + [group is members for group in same].index(True)}"


def _names(run):
    name = run.extractor
    with_bins = f"{name}-{run.settings.get('model.features.n_mels')}mel"
    return name, with_bins, f"{with_bins}-{run.settings.get('model.features.hop_ms')}ms"


def choose_extractor(experiments, wanted="", complete=None):
    """(experiments of one extractor, sentence that names it): the one ``wanted``, else FUSE before others.

    ``complete(experiments)`` raises ``CannotDraw`` where an extractor's experiments are not enough for the figure;
    the first extractor that has enough is taken. Raises ``CannotDraw`` where there is none, ``UserError`` for a name
    that no extractor has.
    """
    groups = by_extractor(experiments)
    chosen = _find(wanted, groups) if wanted else list(groups)
    reasons = []
    for name in chosen:
        try:
            if complete is not None:
                complete(groups[name])
        except CannotDraw as error:
            reasons.append(str(error))
            continue
        others = [other for other in groups if other != name]
        more = f" Of other extractors, not drawn here: {', '.join(others)}." if others else ""
        return groups[name], f"Extractor: {name}.{more}"
    raise CannotDraw(reasons[0] if len(chosen) == 1 else f"no extractor has all runs it needs ({reasons[0]})")


def _find(wanted, groups):
    found = [name for name in groups if _plain(name) == _plain(wanted)]
    if not found:
        raise UserError(f"--extractor: no run has {wanted!r}; legal: {', '.join(groups)}")
    return found


def _plain(name):
    return name.replace("_", "").replace("-", "").lower()


def of_strongest_instance(experiments):
    """(MIL, note): experiments decided by the strongest instance; the note names those left out."""
    mil = [experiment for experiment in experiments if not experiment.first.decided_by_bag]
    others = [experiment.name for experiment in experiments if experiment.first.decided_by_bag]
    return mil, f" Left out, because more than the strongest instance decides: {', '.join(others)}." if others else ""


def with_instance_loss(experiments):
    """(without, with): two experiments with the same model, by whether instances were trained.

    Raises ``CannotDraw`` unless there is such a pair among those decided by the strongest instance.
    """
    mil, _ = of_strongest_instance(experiments)
    without = [experiment for experiment in mil if not experiment.first.terms]
    trained = [experiment for experiment in mil if experiment.first.instance_loss]
    if not without:
        raise CannotDraw("no run without instance loss, such as fuse_no_il")
    if not trained:
        raise CannotDraw("no run with instance loss, such as fuse_pnl or fuse_gt")
    for one in without:
        for other in trained:
            if one.first.settings_of("model.") == other.first.settings_of("model."):
                return one, other
    raise CannotDraw("no run with instance loss has the same model as one without")


def with_cross_entropy(experiments):
    """Raise ``CannotDraw`` unless there are experiments under cross entropy and under binary cross entropy."""
    mil, _ = of_strongest_instance(experiments)
    if not any(experiment.first.softmax for experiment in mil):
        raise CannotDraw("no run trained with cross entropy, such as fuse_pnl_ce")
    if all(experiment.first.softmax for experiment in mil):
        raise CannotDraw("no run trained with binary cross entropy, such as fuse_pnl")
