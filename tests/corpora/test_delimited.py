"""Tables that are broken, ambiguous or name a file in several ways: never a wrong label without a word."""

import csv

import pytest

from mil_asc.corpora.class_folders import read_class_folders
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.delimited import normal_path, read_rows
from mil_asc.errors import UserError

LABELS = ["airport", "park", "tram"]
TRAIN, META = "evaluation_setup/fold1_train.csv", "meta.csv"
FIRST = "audio/airport-lisbon-10-0-a.wav"


def refused(read):
    with pytest.raises(UserError) as caught:
        read()
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()
    return str(caught.value)


# -- one table


@pytest.fixture
def table(tmp_path):
    def write(content, *columns, **options):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [row for _, row in read_rows(path, *(columns or ("path", "group")), **options)]

    return write


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_byte_order_mark_and_empty_lines_change_nothing(table, ends):
    text = ends.join(["\ufeffpath,group", "", "a.wav,street", "", "b.wav,garden", "", ""])
    assert [tuple(row.values()) for row in table(text, delimiter=",")] == [("a.wav", "street"), ("b.wav", "garden")]


def test_quoted_values_may_hold_the_delimiter_and_quotes(table):
    assert table('path,group\n"a,b.wav","the ""old"" street"\n', delimiter=",") == [
        {"path": "a,b.wav", "group": 'the "old" street'}
    ]


@pytest.mark.parametrize(
    "text, delimiter, part",
    [
        ("path,group\na,b.wav,street\n", ",", "line 2: 3 comma-separated values, the table has 2 columns"),
        ("path\tgroup\ta\nx.wav\tstreet\ty\tz\n", "\t", "line 2: 4 tab-separated values, the table has 3 columns"),
        ("path,group,group\na.wav,street,garden\n", ",", "line 1: 2 columns are called 'group', one is needed"),
        ("path,group\na\0.wav,street\n", ",", "line 2: a control character in 'a\\x00.wav street'"),
        ("path,group\n\x1b[2Ja.wav,street\n", ",", "line 2: a control character in '\\x1b[2Ja.wav street'"),
        ('path,group\na.wav,"street\nb.wav,garden"\n', ",", "line 3: a control character in"),
        (
            "path,group\n" + "x" * 200_000 + ",street\n",
            ",",
            "no comma-separated text: field larger than field",
        ),
    ],
)
def test_line_that_could_be_read_in_two_ways_is_refused(table, text, delimiter, part):
    assert part in refused(lambda: table(text, delimiter=delimiter))


def test_trailing_delimiters_are_accepted(table):
    assert table("path\tgroup\na.wav\tstreet\t\t\n")[0]["group"] == "street"


def test_table_that_cannot_be_read_is_named(tmp_path):
    assert refused(lambda: list(read_rows(tmp_path, "path"))).endswith("cannot be read: Is a directory")


@pytest.mark.parametrize("name", ["../a.wav", "audio/../../a.wav", "/etc/a.wav", "audio/../a.wav", ".", ".."])
def test_path_out_of_the_data_folder_is_refused(name):
    message = refused(lambda: normal_path(name, "meta.csv, line 2"))
    assert message.startswith(f"meta.csv, line 2: {name!r} must be a path below the data folder")


# -- the official layout


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def read(folder):
    return read_dcase_folder(folder, LABELS)


@pytest.mark.parametrize("file", [TRAIN, META])
@pytest.mark.parametrize("name", ["../x.wav", "/tmp/x.wav"])
def test_listed_path_out_of_the_data_folder_is_refused_with_its_line(dcase_folder, file, name):
    edit(dcase_folder / file, FIRST, name)
    assert f"{file}, line 2: {name!r} must be a path below" in refused(lambda: read(dcase_folder))


def test_listed_path_with_nul_is_refused(dcase_folder):
    edit(dcase_folder / TRAIN, FIRST, "audio/\0.wav")
    assert "fold1_train.csv, line 2: a control character" in refused(lambda: read(dcase_folder))


def test_label_that_contradicts_meta_is_refused(dcase_folder):
    edit(dcase_folder / META, f"{FIRST}\tairport", f"{FIRST}\tpark")
    assert refused(lambda: read(dcase_folder)).endswith(f"line 2: {FIRST} is airport here and park in meta.csv")


def test_meta_without_classes_is_accepted(dcase_folder):
    plain = read(dcase_folder)
    edit(dcase_folder / META, "scene_label", "anything")
    assert read(dcase_folder) == plain


@pytest.mark.parametrize("name", [FIRST, f"./{FIRST}", FIRST.replace("/", "//")])
@pytest.mark.parametrize("change", ["label", "identifier", "device"])
def test_second_line_of_a_file_in_meta_with_other_values_is_refused(dcase_folder, name, change):
    values = {"label": "airport", "identifier": "lisbon-10", "device": "a"} | {change: "park"}
    with open(dcase_folder / META, "a") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerow([name, *values.values()])
    assert f"{FIRST} is further up too, with other values (airport, lisbon-10, a)" in refused(
        lambda: read(dcase_folder)
    )


def test_same_file_under_two_names_is_one_clip(dcase_folder):
    plain = read(dcase_folder)
    with open(dcase_folder / META, "a") as file:
        file.write(f"./{FIRST}\tairport\tlisbon-10\ta\n")
    with open(dcase_folder / TRAIN, "a") as file:
        file.write(f"./{FIRST}\tairport\n")
    assert read(dcase_folder) == plain
    with open(dcase_folder / TRAIN, "a") as file:
        file.write(f"./{FIRST}\tpark\n")
    assert f"{FIRST} is park here and airport further up" in refused(lambda: read(dcase_folder))


def test_file_in_both_lists_is_refused(dcase_folder):
    with open(dcase_folder / "evaluation_setup/fold1_evaluate.csv", "a") as file:
        file.write(f"./{FIRST}\tairport\n")
    assert refused(lambda: read(dcase_folder)).endswith(
        f"1 file(s) are in both the training set and the evaluation set: {FIRST}"
    )


@pytest.mark.parametrize("label", ["park ", "Park", " park"])
def test_label_with_spaces_or_in_another_case_is_refused(dcase_folder, label):
    edit(dcase_folder / TRAIN, "\tpark", f"\t{label}")
    assert f"unknown class {label!r}; did you mean 'park'?" in refused(lambda: read(dcase_folder))


# -- groups


@pytest.fixture
def sounds(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / f"data/{label}/{i}.wav").touch()
    return tmp_path / "data"


def write_groups(folder, *extra):
    lines = [f"{label}/{i}.wav,{i}" for label in ("cat", "dog") for i in range(3)]
    (folder / "groups.csv").write_text("\n".join(["path,group", *lines, *extra]) + "\n")


def test_spaces_around_a_group_make_no_other_group(sounds):
    write_groups(sounds, "cat/0.wav, 0 ", "./cat/0.wav,0")
    assert {clip.location for clip in read_class_folders(sounds).clips} == {"0", "1", "2"}


@pytest.mark.parametrize("line", ["./cat/0.wav,1", "cat\\0.wav,1", "cat//0.wav,1"])
def test_file_in_two_groups_under_two_names_is_refused(sounds, line):
    write_groups(sounds, line)
    assert "cat/0.wav is in group 1 here and 0 further up" in refused(lambda: read_class_folders(sounds))


def test_same_name_in_two_class_folders_is_two_files(sounds):
    write_groups(sounds)
    clips = {clip.path: clip.label for clip in read_class_folders(sounds).clips}
    assert clips["cat/0.wav"] == "cat" and clips["dog/0.wav"] == "dog" and len(clips) == 6
