"""The stages of a recipe, as its run.sh calls them: python tools/stages.py TAU2019 --stage 1 --stop_stage 6

1 download, 2 prepare (manifests and waveform store), 3 train, 4 results over seeds, 5 tables and figures, 6 pack each
run as a model folder. A stage that is done is not repeated; one that was stopped resumes. Options after -- go to
train.py:
run.sh --seeds "1 2 3" -- --model=bc_resnet --number_of_epochs=50
"""

import argparse
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import ruamel.yaml

from mil_asc.corpora.official import read_datasets
from mil_asc.errors import UserError
from mil_asc.packaging.layout import CHECKSUMS
from mil_asc.results.run import Run, folds_in, place_of_run
from mil_asc.runtime.files import write_atomically
from mil_asc.runtime.program import run_program
from mil_asc.runtime.remote_files import refuse_url
from mil_asc.store.prepare import SET_BY_ARGUMENTS
from mil_asc.training.command_line import parse_command_line
from mil_asc.training.config import resolve_settings

ROOT = Path(__file__).resolve().parents[1]
STAGES = range(1, 7)
MANIFESTS = "results/manifests"
RESERVED = ("seed", "device", "data_folder", "manifests", "output_folder", "experiment", "debug", "test_only")
"""Options of ``train.py`` that the stages set themselves, or that leave no results to report."""
BLOCK_OPTIONS = ("--model=", "--objective=", "--training=", "--data=")


class StageError(UserError):
    """A command of a stage failed; what it printed says why."""


# -- the command line


def parse_arguments(arguments):
    """The options, and the words after ``--``."""
    where = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("recipe", help="folder under recipes/, such as TAU2019")
    add("--stage", type=int, choices=STAGES, default=1, help="first stage (default 1)")
    add("--stop_stage", type=int, choices=STAGES, default=6, help="last stage (default 6)")
    add("--data_folder", type=Path, metavar="DIR", help="the recordings, or where to download them to")
    add("--hparams", type=Path, default=Path("hparams/fuse_pnl.yaml"), metavar="FILE", help="YAML file of the recipe")
    add("--seeds", default="1", metavar='"1 2 3"', help="one run per seed (default 1)")
    add("--device", help="such as cuda or cpu (default: the GPU where there is one)")
    add("--nproc", type=int, default=1, metavar="N", help="processes that train together, one per GPU (default 1)")
    return parser.parse_args(arguments[:where]), arguments[where + 1 :]


def parse_seeds(text):
    """The seeds as a list of int, in their order; a ``UserError`` for anything else."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise UserError(f'--seeds must be whole numbers such as "1 2 3", got {text!r}')
    return list(dict.fromkeys(map(int, words)))


def check_passed(words):
    """Refuse words after ``--`` that are not options of ``train.py``, or are for the stages to set."""
    for word in words:
        key = word[2:].partition("=")[0]
        if not word.startswith("--") or not key:
            raise UserError(f"{word} is no option of train.py: give --KEY=VALUE after --")
        if key in RESERVED or key.rpartition(".")[2] in RESERVED:
            raise UserError(f"--{key} may not be given after --: the stages set it, or it leaves no results")


# -- what the stages work on


class Recipe:
    """A recipe's folder, what to run in it, and where its files are.

    Arguments
    ---------
    options : argparse.Namespace
        As ``parse_arguments`` returns them.
    passed : list of str
        Further options of ``train.py``.
    """

    def __init__(self, options, passed):
        self.name = options.recipe
        self.folder = ROOT / "recipes" / options.recipe
        if not (self.folder / "train.py").is_file():
            known = ", ".join(sorted(path.parent.name for path in ROOT.glob("recipes/*/train.py")))
            raise UserError(f"there is no recipe {options.recipe}; there are: {known}")
        self.hparams = self.folder / options.hparams
        if not self.hparams.is_file():
            raise UserError(f"--hparams: {self.hparams} is not a file")
        check_passed(passed)
        self.passed = passed
        self.seeds = parse_seeds(options.seeds)
        if options.nproc < 1:
            raise UserError(f"--nproc must be 1 or more, got {options.nproc}")
        self.nproc = options.nproc
        self.device = [f"--device={options.device}"] if options.device else []
        self.official = read_datasets().get(options.recipe.lower())
        if options.data_folder:
            refuse_url("--data_folder", options.data_folder)
        self.given = options.data_folder.resolve() if options.data_folder else None

    @property
    def download_folder(self):
        """Where archives are, or go to."""
        return self.given or self.folder / "data"

    @property
    def data_folder(self):
        """The recordings: the folder given, the unpacked set below it, or the one that the YAML file names."""
        if self.official and not (self.download_folder / "meta.csv").is_file():
            return self.download_folder / self.official["archive_prefix"]
        if self.given or self.official:
            return self.download_folder
        named = ruamel.yaml.YAML().load(self.hparams).get("data_folder")
        if not isinstance(named, str):
            raise UserError(f"{self.name} needs the folder of your recordings: --data_folder DIR")
        return self.folder / named

    def train_command(self, seed):
        """The words after ``python`` that train with a seed."""
        start = ["-m", "mil_asc.training.start_ranks", f"--nproc_per_node={self.nproc}"] if self.nproc > 1 else []
        return [*start, "train.py", *self.train_words(seed)]

    def train_words(self, seed):
        """The words after ``train.py`` that train with a seed."""
        words = [str(self.hparams.relative_to(self.folder)), f"--seed={seed}"]
        return [*words, f"--data_folder={self.data_folder}", *self.device, *self.passed]

    def prepare_command(self):
        """The words after ``python`` that prepare the set; options of ``train.py`` about the data go to both."""
        (program,) = self.folder.glob("*_prepare.py")
        data = self.settings(self.seeds[0])["data"]
        keys = data.keys() - set(SET_BY_ARGUMENTS) - (set() if data.get("fold") else {"folds"})
        parts = [(word.partition("=")[0].rpartition(".")[2].removeprefix("--"), word) for word in self.passed]
        options = [f"--{key}={word.partition('=')[2]}" for key, word in parts if key in keys]
        return [program.name, self.data_folder, MANIFESTS, "--valid_fraction=0", "--waveforms", *options]

    def run_folder(self, seed):
        """The folder of the run, or of all folds, with a seed."""
        settings = self.settings(seed)
        return self.folder / place_of_run(settings["output_folder"], settings["data"].get("fold", 0))

    @property
    def folds(self):
        """End of the names of files about a cross-validation, such as ``_folds-5``; empty without one."""
        data = self.settings(self.seeds[0])["data"]
        return "".join(f"_{key}-{data[key]}" for key in ("folds", "fold") if data.get(key))

    @property
    def summary(self):
        """The page with the results over seeds."""
        folder = self.folder / self.settings(self.seeds[0])["output_folder"]
        return folder.parent / f"summary{self.folds}.md"

    def settings(self, seed):
        """The resolved settings of the run with a seed; an option that ``train.py`` would refuse is refused here."""
        path, _, overrides = parse_command_line([str(self.hparams), *self.train_words(seed)[1:]])
        return ruamel.yaml.YAML().load(resolve_settings(path, overrides))

    def call(self, *words, keep=False):
        """Run a command in the recipe's folder, after printing it; returns its output where that is to be kept."""
        print("+ " + shlex.join(["python", *map(str, words)]), flush=True)
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE if keep else None, text=True)
        if done.returncode:
            program = next((Path(word).name for word in words if str(word).endswith(".py")), words[1])
            raise StageError(f"{program} ended with status {done.returncode}; the same command resumes")
        return done.stdout


# -- the stages


def download(recipe):
    """Stage 1: the official archives, if the set has any and has not been downloaded."""
    if not recipe.official:
        return say(1, f"nothing to download for {recipe.name}")
    if (recipe.download_folder / "meta.csv").is_file():
        return say(1, f"{recipe.download_folder} holds the set already")
    return recipe.call(ROOT / "tools/download.py", recipe.name, "--to", recipe.download_folder)


def prepare(recipe):
    """Stage 2: the manifests and the waveform store; what is up to date is not written again."""
    say(2, "manifests and waveform store; files that are up to date stay")
    recipe.call(*recipe.prepare_command())


def train(recipe):
    """Stage 3: one run per seed."""
    for seed in recipe.seeds:
        if is_finished(recipe.run_folder(seed)):
            say(3, f"seed {seed} is trained already")
        else:
            recipe.call(*recipe.train_command(seed))


def report(recipe):
    """Stage 4: mean and standard deviation over the seeds, printed and written beside the runs."""
    folders = trained(recipe)
    page = recipe.summary
    if is_newer(page, folders):
        say(4, f"{page} is up to date")
    else:
        table = recipe.call(ROOT / "tools/summarize.py", *folders, keep=True)
        write_atomically(page, table)
    print(page.read_text(encoding="utf-8"))
    say(4, f"over seeds: {page}; of each run: {', '.join(str(folder / 'report.html') for folder in folders)}")


def illustrate(recipe):
    """Stage 5: the paper's tables from all finished runs of the recipe, and the figures that these runs allow."""
    if recipe.folds:
        return say(5, "no tables and figures: those of the paper are of one evaluation set, not of folds")
    folders = trained(recipe)
    page = folders[0].parent / "figures/figures.md"
    if is_newer(page, folders):
        return say(5, f"{page} is up to date")
    if any(word.startswith(BLOCK_OPTIONS) for word in recipe.passed):
        say(5, "no tables: a run with other blocks is no row of the paper")
    else:
        tables = ["--table", "all", "--dataset", recipe.name, "--seeds", max(recipe.seeds), "--no_run"]
        tables += ["--write", recipe.folder / "results/tables", *(["--", *recipe.passed] if recipe.passed else [])]
        recipe.call(ROOT / "tools/reproduce.py", *tables)
    recipe.call(ROOT / "tools/figures.py", *folders, "--to", page.parent, *device_of(recipe))
    return None


def pack(recipe):
    """Stage 6: a model folder of each run, beside the runs; a debug run or a cross-validation has none."""
    if recipe.folds:
        return say(6, "no model folder: a cross-validation has a model per fold; pack one with mil-asc pack")
    for folder in trained(recipe):
        model = folder.with_name(f"{folder.name}-model")
        if is_newer(model / CHECKSUMS, [folder]):
            say(6, f"{model} is up to date")
        else:
            recipe.call("-m", "mil_asc.cli.main", "pack", folder, "--to", model, "--force")
    return None


WORK = {1: download, 2: prepare, 3: train, 4: report, 5: illustrate, 6: pack}


def device_of(recipe):
    """The device for tools, which take it as two words."""
    return ["--device", recipe.device[0].partition("=")[2]] if recipe.device else []


def trained(recipe):
    """Folders of the runs; a ``UserError`` names the first that is not finished."""
    folders = [recipe.run_folder(seed) for seed in recipe.seeds]
    for folder in folders:
        if not is_finished(folder):
            raise UserError(f"{folder} holds no finished run: start with --stage 3")
    return folders


def is_finished(folder):
    """Whether a folder holds a run that was trained to its end and evaluated, or all folds and their pooled report."""
    folds = list(folds_in(folder).values())
    if not folds:
        return folder.is_dir() and Run(folder).finished
    pooled = is_newer(folder / "report.json", folds) and Run(folder).folds == (len(folds), 0)
    return pooled and all(map(is_finished, folds))


def is_newer(page, folders):
    """Whether a page was written after the reports of all runs, which must have one."""
    reports = [folder / "report.json" for folder in folders]
    if not page.is_file() or not all(path.is_file() for path in reports):
        return False
    return all(page.stat().st_mtime_ns > path.stat().st_mtime_ns for path in reports)


def say(stage, text):
    """Print a line about a stage."""
    print(f"stage {stage}: {text}", flush=True)


def main(arguments):
    """Work through the stages; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options, passed = parse_arguments(arguments)
    try:
        if options.stop_stage < options.stage:
            raise UserError(f"--stop_stage {options.stop_stage} comes before --stage {options.stage}")
        recipe = Recipe(options, passed)
        for stage in range(options.stage, options.stop_stage + 1):
            WORK[stage](recipe)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command resumes", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
