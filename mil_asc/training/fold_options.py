"""Options of cross-validation: ``--folds``, and ``--fold`` for one of them."""

from mil_asc.checks import check_fold
from mil_asc.errors import UserError

NO_EFFECT = ("evaluate_groups", "evaluate_fraction")
"""Keys of a data block that choose an evaluation set, where folds do that."""


def folder_of_folds(tree, overrides):
    """The output folder of a cross-validation for which no folder is given; None for one that needs no other.

    Arguments
    ---------
    tree : dict
        The resolved settings of a recipe.
    overrides : dict
        Values by dotted key, as given on the command line.

    Raises
    ------
    ArgumentError
        A number of folds, or of the one to train, is not legal.
    UserError
        There are folds, and an option that chooses the evaluation set in another way.
    """
    data = tree["data"] if isinstance(tree["data"], dict) else {}
    folds = data.get("folds", 0)
    check_fold(folds, data.get("fold", 0))
    if not folds:
        return None
    for key in overrides:
        if key.removeprefix("data.") in NO_EFFECT:
            name = key.removeprefix("data.")
            raise UserError(f"--{name} has no effect with --folds, which evaluates every group: leave out one of them")
    if data.get("manifests"):
        raise UserError("--folds has no effect with --manifests, which give the lists: leave out one of them")
    return None if "output_folder" in overrides else f"{tree['output_folder']}_folds-{folds}"
