"""A set fetched, checked and unpacked, all of it or a part; full disks; what an earlier start left."""

import shutil
import subprocess

import pytest
from mirrors import CONTENT, PIECE, TOP, Tiny, assert_complete, files_below, noise, serving, tiny_disk, zipped

import mil_asc.corpora.download as download_module
from mil_asc.corpora.download import RECORD


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def tiny(mirror, tmp_path):
    return Tiny(mirror, tmp_path / "sets")


def test_set_is_fetched_checked_and_unpacked(tiny):
    target = tiny.download()
    assert target == tiny.folder / TOP
    assert_complete(target)
    assert [name for name, _ in tiny.mirror.requests] == list(tiny.archives)
    assert {name: data for name, data in files_below(tiny.folder).items() if name.endswith(".zip")} == tiny.archives
    assert not list(tiny.folder.rglob("*.part"))
    assert tiny.lines[-1].startswith("3 recordings")


def test_nothing_is_fetched_or_unpacked_twice(tiny):
    target = tiny.download()
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    tiny.download()
    assert tiny.mirror.requests == []
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before
    assert all("unpacked before" in line for line in tiny.lines[:-1])


def test_only_the_archives_named_are_taken(tiny):
    target = tiny.download(only=["meta", "audio.2"])
    assert sorted(files_below(target)) == sorted([RECORD, *CONTENT["meta.zip"], *CONTENT["audio.2.zip"]])
    assert tiny.lines[-1].endswith("not there yet: audio.1")
    tiny.download(only=["audio"])
    assert [name for name, _ in tiny.mirror.requests] == [f"{TOP}.audio.1.zip"]
    assert_complete(target)


@pytest.mark.parametrize("only", [["audio.3"], ["audio.1", "Meta"], [""], []])
def test_unknown_archive_is_refused_with_the_legal_ones(tiny, only):
    assert "there are meta, audio.1, audio.2" in tiny.refused(only=only)
    assert tiny.mirror.requests == []


def test_archives_are_removed_if_asked(tiny):
    target = tiny.download(remove_archives=True)
    assert_complete(target)
    assert not list(tiny.folder.glob("*.zip"))
    tiny.download()
    assert tiny.mirror.requests == []


def test_archives_of_a_set_that_is_unpacked_are_removed_if_asked(tiny):
    tiny.download()
    tiny.download(remove_archives=True)
    assert not list(tiny.folder.glob("*.zip"))


def test_archive_that_is_there_is_used(tiny):
    tiny.folder.mkdir()
    tiny.path("audio.1.zip").write_bytes(tiny.archives[f"{TOP}.audio.1.zip"])
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == []


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:]])
def test_file_of_an_archives_name_with_other_content_is_renamed(tiny, damage):
    tiny.folder.mkdir()
    path = tiny.path("audio.1.zip")
    path.write_bytes(damage(tiny.archives[path.name]))
    assert_complete(tiny.download())
    assert path.with_name(path.name + ".bad").read_bytes() == damage(tiny.archives[path.name])
    assert any("renamed" in line for line in tiny.lines)


def test_disk_that_is_much_too_small_is_refused_before_anything_is_fetched(tiny):
    tiny.table["tiny2000"]["archives"]["audio.1.zip"][0] = 10**18
    message = tiny.refused()
    assert "2250000000.0 GB are needed" in message and str(tiny.folder) in message
    assert tiny.mirror.requests == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_full_disk_keeps_what_came(mirror, tmp_path, monkeypatch):
    with tiny_disk(tmp_path / "disk", "200k") as disk:
        tiny = Tiny(mirror, disk)
        assert "GB are needed" in tiny.refused()
        with monkeypatch.context() as patch:  # another program fills the disk after the check
            patch.setattr(download_module, "check_free", lambda *_: None)
            assert f"the disk of {disk} is full" in tiny.refused()
        kept = tiny.path("audio.1.zip.part").stat().st_size
        assert 2 * PIECE <= kept < 200 * 1024
        subprocess.run(["mount", "-o", "remount,size=400k", str(disk)], check=True)
        assert "GB are needed" in tiny.refused()  # the archive would fit, its content would not
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert_complete(tiny.download())
        assert tiny.asked("audio.1.zip") == [f"bytes={kept}-"]


@pytest.mark.slow
def test_size_of_the_content_is_checked_against_the_disk(mirror, tmp_path):
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    with tiny_disk(tmp_path / "disk", "300k") as disk:
        tiny = Tiny(mirror, disk, {"meta.zip": zipped({"meta.csv": b"abcdefgh" * 60_000 + noise(10_000, 9)})})
        assert "for what is in" in tiny.refused()
        assert files_below(disk / TOP) == {}


def test_folder_that_cannot_be_made_is_refused(tiny):
    tiny.folder.write_text("a file")
    assert str(tiny.folder) in tiny.refused()


def test_recording_deleted_since_is_noticed(tiny):
    target = tiny.download()
    (target / "audio" / "a.wav").unlink()
    message = tiny.refused()
    assert "holds 2 recordings, the official set has 3" in message and RECORD in message
    (target / RECORD).unlink()
    assert_complete(tiny.download())
    assert tiny.mirror.requests == []


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_record_is_refused(tiny, text):
    target = tiny.download()
    (target / RECORD).write_text(text)
    assert f"{target / RECORD} is damaged" in tiny.refused()
