"""What ``train.py --help`` prints: run options and, with a YAML file, its settable keys with values and comments."""

from mil_asc.results.settings import tag_of
from mil_asc.training.command_line import parse_command_line
from mil_asc.training.config import settings_tree
from mil_asc.training.keys import full_keys
from mil_asc.training.run_options import RUN_OPTIONS

FLAGS = ("-h", "--help")
GENERAL = """usage: python train.py HPARAMS.yaml [--KEY=VALUE ...]

Any value of the YAML file can be set: --number_of_epochs=20, --model.num_blocks=2. The end of a key is
enough: --n_mels=128 sets model.features.n_mels. python train.py HPARAMS.yaml --help lists the keys.
Blocks of hparams/ are chosen by name: --model=bc_resnet --objective=gt --training=sgd_small.
Manifests that <set>_prepare.py wrote: --manifests=SAVE_FOLDER.
Bad audio: --on_bad_audio=skip. Hold out locations: --data.validation_fraction=0.1.
Cross-validation: --folds=5; one of the folds alone: --folds=5 --fold=2.
A run that was stopped resumes if the same command is given again.

Run options:"""
WIDTH = 36
"""Column of the comments."""


def wants_help(arguments):
    """Whether the words of a command line ask for help."""
    return any(word in FLAGS for word in arguments)


def help_text(arguments):
    """The help for a command line: with a YAML file, its settable keys too; ``UserError`` if other words are wrong."""
    words = [word for word in arguments if word not in FLAGS]
    general = [GENERAL, *(_line(_spelled(name, option), option.help) for name, option in RUN_OPTIONS.items())]
    return "\n".join([*general, *(_keys_of(words) if words else [])])


def _keys_of(words):
    """Lines about the keys of the YAML file on a command line: the file's own, then those of each block."""
    path, _, overrides = parse_command_line(words)
    tree = settings_tree(path, overrides)
    return ["", f"Keys of {path} and their values:", *_group_lines(tree, "", tree)]


def _group_lines(group, prefix, tree):
    """Lines about the plain values of a mapping of the resolved tree, then about the mappings below it."""
    lines, groups = [], []
    for key, node in group.items():
        if tag_of(node) or (prefix and key in tree):  # code, and values that refer to those of the recipe's file
            continue
        if isinstance(node, dict) and node:
            lines_below = _group_lines(node, f"{prefix}{key}.", tree)
            groups += (
                ["", f"{prefix}{key}: {_comment_above(group, key)}".rstrip(": "), *lines_below] if lines_below else []
            )
        else:
            lines.append(_line(f"{_shortest(f'{prefix}{key}', tree)}={_shown(node)}", _comment_beside(group, key)))
    return [*lines, *groups]


def _shortest(key, tree):
    """The end of a dotted key if it is enough, else the key."""
    end = key.rpartition(".")[2]
    return end if key in full_keys({end: None}, tree) else key


def _shown(node):
    """A value as it is given on the command line."""
    if isinstance(node, list | dict):
        return f'"{_plain(node)}"'
    return "" if node is None else str(node)


def _plain(node):
    if isinstance(node, list):
        return f"[{', '.join(_plain(part) for part in node)}]"
    return str(dict(node)) if isinstance(node, dict) else str(node)


def _comment_beside(group, key):
    """The comment on the line of a key."""
    token = group.ca.items.get(key, [None] * 3)[2]
    return token.value.partition("\n")[0].lstrip("# ") if token else ""


def _comment_above(group, key):
    """The comment between a key and the mapping below it, which is the heading of a block's file."""
    tokens = group.ca.items.get(key, [None] * 4)[3] or []
    return " ".join(token.value.strip("# \n") for token in tokens)


def _spelled(name, option):
    return name if option.kind is bool else f"{name}={'|'.join(option.choices) or option.kind.__name__.upper()}"


def _line(option, comment):
    return f"  --{option:<{WIDTH}} {comment}".rstrip()
