"""Data flows one way: a room of the package imports only rooms below it."""

import ast
from pathlib import Path

import mil_asc

PACKAGE = Path(mil_asc.__file__).parent
BELOW = {
    "errors": [],
    "checks": ["errors"],
    "runtime": ["errors"],
    "audio": ["errors", "checks", "runtime"],
    "corpora": ["errors", "checks", "runtime", "audio"],
    "synth": ["errors", "checks", "runtime", "audio", "corpora"],
    "store": ["errors", "checks", "runtime", "audio", "corpora"],
    "mil": ["errors", "checks"],
    "model": ["errors", "checks", "runtime", "mil"],
    "results": ["errors", "checks", "runtime", "corpora", "store", "mil", "model"],
    "packaging": ["errors", "checks", "runtime", "audio", "corpora", "store", "mil", "model", "results"],
    "augment": ["errors", "checks", "runtime", "audio", "corpora"],
    "training": [
        *("errors", "checks", "runtime", "audio", "corpora", "store"),
        *("mil", "model", "results", "packaging", "augment"),
    ],
    "inference": ["errors", "checks", "runtime", "audio", "mil", "model", "results", "packaging"],
    "presentation": ["errors", "inference"],
    "web": ["errors", "checks", "runtime", "audio", "synth", "inference", "presentation"],
    "cli": [
        *("errors", "checks", "runtime", "audio", "corpora", "store"),
        *("mil", "model", "results", "training", "packaging", "inference", "presentation", "web"),
    ],
    "paper": [
        *("errors", "checks", "runtime", "audio", "corpora", "store"),
        *("mil", "model", "results", "training", "inference"),
    ],
    "studies": ["errors", "runtime", "corpora", "synth", "mil", "model", "results", "packaging", "paper"],
}
"""Room -> rooms that it may import; what the package itself offers (``mil_asc.__version__``) is open to all."""


def room_of(module):
    """The room that a module of the package lies in; nothing for other packages and for the package itself."""
    first, *rest = module.split(".")
    return rest[0] if first == "mil_asc" and rest else None


def imports_of(path):
    """Every (room, line) that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module] if "." in node.module else [f"{node.module}.{alias.name}" for alias in node.names]
        yield from ((room_of(name), node.lineno) for name in names if room_of(name))


def rooms():
    """Every file of the package with its room; the package's own ``__init__.py`` stands above all."""
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
    return [(path, path.relative_to(PACKAGE).parts[0].removesuffix(".py")) for path in files]


def test_every_room_has_a_place():
    assert {room for _, room in rooms()} == set(BELOW)


def test_places_form_no_circle():
    order = list(BELOW)
    for room, below in BELOW.items():
        assert all(order.index(other) < order.index(room) for other in below), room


def test_no_room_imports_one_above_it():
    up = [
        f"{path.relative_to(PACKAGE)}:{line} imports {other}"
        for path, room in rooms()
        for other, line in imports_of(path)
        if other in BELOW and other not in (room, *BELOW[room])
    ]
    assert not up, "\n".join(up)


def test_no_file_is_longer_than_400_lines():
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "tools").rglob("*.py")]
    long = [path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert not long


def test_module_names_are_used_once():
    names = [path.stem for path, _ in rooms() if path.stem != "__init__"]
    assert sorted(names) == sorted(set(names))


def test_every_room_is_a_package():
    folders = {path.parent for path, _ in rooms()} - {PACKAGE}
    assert not [folder.name for folder in folders if not (folder / "__init__.py").is_file()]
