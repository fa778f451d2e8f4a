"""The outcomes of systems from the rows of a study."""

import numpy as np

from mil_asc.results.paired import Outcomes
from mil_asc.studies.measures import from_digits


def outcomes_of(rows, rule, parts, **factors):
    """The ``Outcomes`` of a system, its evaluation sets one after the other; None if one of them has no row.

    Arguments
    ---------
    rows : list of dict
        With the columns of ``mil_asc.studies.measures.outcomes``.
    rule : str
        ``own``, ``smi`` or ``cmi``.
    parts : dict
        A column that names the evaluation set (such as ``fold``) -> the sets.
    **factors
        Values that the rows of the system have.
    """
    ((column, names),) = parts.items()
    shares, groups = [], []
    for name in names:
        chosen = {**factors, column: name}
        own = [row for row in rows if all(row[key] == str(value) for key, value in chosen.items())]
        if not own:
            return None
        sizes = [int(size) for size in own[0]["group_sizes"].split()]
        shares.append(np.mean([from_digits(row[f"correct_{rule}"], sum(sizes)) for row in own], axis=0))
        groups += [f"{name}/{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return Outcomes(np.concatenate(shares), groups)
