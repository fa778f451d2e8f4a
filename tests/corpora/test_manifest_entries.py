"""Manifests whose values cannot be used, or could be read in two ways, end in one line that names file and clip."""

import copy
import json

import pytest

from mil_asc.corpora.json_manifests import read_manifests
from mil_asc.errors import UserError


def entry(name, label):
    events = [{"onset": 0.1, "offset": 0.5, "kind": "bird", "role": "distinct"}]
    known = {"city": "lisbon", "location": name, "device": "a"}
    return {"wav": f"{{data_root}}/{name}", "duration": 1.0, "label": label, **known, "events": events}


GOOD = {
    "train.json": {"a": entry("a.wav", "park"), "b": entry("b.wav", "tram")},
    "valid.json": {},
    "test.json": {"c": entry("c.wav", "park")},
    "corpus.json": {"finished": True, "data_root": "/data", "labels": ["park", "tram"], "clip_seconds": 0.0},
}
ODD = [
    None,
    True,
    -1,
    "\0",
    {},
    [1],
    ["x", "x"],
    {"a": 1},
    float("nan"),
    10**400,
    [[["x"]]],
    "{0}",
    "{data_root}/\0",
    "\ud800",
]


@pytest.fixture
def read(tmp_path):
    def read(content):
        for name, part in content.items():
            (tmp_path / name).write_text(part if isinstance(part, str) else json.dumps(part), errors="surrogatepass")
        return read_manifests(tmp_path)

    return read


def refused(read, content):
    with pytest.raises(UserError) as caught:
        read(content)
    assert str(caught.value).isprintable()
    return str(caught.value)


def changed(value, *keys):
    content = copy.deepcopy(GOOD)
    part = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return content


def test_good_manifests_are_read(read):
    assert {clip.path: clip.label for clip in read(GOOD).clips} == {"a.wav": "park", "b.wav": "tram", "c.wav": "park"}


@pytest.mark.parametrize(
    "value, keys, part",
    [
        (5, ("train.json", "a", "events"), "train.json: a: an event must have onset, offset, kind, role, got 5"),
        ("0.5", ("train.json", "a", "events", 0, "offset"), "train.json: a: an event must have"),
        (0.1, ("train.json", "a", "events", 0, "offset"), "an event must begin at 0 s or later and end after that"),
        (-0.1, ("train.json", "a", "events", 0, "onset"), "an event must begin at 0 s or later and end after that"),
        (None, ("train.json", "a", "events", 0, "role"), "train.json: a: an event must have"),
        ("{data_root}/\0.wav", ("train.json", "a", "wav"), "train.json: a: wav must be text"),
        (10**400, ("train.json", "a", "duration"), "train.json: a: duration must be a number of seconds above 0"),
        (["park", "tram", "tram"], ("corpus.json", "labels"), "labels must be a list of different names"),
        ("yes", ("corpus.json", "finished"), "the manifests are unfinished"),
        ("data", ("corpus.json", "data_root"), "data_root must be an absolute path or a URL, got 'data'"),
        (7, ("corpus.json", "notes"), "notes must be a list of lines of text"),
        ([[]], ("corpus.json", "warnings"), "warnings must be a list of lines of text"),
    ],
)
def test_value_that_cannot_be_used_is_named(read, value, keys, part):
    assert part in refused(read, changed(value, *keys))


@pytest.mark.parametrize("key", ["start", "stop", "num_frames"])
def test_part_of_a_file_is_refused(read, key):
    """Else the complete file would be used without a word."""
    message = refused(read, changed({**entry("a.wav", "park"), key: 8000}, "train.json", "a"))
    assert f"train.json: a has {key}, but files are used in full" in message


@pytest.mark.parametrize("label", ["park\nlawn", "park\x85lawn", "park\u2028lawn", "park\t"])
def test_control_character_in_a_class_is_refused(read, label):
    content = changed(["tram", label], "corpus.json", "labels")
    for name, key in (("train.json", "a"), ("test.json", "c")):
        content[name][key]["label"] = label
    assert "a control character in the class" in refused(read, content)


def test_clip_that_stands_twice_in_a_manifest_is_refused(read):
    lines = [f'"a": {json.dumps(entry("a.wav", label))}' for label in ("park", "tram")]
    content = GOOD | {"train.json": f"{{{', '.join(lines)}}}"}
    assert "train.json cannot be read: 'a' is in it twice" in refused(read, content)


def test_deeply_nested_text_is_refused(read):
    assert "train.json cannot be read" in refused(read, GOOD | {"train.json": "[" * 100_000})


@pytest.mark.parametrize("other", ["Park", "park ", " PARK"])
def test_classes_that_differ_in_case_or_spaces_alone_are_refused(read, tmp_path, other):
    content = changed(other, "test.json", "c", "label")
    facts = content.pop("corpus.json")
    content["train.json"] = json.loads(json.dumps(content["train.json"]).replace("{data_root}", facts["data_root"]))
    content["test.json"] = json.loads(json.dumps(content["test.json"]).replace("{data_root}", facts["data_root"]))
    assert "differ in case or spaces alone: use one of them" in refused(read, content)


def places(part, keys=()):
    yield keys
    for key in part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
        yield from places(part[key], (*keys, key))


@pytest.mark.parametrize("keys", [keys for keys in places(GOOD) if keys], ids=lambda keys: "-".join(map(str, keys)))
def test_no_value_anywhere_ends_in_a_traceback(read, keys):
    for value in ODD:
        try:
            read(changed(value, *keys))
        except UserError as error:
            assert str(error).isprintable()
