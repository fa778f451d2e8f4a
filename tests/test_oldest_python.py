"""The package runs on the oldest Python that setup.py names: it uses nothing that later ones have added."""

import ast
import re
from pathlib import Path

import mil_asc

PACKAGE = Path(mil_asc.__file__).parent
SETUP = PACKAGE.parent / "setup.py"
LATER = {
    "asyncio": ("timeout", "timeout_at", "TaskGroup", "Runner", "Barrier"),
    "builtins": ("ExceptionGroup", "BaseExceptionGroup"),
    "contextlib": ("chdir",),
    "datetime": ("UTC",),
    "enum": ("StrEnum", "ReprEnum", "verify", "member", "nonmember"),
    "hashlib": ("file_digest",),
    "inspect": ("getmembers_static",),
    "itertools": ("batched",),
    "math": ("cbrt", "exp2", "sumprod"),
    "operator": ("call",),
    "tomllib": ("load", "loads"),
    "typing": (
        *("Self", "Never", "LiteralString", "Required", "NotRequired", "Unpack", "TypeVarTuple", "assert_never"),
        *("assert_type", "reveal_type", "dataclass_transform", "get_overloads", "override", "TypeAliasType"),
    ),
}
"""Module -> what Python 3.11 and 3.12 have added to it."""


def found_later(tree):
    """(line, name) of what a module uses of ``LATER``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in LATER.get(ast.unparse(node.value), ()):
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                if alias.name in LATER.get(node.module, ()):
                    yield node.lineno, f"{node.module}.{alias.name}"
        if isinstance(node, ast.Import) and any(alias.name == "tomllib" for alias in node.names):
            yield node.lineno, "tomllib"
        if isinstance(node, ast.Name) and node.id in LATER["builtins"]:
            yield node.lineno, node.id


def test_nothing_that_the_oldest_python_lacks_is_used():
    assert re.search(r'python_requires=">=3.10"', SETUP.read_text())
    found = []
    for path in [SETUP, *sorted(PACKAGE.rglob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
        found += [f"{path.relative_to(PACKAGE.parent)}:{line}: {name}" for line, name in found_later(tree)]
    assert found == []


def test_search_finds_what_it_looks_for():
    text = "import tomllib\nfrom enum import StrEnum\nasyncio.timeout(3)\nraise ExceptionGroup\nasyncio.wait(3)"
    assert [line for line, _ in sorted(found_later(ast.parse(text)))] == [1, 2, 3, 4]
