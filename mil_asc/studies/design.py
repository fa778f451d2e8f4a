"""What a study consists of: planned runs, and the values of the factors in which they differ."""

from dataclasses import dataclass

from mil_asc.paper.plan import PlannedRun
from mil_asc.studies.measures import EVENTS, Measures

STRATEGIES = {"no_il": "fuse_no_il", "pnl": "fuse_pnl", "gt": "fuse_gt", "gap": "fuse_gap"}
"""Training strategies and the experiments of FUSE that train with them."""
RECIPE = "SynthScenes"


@dataclass(frozen=True)
class Study:
    """Runs that differ in a few factors.

    ``factors`` names the columns that, with the seed, identify a run; ``runs`` maps each ``PlannedRun`` to the values
    of these, in the order in which they are trained; ``measures`` are the columns of their rows.
    """

    name: str
    factors: tuple[str, ...]
    runs: dict[PlannedRun, dict[str, object]]
    measures: Measures = EVENTS

    def key(self, row):
        """What identifies a run in a table of results: its factors and its seed, as text."""
        return tuple(str(row[name]) for name in (*self.factors, "seed"))

    def keys(self):
        """Key of a row -> planned run."""
        return {self.key({**factors, "seed": run.seed}): run for run, factors in self.runs.items()}
