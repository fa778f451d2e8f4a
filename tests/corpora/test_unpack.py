"""Archives that are unsafe, damaged or unusual."""

import io
import stat
import zipfile

import numpy as np
import pytest
from mirrors import CONTENT, TOP, Tiny, assert_complete, files_below, noise, serving, zipped

from mil_asc.corpora.unpack import unpack
from mil_asc.errors import UserError


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def tiny(mirror, tmp_path):
    return Tiny(mirror, tmp_path / "sets")


def entry(name, kind=stat.S_IFREG, content=b"escaped"):
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info, content


def archive_of(*entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in entries:
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "bad",
    [
        entry("../escaped.txt"),
        entry(f"{TOP}/../../escaped.txt"),
        entry("/tmp/escaped.txt"),
        entry("C:escaped.txt"),
        entry(f"{TOP}/C:/escaped.txt"),
        entry("..\\escaped.txt"),
        entry(f"{TOP}/audio", stat.S_IFLNK, b"/tmp"),
        entry(f"{TOP}/pipe", stat.S_IFIFO),
        entry(f"{TOP}/good.txt"),
        entry(f"{TOP}/zeros.wav", content=bytes(10**7)),
        entry(f"{TOP}/{'d/' * 2000}x.wav"),
        entry(f"{TOP}/{'d/' * 40}x.wav"),
        entry(f"{TOP}/{'x' * 2000}.wav"),
        entry(f"{TOP}/good.txt/inside.wav"),
    ],
    ids=[
        *("up", "up-inside", "absolute", "drive", "drive-inside", "backslash", "link", "pipe", "twice", "bomb"),
        *("2000-deep", "40-deep", "long", "file-and-folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unsafe_archive_leaves_nothing(mirror, tmp_path, bad):
    data = archive_of(entry(f"{TOP}/good.txt", content=b"good"), bad)
    tiny = Tiny(mirror, tmp_path / "sets", {"meta.zip": data})
    assert "is unsafe" in tiny.refused()
    assert list(tmp_path.rglob("*")) == []


def test_unreadable_archive_is_refused(mirror, tmp_path):
    tiny = Tiny(mirror, tmp_path / "sets", {"meta.zip": noise(1000, 6)})
    assert "meta.zip cannot be unpacked" in tiny.refused()


def test_damage_inside_an_archive_leaves_nothing_unpacked(mirror, tmp_path):
    data = bytearray(zipped({"audio/a.wav": noise(1000, 7), "audio/b.wav": noise(100_000, 8)}))
    data[60_000] ^= 1
    tiny = Tiny(mirror, tmp_path / "sets", {"audio.1.zip": bytes(data)})
    assert "audio.1.zip cannot be unpacked" in tiny.refused()
    assert files_below(tiny.folder / TOP) == {}


@pytest.mark.parametrize("top", ["", "another-name"])
def test_folder_around_everything_may_be_missing_or_have_another_name(mirror, tmp_path, top):
    tiny = Tiny(mirror, tmp_path, {suffix: zipped(files, top) for suffix, files in CONTENT.items()})
    assert_complete(tiny.download())


def test_two_folders_in_an_archive_are_kept(mirror, tmp_path):
    files = {"one/a.txt": b"1", "two/b.txt": b"2"}
    tiny = Tiny(mirror, tmp_path, {"doc.zip": zipped(files, top=""), "audio.1.zip": zipped({"audio/a.wav": b""})})
    assert files.items() <= files_below(tiny.download(only=["doc"])).items()


def test_leftovers_of_a_killed_process_are_cleared(tiny):
    staging = tiny.folder / TOP / ".unpacking"
    staging.mkdir(parents=True)
    (staging / "evaluation_setup").write_bytes(b"a file in the way")
    assert_complete(tiny.download())


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def compressed(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(f"{TOP}/audio/\u00e4.wav", noise(300, 9))
        archive.writestr(f"{TOP}/meta.csv", b"abc" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize("method", METHODS, ids=["stored", "deflate", "bzip2", "lzma"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_flipped_bytes_and_cuts_end_in_one_line(tmp_path, method):
    rng, whole = np.random.default_rng(0), compressed(method)
    refused = 0
    for number in range(300):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        path = tmp_path / "x.zip"
        path.write_bytes(data[: rng.integers(len(data))] if number % 5 == 0 else data)
        try:
            unpack(path, tmp_path / "set")
        except UserError as error:
            assert str(error).isprintable()
            refused += 1
    assert 200 < refused < 300


@pytest.mark.parametrize("method", METHODS, ids=["stored", "deflate", "bzip2", "lzma"])
def test_undamaged_archive_of_any_method_is_unpacked(tmp_path, method):
    (tmp_path / "x.zip").write_bytes(compressed(method))
    assert unpack(tmp_path / "x.zip", tmp_path / "set") == 2
