"""Markdown pages that tables are put into, each between its own marks, so that no table replaces another."""

import re
from dataclasses import dataclass

from mil_asc.errors import UserError
from mil_asc.runtime.files import write_atomically

MARKS = "<!-- results -->", "<!-- /results -->"
"""The tables of a README, or another page, are between these two lines."""
BLOCK = re.compile(r"<!-- table (\d+) (\S+) -->\n(.*?)<!-- /table \1 \2 -->", re.DOTALL)
"""A table between ``MARKS``: its number, its data set and its text."""
NOTHING = "No run of these tables is finished yet.\n"


@dataclass(frozen=True)
class Page:
    """A page in three parts: the text ``before`` and ``after`` ``MARKS``, and (number, data set) -> a table's text."""

    before: str
    blocks: dict
    after: str


def read_page(path):
    """The ``Page`` in a Markdown file.

    Raises ``UserError`` unless the page has each of the two marks once, in their order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    first, last = MARKS
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise UserError(f"{path} needs the lines {first} and {last}, once each, around the tables")
    before, rest = text.split(first)
    body, after = rest.split(last)
    blocks = {(int(number), name): text for number, name, text in BLOCK.findall(body)}
    return Page(before, blocks, after)


def put_tables(path, blocks):
    """Put tables into a page, (number, data set) -> Markdown, by number; others in the page are kept.

    Raises ``UserError`` as ``read_page`` does.
    """
    page = read_page(path)
    blocks = page.blocks | {key: f"\n{text}\n" for key, text in blocks.items()}
    parts = [
        f"<!-- table {number} {name} -->\n{text}<!-- /table {number} {name} -->\n"
        for (number, name), text in sorted(blocks.items())
    ]
    first, last = MARKS
    body = "\n".join(parts) or NOTHING
    write_atomically(path, f"{page.before}{first}\n\n{body}\n{last}{page.after}")


def put_text(path, text):
    """Replace everything between a page's ``MARKS`` by ``text``; raises ``UserError`` as ``read_page`` does."""
    page = read_page(path)
    first, last = MARKS
    write_atomically(path, f"{page.before}{first}\n\n{text}\n\n{last}{page.after}")
