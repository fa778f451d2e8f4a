"""Words of a command line of the form ``--KEY=VALUE``, whose values are YAML."""

import re

import ruamel.yaml

from mil_asc.errors import UserError, is_storable

REFERENCE = re.compile("<[^<>]+>")
"""What HyperPyYAML replaces by the value of another key."""


def check_encodable(word):
    """Refuse a word of a command line that no report and no settings could keep."""
    if not is_storable(word):
        raise UserError(f"{word!r} is not UTF-8 text: rename the file or folder")


def check_no_reference(name, value):
    """Refuse a text with a reference: what is read would not be what was given."""
    if isinstance(value, str) and (found := REFERENCE.search(value)):
        raise UserError(
            f"{name}: {value!r} contains {found[0]}, which stands for another key in a YAML file: use a name without <>"
        )


def read_word(word, usage):
    """Key and YAML value of a word ``--KEY=VALUE``; a ``UserError`` that ends with ``usage`` if it is no such word.

    Example
    -------
    >>> read_word("--classes=[dog, rain]", "give --KEY=VALUE")
    ('classes', ['dog', 'rain'])
    """
    key, equals, text = word.removeprefix("--").partition("=")
    if not word.startswith("--") or not equals:
        raise UserError(f"{word:.200} is not understood: {usage}")
    try:
        return key, ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except (ruamel.yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: thousands of digits
        raise UserError(f"{word:.200}: the value is not valid YAML") from error
