"""Tables as Markdown and HTML: complete, escaped, and put between the marks of a page."""

import re
from dataclasses import replace

import pytest
from fake_runs import write_recipe
from fake_tables import add, add_tau_runs, build

from mil_asc.errors import UserError
from mil_asc.paper.plan import Place
from mil_asc.paper.render import fill_page, render_html, write_tables


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes", data={"TAU2019": "/somebody/audio"})


@pytest.fixture
def tau(place):
    add_tau_runs(place)
    return place


def test_page_is_complete_and_escaped(tau):
    page = render_html([build(tau, 5, "TAU2019"), build(tau, 8, "TAU2019")], "Heading <b>")
    assert "Heading &lt;b&gt;" in page and "a &lt;note&gt;" in page and "<note>" not in page
    assert "79.00 ± 1.41 (n = 2)" in page and "prefers-color-scheme: dark" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("<table>") == page.count("</table>") == 3
    assert page.count('<img src="data:image/svg+xml,') == 1


def test_every_row_of_the_page_has_as_many_cells_as_its_header(tau):
    page = render_html([build(tau, 7, "TAU2019")], "Table 7")
    for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL):
        spans = [int(n) - 1 for n in re.findall(r'colspan="(\d+)"', row)]
        assert len(re.findall(r"<t[hd][ >]", row)) + sum(spans) == 10


def test_tables_are_written_with_pages_and_pictures(tau, tmp_path):
    tables = [build(tau, number, "TAU2019") for number in (5, 8)]
    pages = write_tables(tmp_path / "out", tables, "-TAU2019")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "table-5-TAU2019.html",
        "table-5-TAU2019.md",
        "table-8-TAU2019.html",
        "table-8-TAU2019.md",
        "table-8-TAU2019.svg",
        "tables-TAU2019.html",
    ]
    assert [page.name for page in pages] == [name for name in names if name.endswith(".html")]
    assert "![Accuracy against parameters](table-8-TAU2019.svg)" in (tmp_path / "out/table-8-TAU2019.md").read_text()


def test_readme_is_filled_and_filled_again(tau, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Set\n\nBefore.\n\n<!-- results -->\nold\n<!-- /results -->\n\nAfter.\n")
    fill_page(readme, [build(tau, 5, "TAU2019")])
    once = readme.read_text()
    assert once.startswith("# Set\n\nBefore.\n\n<!-- results -->\n\n<!-- table 5 TAU2019 -->\n\n### Table 5, TAU2019")
    assert once.endswith("<!-- /results -->\n\nAfter.\n")
    assert "old" not in once and "79.00 ± 1.41" in once
    fill_page(readme, [build(tau, 5, "TAU2019")])
    assert readme.read_text() == once


def test_filled_tables_do_not_replace_each_other(tau, tmp_path):
    """Several calls, in any order: by number, one for each data set, the newest of each."""
    write_recipe(tau.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    add(tau, "Tiny", "fuse_pnl", 1)
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- results -->\nold\n<!-- /results -->\nz\n")
    for number, recipe in ((8, "TAU2019"), (5, "TAU2019"), (5, "Tiny"), (7, "TAU2019")):
        fill_page(page, [build(tau, number, recipe)])
    once = page.read_text()
    titles = ["5, TAU2019", "5, Tiny", "7, TAU2019", "8, TAU2019"]
    assert re.findall("### Table (.*?):", once) == titles
    add(tau, "Tiny", "fuse_pnl", 1, smi=0.125)
    fill_page(page, [build(tau, 5, "Tiny")])
    again = page.read_text()
    assert re.findall("### Table (.*?):", again) == titles
    assert again == once.replace("50.0", "12.5") != once
    fill_page(page, [])
    assert page.read_text() == again


def test_pictures_are_written_beside_the_page_for_tables_with_runs(tau, tmp_path):
    page = tmp_path / "docs/page.md"
    page.parent.mkdir()
    page.write_text("<!-- results -->\n<!-- /results -->\n")
    table = build(tau, 8, "TAU2019")
    fill_page(page, [replace(table, finished=0)])
    assert [path.name for path in page.parent.iterdir()] == ["page.md"]
    fill_page(page, [table])
    assert "![Accuracy against parameters](table-8-TAU2019.svg)" in page.read_text()
    assert (page.parent / "table-8-TAU2019.svg").read_text() == table.picture


def test_tables_without_runs_are_not_put_into_a_page(place, tmp_path):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results -->\n<!-- /results -->\n")
    fill_page(readme, [build(place, 5, "Tiny")])
    assert readme.read_text() == ("<!-- results -->\n\nNo run of these tables is finished yet.\n\n<!-- /results -->\n")


@pytest.mark.parametrize("text", ["", "<!-- results -->", "<!-- /results --> <!-- results -->", "<!-- results -->" * 2])
def test_readme_without_marks_is_left_as_it_is(tau, tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(UserError, match="needs the lines"):
        fill_page(readme, [build(tau, 5, "TAU2019")])
    assert readme.read_text() == text
