"""A recipe for a data set of your own: python tools/new_recipe.py MySet --classes kitchen,office,street

Writes the reader (mil_asc/corpora/my_set.py), the data block (hparams/data/my_set.yaml), the recipe (recipes/MySet/)
and its tests (tests/recipes/), all of which work as they are; then adapt the reader to the set's own lists.
"""

import argparse
import keyword
import re
import shutil
import sys
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.runtime.files import write_atomically
from mil_asc.runtime.program import run_program

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "tools/recipe_template"
CLASSES = "kitchen,office,street"
"""Where none are given."""
LONGEST_NAME = 24  # characters, so that the lines that hold it stay short


def parse_arguments(arguments):
    """The command line as a namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("name", help="name of the set, such as MySet")
    parser.add_argument("--classes", default=CLASSES, metavar="A,B,...", help=f"the classes ({CLASSES})")
    return parser.parse_args(arguments)


def check_name(name):
    """Refuse a name that cannot be that of a folder, a module and a function at once."""
    if not re.fullmatch(rf"[A-Z][A-Za-z0-9]{{0,{LONGEST_NAME - 1}}}", name):
        raise UserError(
            f"{name!r} cannot be the name of a set: it must be 1 to {LONGEST_NAME} letters and digits, the first a "
            "capital, as in MySet"
        )
    module = module_name(name)
    if keyword.iskeyword(module) or module in {path.stem for path in ROOT.glob("mil_asc/**/*.py")}:
        raise UserError(f"{name} cannot be the name of a set: there is a module {module} already; take another name")


def module_name(name):
    """Name of the set as a module.

    >>> module_name("MySet"), module_name("TAU2019")
    ('my_set', 'tau2019')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def parse_classes(text):
    """The classes as a list; a ``UserError`` for fewer than two, one twice, or one that is no plain word."""
    classes = [word.strip() for word in text.split(",")]
    wrong = [word for word in classes if not re.fullmatch(r"\w[\w-]*", word)]
    if wrong:
        raise UserError(f"--classes: {wrong[0]!r} cannot be the name of a class; letters, digits, _ and - are allowed")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UserError(f"--classes must be two or more different names, got {text}")
    return classes


def texts_of(name, classes):
    """The files of the recipe: path below the root -> text."""
    module = module_name(name)
    block = f"hparams/data/{module}.yaml"
    recipe = f"recipes/{name}"
    return {
        f"mil_asc/corpora/{module}.py": fill("reader.py", name, classes),
        f"tests/recipes/{module}_tree.py": fill("tree.py", name, classes),
        f"tests/recipes/test_{module}.py": fill("test_reader.py", name, classes),
        f"{recipe}/README.md": fill("README.md", name, classes),
        block: data_block(name, classes),
        f"{recipe}/hparams/fuse_pnl.yaml": experiment(name, len(classes)),
        f"{recipe}/train.py": like_tau2019("train.py", name),
        f"{recipe}/{module}_prepare.py": like_tau2019("tau2019_prepare.py", name),
        f"{recipe}/run.sh": like_tau2019("run.sh", name),
    }


def fill(file, name, classes):
    """A file of the template with the name and the classes put in."""
    text = (TEMPLATE / f"{file}.template").read_text(encoding="utf-8")
    values = {
        "NAME": name,
        "MODULE": module_name(name),
        "CLASSES": ", ".join(classes),
        "LABELS": python_list(classes),
        "FIRST": classes[0],
    }
    return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], text)


def python_list(words):
    """A list of text as the formatter lays it out: on one line where that is short enough."""
    quoted = [f'"{word}"' for word in words]
    line = f"[{', '.join(quoted)}]"
    return line if len(line) <= 100 else "[\n" + "".join(f"    {word},\n" for word in quoted) + "]"


def data_block(name, classes):
    """The data block of TAU2019 with another name, other classes and another reader."""
    module = module_name(name)
    text = (ROOT / "hparams/data/tau2019.yaml").read_text(encoding="utf-8")
    text = put(text, r"^# .*", f"# {name}.")
    text = put(text, r"^name: .*", f"name: {name}")
    text = put(text, r"^labels: .*", f"labels: [{', '.join(map(yaml_word, classes))}]")
    text = put(text, r"^corpus: .*", f"corpus: !name:mil_asc.corpora.{module}.read_{module}")
    return put(text, r"^  expected: .*\n  official_seconds: .*\n", "")


def yaml_word(word):
    """A class as YAML has it: in quotes where YAML would read it as a number or a truth value.

    >>> yaml_word("park"), yaml_word("no"), yaml_word("1")
    ('park', '"no"', '"1"')
    """
    plain = re.fullmatch(r"(?!(y|n|yes|no|on|off|true|false|null)$)[a-z].*", word, flags=re.IGNORECASE)
    return word if plain else f'"{word}"'


def experiment(name, num_classes):
    """FUSE-PNL as AnyFolder has it, sized for two CPU cores, on the set's block and with its number of classes."""
    text = (ROOT / "recipes/AnyFolder/hparams/fuse_pnl.yaml").read_text(encoding="utf-8")
    text = put(text, r"on a folder of class sub-folders", f"on {name}")
    text = put(text, r"data/any_folder\.yaml", f"data/{module_name(name)}.yaml")
    return put(text, r"^(model: .*)$", rf"\1\n  head: {{num_classes: {num_classes}}}")


def like_tau2019(file, name):
    """A program of recipes/TAU2019, for another set."""
    text = (ROOT / "recipes/TAU2019" / file).read_text(encoding="utf-8")
    text = text.replace("TAU Urban Acoustic Scenes 2019", name).replace("TAU2019", name)
    return text.replace("tau2019", module_name(name))


def put(text, pattern, replacement):
    """Replace the one place that matches; the files that are copied may have changed since this was written."""
    text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if count != 1:
        raise RuntimeError(f"tools/new_recipe.py no longer fits the file it copies: {count} places match {pattern}")
    return text


def write_all(texts):
    """Write files that do not exist yet, all of them or none."""
    there = [path for path in texts if (ROOT / path).exists()]
    if there:
        raise UserError(f"{there[0]} exists already: take another name, or remove the recipe that is there")
    made = []
    try:
        for path, text in texts.items():
            target = ROOT / path
            folders = [folder for folder in target.parents if not folder.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            made += [*reversed(folders), target]
            write_atomically(target, text)
            if target.suffix == ".sh":
                shutil.copymode(ROOT / "recipes/TAU2019" / target.name, target)
    except BaseException as error:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"{target}: cannot be written: {error.strerror or error}; nothing was made") from error
        raise


def main(arguments=None):
    """Write the recipe that the command line describes; returns the exit status."""
    options = parse_arguments(arguments)
    try:
        check_name(options.name)
        texts = texts_of(options.name, parse_classes(options.classes))
        write_all(texts)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(texts))
    print(f"next: adapt {next(iter(texts))} to the lists of {options.name}; make test trains the recipe at debug size")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
