"""How a finished run was trained, in words: its augmentation and its teachers."""

from mil_asc.results.run import Run

TURNED_ON_BY = (
    *("crop_seconds", "roll_share", "gain_db", "impulse_probability", "mixup_alpha", "masks", "mixstyle_probability"),
    *("time_stretch", "frequency_stretch", "ema_decay"),
)
"""Values of ``augment.pieces`` that are 0 where a piece is off."""


def augmentation_of(run: Run) -> str | None:
    """The pieces that were on, with their values: ``mixup_alpha 0.3, masks 2``; ``none`` without any; None where the
    run has an augmentation of its own, which is not known here."""
    if "augment" in run.settings and "augment.pieces" not in run.settings:
        return None
    values = ((name, run.settings.get(f"augment.pieces.{name}")) for name in TURNED_ON_BY)
    return (
        ", ".join(f"{name} {value:g}" for name, value in values if isinstance(value, int | float) and value) or "none"
    )


def teachers_of(run: Run) -> str | None:
    """The networks whose scores a student learned from, and how; None without any."""
    found = run.provenance.get("distillation")
    if not isinstance(found, dict):
        return None
    count = len(found["teachers"])
    return (
        f"{count} teacher{'' if count == 1 else 's'} for {' and '.join(found['levels'])}, temperature "
        f"{found['temperature']:g}, weight of the labels {found['label_weight']:g}"
    )
