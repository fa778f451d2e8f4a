"""The tables: figures by hand, what is said of runs that are missing or unlike, pages that are whole."""

import math
import re
from dataclasses import replace

import pytest
from fake_runs import write_recipe, write_run

from mil_asc.errors import UserError
from mil_asc.paper.rows import check_recipes, select_rows
from mil_asc.paper.supervise import Place, read_result, read_results, runs_of
from mil_asc.paper.tables import (
    best_seed,
    build_table,
    fill_page,
    markdown,
    paired_interval,
    reference_row,
    render_page,
    student_interval,
    write_tables,
)

# two-sided 95 % points of Student's t, from a printed table, by degrees of freedom
T_TABLE = {1: 12.706, 2: 4.303, 4: 2.776}


# -- figures


def test_interval_by_hand():
    """1, 2, 3: mean 2, sample deviation 1, so 2 ± 4.303 / sqrt(3)."""
    found = student_interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(2 - found.low) == pytest.approx(T_TABLE[2] / math.sqrt(3), abs=1e-3)


def test_interval_of_five_seeds():
    """78, 79, 79, 80, 81: mean 79.4, squares 1.96 + 0.16 + 0.16 + 0.36 + 2.56 = 5.2, sd sqrt(1.3)."""
    found = student_interval([78.0, 79.0, 79.0, 80.0, 81.0])
    assert found.mean == pytest.approx(79.4)
    assert found.high - found.mean == pytest.approx(T_TABLE[4] * math.sqrt(1.3 / 5), abs=1e-3)


def test_one_value_has_no_interval():
    found = student_interval([5.0])
    assert (found.mean, found.low, found.high) == (5, None, None)


def test_paired_differences_are_taken_over_common_seeds():
    """Seeds 1 and 2 are common: differences 1 and 3, mean 2, deviation sqrt(2), half width 12.706."""
    found = paired_interval({1: 51.0, 2: 63.0, 4: 0.0}, {2: 60.0, 1: 50.0, 3: 99.0})
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(T_TABLE[1], abs=1e-3)
    assert paired_interval({1: 50.0}, {2: 50.0}) is None


def test_best_seed():
    assert best_seed({3: 50.0, 1: 40.0, 2: 50.0}) == (2, 50.0)


@pytest.mark.parametrize(
    "table, references",
    [
        (3, ["vgg_like_no_il"] * 3 + ["resnet_no_il"] * 3 + ["bc_resnet_no_il"] * 3 + ["fuse_no_il"] * 3),
        (4, ["fuse_frame_loss"] * 2),
        (5, ["fuse_pnl"] * 2),
        (6, ["fuse_pnl"] * 4),
        (7, ["fuse_no_il"] * 6),
        (9, ["fuse_pnl"] * 3),
    ],
)
def test_reference_rows(table, references):
    rows = select_rows(table, "SynthScenes")
    assert [reference_row(row, rows).experiment for row in rows] == references


# -- tables


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes", data={"TAU2019": "/somebody/audio"})


def build(place, number, recipe, seeds=2):
    rows = select_rows(number, recipe)
    missing = check_recipes(place.recipes, rows)
    return build_table(number, rows, missing, read_results(runs_of(rows, seeds), place), place, seeds)


def add(place, recipe, experiment, seed, **more):
    write_run(place.recipes / recipe / "results" / experiment / f"seed-{seed}", experiment, seed, **more)


def row_of(text, start, word=""):
    """The cells of the only table row of ``text`` that begins with ``start`` and holds ``word``."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}") and word in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def tau(place):
    """TAU2019 with two seeds of PNL, one of three of GT under other epochs, none of MIL w/o IL."""
    write_recipe(
        place.recipes / "TAU2019", needs_data=True, **dict.fromkeys(["fuse_pnl", "fuse_gt", "fuse_no_il"], "fine")
    )
    add(place, "TAU2019", "fuse_pnl", 1, epochs=100, smi=0.78, cmi=0.79)
    add(place, "TAU2019", "fuse_pnl", 2, epochs=100, smi=0.80, cmi=0.805, clips=4185)
    add(place, "TAU2019", "fuse_gt", 2, epochs=8, smi=0.7, cmi=0.75, notes=["a <note>"], warnings=["a | warning"])
    return place


def test_beside_the_paper(tau):
    """79 ± 1.41; 79.45 and 79.13 are the paper's. -0.13 ± 12.706 * 1.414 / 1.414."""
    text = markdown(build(tau, 5, "TAU2019"))
    assert row_of(text, "MIL w/ PNL") == [
        "MIL w/ PNL",
        "FUSE",
        "positive/negative",
        "BCE",
        "SMI",
        "139,082 (paper 139K)",
        "79.13",
        "79.00 ± 1.41 (n = 2)",
        "80.00 (seed 2)",
        "−0.13 [−12.84, +12.58]",
    ]
    assert row_of(text, "MIL w/ GT")[5:] == [
        "139,082 (paper 139K)",
        "79.45",
        "70.00 (1 of 2 seeds)",
        "70.00 (seed 2)",
        "−9.45 (one seed: no interval)",
    ]


def test_rows_without_a_run_give_a_command_that_names_no_folder(tau):
    text = markdown(build(tau, 7, "TAU2019"))
    cells = row_of(text, "MIL w/o IL", "CMI")
    command = "`python train.py hparams/fuse_no_il.yaml --seed=1 --data_folder=DIR`"
    assert cells[5:] == ["– (paper 139K)", "73.09", f"no run yet: {command}", "–", "–"]
    assert "somebody" not in text


def test_unlike_runs_are_said_loudly(tau):
    table = build(tau, 5, "TAU2019")
    assert table.loud == [
        "The runs of this table differ in epochs, and must not be compared across that (8: fuse_gt; 100: fuse_pnl).",
        "The runs of this table differ in evaluated clips, and must not be compared across that "
        "(100: fuse_gt, fuse_pnl; 4185: fuse_pnl).",
        "Runs of 8 epochs stand here; the paper trained for 100. Such figures do not reproduce the paper's.",
        "A run was evaluated on 4185 of the official 100 clips: not on those of the paper's figures.",
        "a | warning",
    ]
    assert table.finished == 3
    assert "a <note>" in table.notes
    assert "epochs 100 / 8, batch 48, learning rate 0.06; mel bins 256, hop 32 ms; seeds 1, 2;" in table.schedule
    assert "a processor, 2 threads (bf16); torch 2.14.1." in table.schedule


def test_data_without_official_lists_are_never_partial(place):
    write_recipe(place.recipes / "TAU2019", needs_data=True, fuse_pnl="fine", fuse_gt="fine")
    add(place, "TAU2019", "fuse_pnl", 1, epochs=100)
    settings = place.recipes / "TAU2019/results/fuse_pnl/seed-1/hyperparams.yaml"
    settings.write_text(re.sub("data:.*?model:", "model:", settings.read_text(), flags=re.DOTALL))
    table = build(place, 5, "TAU2019")
    assert (table.loud, table.finished) == ([], 1)


def test_a_corpus_named_by_its_reader_alone_has_no_official_lists(place):
    add(place, "TAU2019", "fuse_pnl", 1)
    settings = place.recipes / "TAU2019/results/fuse_pnl/seed-1/hyperparams.yaml"
    bare = re.sub("\n    expected:.*", "", settings.read_text())
    settings.write_text(bare)
    assert "read_dcase_folder\nmodel:" in bare
    assert read_result(settings.parent).official("evaluate") is None


def test_like_runs_are_not(place):
    write_recipe(place.recipes / "TAU2019", needs_data=True, fuse_pnl="fine", fuse_gt="fine")
    add(place, "TAU2019", "fuse_pnl", 1, epochs=100)
    add(place, "TAU2019", "fuse_gt", 1, epochs=100)
    assert build(place, 5, "TAU2019").loud == []


@pytest.mark.parametrize("experiment, said", [("vgg_like_pnl", ["mel bins"]), ("vgg_like_40mel_pnl", [])])
def test_mel_bins_may_differ_where_the_experiment_is_about_them(place, experiment, said):
    write_recipe(place.recipes / "Tiny", **{experiment: "fine"}, fuse_pnl="fine")
    add(place, "Tiny", "fuse_pnl", 1)
    add(place, "Tiny", experiment, 1)
    settings = place.recipes / "Tiny/results" / experiment / "seed-1/hyperparams.yaml"
    settings.write_text(settings.read_text().replace("n_mels: 256", "n_mels: 40"))
    loud = build(place, 2, "Tiny").loud
    assert [re.search("differ in (.*?),", text)[1] for text in loud] == said


def test_best_seeds_of_table_8_are_set_against_best_seeds(tau):
    table = build(tau, 8, "TAU2019")
    cells = row_of(markdown(table), "MIL w/ PNL")
    assert cells[6:] == ["80.3", "79.75 ± 1.06 (n = 2)", "80.50 (seed 2)", "+0.2 (best to best)"]
    assert table.header[-1] == "ours − paper"
    assert len(table.published) == 14
    assert ">FUSE MIL w/ PNL (ours, seed 2)<" in table.picture


def test_slips_of_the_paper_are_told_where_they_matter(tau):
    write_recipe(tau.recipes / "TAU2020m", **dict.fromkeys(["fuse_pnl", "fuse_gt", "fuse_gt_resnorm"], "fine"))
    write_recipe(tau.recipes / "Tiny", **dict.fromkeys(["fuse_pnl", "fuse_gt", "fuse_gt_resnorm"], "fine"))
    for name in ("fuse_pnl_ce", "fuse_gap", "fuse_gap_bce"):
        (tau.recipes / f"TAU2019/hparams/{name}.yaml").write_text("data_folder: !PLACEHOLDER\n")
    seven, six = markdown(build(tau, 7, "TAU2019")), markdown(build(tau, 6, "TAU2019"))
    assert row_of(seven, "MIL w/ PNL", "SMI")[0] == "MIL w/ PNL (a)"
    assert "(a) printed 'w/o P/N L' but means with" in seven
    assert "(a) Table 6 gives 78.57 where Tables 2-5 give 79.13" in six
    nine = markdown(build(tau, 9, "TAU2020m"))
    assert "54.1 % (an OpenL3 system of 2020)" in nine and "23,040 segments of this set are 23,035 files" in nine
    assert "best seed under CMI here" in nine
    elsewhere = markdown(build(tau, 9, "Tiny"))
    assert "OpenL3" not in elsewhere and "23,040" not in elsewhere and "paper |" not in elsewhere


@pytest.fixture
def tiny(place):
    """Another data set, with the files of Table 7, three seeds of them, and differences known by hand."""
    write_recipe(place.recipes / "Tiny", **dict.fromkeys(["fuse_no_il", "fuse_pnl", "fuse_gt"], "fine"))
    for seed, (base, gain) in enumerate([(0.50, 0.01), (0.60, 0.02), (0.70, 0.03)], start=1):
        add(place, "Tiny", "fuse_no_il", seed, smi=base, cmi=0.2)
        add(place, "Tiny", "fuse_pnl", seed, smi=base + gain, cmi=None)
    return place


def test_other_data_sets_get_paired_differences_and_no_figure_of_the_paper(tiny):
    """Differences 1, 2 and 3: 2 ± 4.303 / sqrt(3) = 2 ± 2.48."""
    table = build(tiny, 7, "Tiny", seeds=3)
    text = markdown(table)
    assert table.header == [
        "strategy",
        "extractor",
        "instance label",
        "objective",
        "assumption",
        "parameters",
        "ours (mean ± sd)",
        "our best seed",
        "difference to MIL w/o IL, BCE, SMI [95 %]",
    ]
    assert row_of(text, "MIL w/o IL", "| SMI")[6:] == ["60.0 ± 10.0 (n = 3)", "70.0 (seed 3)", "reference"]
    assert row_of(text, "MIL w/ PNL", "| SMI")[6:] == ["62.0 ± 11.0 (n = 3)", "73.0 (seed 3)", "+2.0 [−0.5, +4.5]"]
    for figure in ("72.22", "73.09", "79.13", "79.45", "139K"):
        assert figure not in text


def test_a_rule_that_old_reports_lack_is_said(tiny):
    table = build(tiny, 7, "Tiny", seeds=3)
    assert any(
        "fuse_pnl are of a version that did not know CMI" in text and "train again" in text for text in table.loud
    )
    assert "no run yet" in row_of(markdown(table), "MIL w/ PNL", "| CMI")[6]


def test_missing_recipe_files_leave_rows_empty(tiny):
    text = markdown(build(tiny, 4, "Tiny", seeds=3))
    assert text.index("| MIL w/ frame loss") < text.index("| MIL w/ PNL")  # in the paper's order
    assert row_of(text, "MIL w/ frame loss")[6:] == ["no recipe file (fuse_frame_loss.yaml)", "–", "–"]
    assert row_of(text, "MIL w/ PNL")[6:] == ["62.0 ± 11.0 (n = 3)", "73.0 (seed 3)", "–"]


def test_seeds_beyond_those_asked_for_do_not_count(tiny):
    assert "55.0 ± 7.1 (n = 2)" in markdown(build(tiny, 7, "Tiny", seeds=2))


# -- pages and files


def test_the_page_is_whole_and_escaped(tau):
    page = render_page([build(tau, 5, "TAU2019"), build(tau, 8, "TAU2019")], "Heading <b>")
    assert "Heading &lt;b&gt;" in page and "a &lt;note&gt;" in page and "<note>" not in page
    assert "79.00 ± 1.41 (n = 2)" in page and "prefers-color-scheme: dark" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("<table>") == page.count("</table>") == 3
    assert page.count('<img src="data:image/svg+xml,') == 1


def test_every_row_of_the_page_has_as_many_cells_as_its_header(tau):
    page = render_page([build(tau, 7, "TAU2019")], "Table 7")
    for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL):
        spans = [int(n) - 1 for n in re.findall(r'colspan="(\d+)"', row)]
        assert len(re.findall(r"<t[hd][ >]", row)) + sum(spans) == 10


def test_files(tau, tmp_path):
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


def test_tables_do_not_drive_each_other_out(tau, tmp_path):
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


def test_pictures_stand_beside_the_page_where_there_are_runs(tau, tmp_path):
    page = tmp_path / "docs/page.md"
    page.parent.mkdir()
    page.write_text("<!-- results -->\n<!-- /results -->\n")
    table = build(tau, 8, "TAU2019")
    fill_page(page, [replace(table, finished=0)])
    assert [path.name for path in page.parent.iterdir()] == ["page.md"]
    fill_page(page, [table])
    assert "![Accuracy against parameters](table-8-TAU2019.svg)" in page.read_text()
    assert (page.parent / "table-8-TAU2019.svg").read_text() == table.picture


def test_readme_holds_tables_with_runs_alone(place, tmp_path):
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
