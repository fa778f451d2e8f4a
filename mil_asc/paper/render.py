"""Tables of the paper written as Markdown and HTML: into files of their own, or between the marks of a page."""

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from mil_asc.paper.fill import put_tables
from mil_asc.paper.rows import TITLES
from mil_asc.paper.systems import HEADER
from mil_asc.results.markdown import table as markdown_table
from mil_asc.results.plots import data_uri
from mil_asc.runtime.files import write_atomically

SYSTEMS_TEXT = (
    "Systems that the paper compares with, and their results as it reports them; beside them the networks that are "
    "here, with the system's loss, this table's training setup, and neither augmentation nor pretraining "
    "(`--systems` trains them):"
)
TEMPLATE = Path(__file__).with_name("page.html")


def render_markdown(table, level=2, picture=None):
    """A table as Markdown under a heading of ``level``; ``picture``: its picture's file name, if one was written."""
    parts = [f"{'#' * level} {table.title}"]
    parts += [f"> **Note:** {text}" for text in table.warnings]
    parts.append(markdown_table(table.header, map(_markdown_cells, table.lines)))
    footnotes = [f"({letter}) {note}" for letter, note in table.footnotes.items()]
    below = [*filter(None, [table.schedule]), *table.notes, *footnotes]
    parts.append("\n".join(f"* {text}" for text in below))
    if table.published:
        parts.append(SYSTEMS_TEXT)
        parts.append(markdown_table(list(HEADER), table.published))
    if picture:
        parts.append(f"![Accuracy against parameters]({picture})")
    return "\n\n".join(parts) + "\n"


def _markdown_cells(line):
    ours = f"{line.ours}: `{line.command}`" if line.command else line.ours
    strategy = line.cells[0] + (f" ({line.marks})" if line.marks else "")
    paper = [] if line.paper is None else [line.paper]
    return [strategy, *line.cells[1:], *paper, ours, line.best, line.difference]


# -- HTML


def render_html(tables, heading):
    """Tables as one HTML page that refers to nothing outside itself."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = data_uri
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return page.render(tables=tables, heading=heading, systems_head=HEADER, systems_text=SYSTEMS_TEXT)


# -- files


def write_tables(folder, tables, suffix=""):
    """Write ``table-N<suffix>.md`` and ``.html`` for every number of a table, and pictures.

    Several numbers also get one page of all tables, ``tables<suffix>.html``. Returns the paths of the pages.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for number in dict.fromkeys(table.number for table in tables):
        own = [table for table in tables if table.number == number]
        texts = []
        for table in own:
            texts.append(render_markdown(table, picture=_write_picture(folder, table)))
        write_atomically(folder / f"table-{number}{suffix}.md", "\n".join(texts))
        pages.append(folder / f"table-{number}{suffix}.html")
        write_atomically(pages[-1], render_html(own, f"Table {number}: {TITLES[number]}"))
    if len(pages) > 1:
        pages.append(folder / f"tables{suffix}.html")
        write_atomically(pages[-1], render_html(tables, "Tables of the paper, and our runs"))
    return pages


def fill_page(page, tables):
    """Put the tables that have finished runs into a Markdown file between its marks, and pictures beside it.

    Other tables of the page are kept. Raises ``UserError`` as ``read_page`` does.
    """
    texts = {}
    for table in tables:
        if table.finished:
            texts[table.number, table.recipe] = render_markdown(
                table, level=3, picture=_write_picture(page.parent, table)
            )
    put_tables(page, texts)


def _write_picture(folder, table):
    """Write the picture of a table; returns its file name, None where the table has none."""
    if not table.picture:
        return None
    name = f"table-{table.number}-{table.recipe}.svg"
    write_atomically(folder / name, table.picture)
    return name
