"""Rows of the paper's tables, and the experiment of a recipe that each of them needs."""

from dataclasses import dataclass, replace

from mil_asc.errors import UserError
from mil_asc.paper.facts import read_table

TABLES = range(2, 10)
"""Tables with accuracies; Table 1 is the network."""

TITLES = {
    2: "Extractors with and without the instance-level loss",
    3: "Learning strategies",
    4: "Frame loss and instance-level loss",
    5: "Instance labels: positive/negative or the clip's class",
    6: "Objectives: BCE or CE",
    7: "MIL assumptions: SMI or CMI",
    8: "Best seeds under CMI beside published systems",
    9: "Best seeds under CMI beside published systems, with pre-ResNorm",
}
EXTRACTORS = {
    "vgg_like": "VGG-like",
    "resnet": "ResNet",
    "bc_resnet": "BC-ResNet",
    "fuse": "FUSE",
    "fuse+pre_resnorm": "pre-ResNorm, FUSE",
}
"""Names of the paper for the CSV file's."""
STRATEGIES = {"none": "MIL w/o IL", "pnl": "MIL w/ PNL", "gt": "MIL w/ GT", "frame_loss": "MIL w/ frame loss"}
INSTANCE_LABELS = {"none": "–", "pnl": "positive/negative", "gt": "clip's class", "frame_loss": "–"}
RULES = {"smi": "smi", "cmi": "cmi", "gap": "bag"}
"""Assumptions of the CSV file, and the decision rules of ``report.json``."""
TRAINING_NAMES = {
    ("mil", "none", "bce"): "no_il",
    ("mil", "pnl", "bce"): "pnl",
    ("mil", "gt", "bce"): "gt",
    ("mil", "frame_loss", "bce"): "frame_loss",
    ("mil", "pnl", "ce"): "pnl_ce",
    ("supl_gap", "none", "ce"): "gap",
    ("supl_gap", "none", "bce"): "gap_bce",
}
"""Second part of an experiment's name, by strategy, instance label and objective."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    ``recipe`` names the folder under ``recipes/``; ``paper`` is the accuracy in percent, None for data sets
    that the paper does not use; ``params`` is the number as the paper prints it, empty where it gives none.
    """

    table: int
    recipe: str
    extractor: str
    mel_bins: int
    params: str
    strategy: str
    instance_label: str
    objective: str
    assumption: str
    statistic: str
    paper: float | None
    note: str

    @property
    def experiment(self):
        """Name of the recipe's YAML file, without its ending.

        >>> [row.experiment for row in read_rows(9)]
        ['fuse_pnl', 'fuse_gt', 'fuse_gt_resnorm']
        """
        extractor, _, norm = self.extractor.partition("+pre_")
        small = "_40mel" if self.mel_bins == 40 else ""
        training = TRAINING_NAMES[self.strategy, self.instance_label, self.objective]
        return "_".join(filter(None, [f"{extractor}{small}", training, norm]))

    @property
    def rule(self):
        """Key of the row's decision rule in ``report.json``."""
        return RULES[self.assumption]

    @property
    def words(self):
        """Strategy, extractor, instance label, objective and assumption as the paper calls them."""
        extractor = EXTRACTORS[self.extractor] + (f", {self.mel_bins} mel bins" if self.mel_bins != 256 else "")
        strategy = "SupL w/ GAP" if self.strategy == "supl_gap" else STRATEGIES[self.instance_label]
        label = INSTANCE_LABELS[self.instance_label]
        return strategy, extractor, label, self.objective.upper(), self.assumption.upper()


@dataclass(frozen=True)
class Published:
    """A system that Table 8 or 9 compares with; ``params`` as printed, ``accuracy`` in percent.

    ``experiment`` names the recipe's YAML file of its network here; empty where there is none.
    """

    table: int
    recipe: str
    system: str
    augmentation: str
    params: str
    accuracy: float
    note: str
    experiment: str = ""


def read_rows(table):
    """The rows of one of the paper's tables, in its order. A GAP row that names no objective has CE."""
    return [_row(fields) for fields in read_table("paper_tables.csv") if int(fields["table"]) == table]


def _row(fields):
    return Row(
        int(fields["table"]),
        fields["dataset"],
        fields["extractor"],
        int(fields["mel_bins"]),
        fields["params"],
        fields["strategy"],
        fields["instance_label"],
        fields["objective"] or "ce",
        fields["assumption"],
        fields["statistic"],
        float(fields["accuracy_percent"]),
        fields["note"],
    )


def read_published(table, recipe):
    """The systems that a table lists beside the paper's own; none for data sets that it does not report on."""
    return [
        Published(
            table,
            recipe,
            f["system"],
            f["augmentation"],
            f["params"],
            float(f["accuracy_percent"]),
            f["note"],
            f["experiment"],
        )  # fmt: skip
        for f in read_table("published_systems.csv")
        if (int(f["table"]), f["dataset"]) == (table, recipe)
    ]


def paper_sets():
    """Names of the data sets that the paper reports on, in the order of their first rows."""
    return list(dict.fromkeys(row.recipe for table in TABLES for row in read_rows(table)))


def select_rows(table, recipe):
    """The rows of a table for a recipe.

    For a data set of the paper its rows, with the paper's results. For any other the rows of all data sets,
    each combination once, without the paper's results, sizes and notes, which do not apply to it.
    """
    rows = read_rows(table)
    if recipe in paper_sets():
        return [row for row in rows if row.recipe == recipe]
    plain = [replace(row, recipe=recipe, params="", paper=None, note="") for row in rows]
    return list({(row.experiment, row.rule): row for row in plain}.values())


def known_recipes(recipes):
    """Names of the recipes in the folder ``recipes``."""
    return sorted(path.parent.name for path in recipes.glob("*/train.py"))


def check_recipes(recipes, rows):
    """Refuse recipes that do not exist; returns the rows without a YAML file.

    ``recipes`` is the folder that holds them. A recipe of the paper's data sets must have every file; others
    may have some of them.
    """
    missing = []
    for row in rows:
        if row.recipe not in known_recipes(recipes):
            known = ", ".join(known_recipes(recipes))
            raise UserError(f"no recipe {row.recipe} in {recipes}; legal: {known or 'none'}")
        file = recipes / row.recipe / "hparams" / f"{row.experiment}.yaml"
        if not file.is_file() and row.paper is not None:
            raise UserError(f"{file} is missing, which Table {row.table} needs")
        if not file.is_file():
            missing.append(row)
    return missing
