"""The field's networks side by side on synthetic scenes: each with global average pooling and with PNL."""

from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.studies.design import RECIPE, STRATEGIES, Study
from mil_asc.studies.measures import EVENTS, Measures

NETWORKS = {
    "fuse": (),
    "vgg_like": (),
    "dcase_baseline": ("--time_pool=4",),
    "dcase_baseline_2021": ("--time_pool=4",),
    "two_path_resnet": ("--filters=8",),
    "trident_resnet": ("--filters=8",),
    "bc_resnet": ("--c=40",),
    "cp_mobile": (),
    "cp_resnet": ("--base_channels=24",),
    "alexnet_like": (),
    "fcnn": ("--channels=[36, 72, 144]",),
    "resnet50": ("--width=16",),
    "dcasenet": ("--channels=[16, 32, 64, 64, 96]",),
    "raw_cnn": (),
    "aclnet": ("--channels=[16, 32, 64, 128, 256]",),
}
"""Model block -> options that make it train in minutes on one core: widths, and a shorter pooling where a clip of ten
seconds would have three instances."""
COMPARED = ("gap", "pnl")
SIZE = {"parameters": lambda run: run.number("run.parameters")}
MEASURES = Measures(EVENTS.scores | SIZE, EVENTS.settings, detection=True)


def systems(seeds):
    """``Study`` of every network under global average pooling and under PNL, seeds 1 to ``seeds``."""
    check_seeds(seeds)
    runs = {}
    for seed in range(1, seeds + 1):
        for network, sizes in NETWORKS.items():
            for strategy in COMPARED:
                options = (f"--model={network}", *sizes)
                rule = "bag" if strategy == "gap" else "smi"
                planned = PlannedRun(RECIPE, STRATEGIES[strategy], seed, rule, f"systems/{network}", options)
                runs[planned] = {"network": network, "strategy": strategy, "sizes": " ".join(sizes)}
    return Study("systems", ("network", "strategy"), runs, MEASURES)
