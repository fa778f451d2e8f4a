"""Official archives from a real server on this machine: breaks, lies, refusals, unsafe content, full disks."""

import contextlib
import hashlib
import importlib.util
import io
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import mil_asc.corpora.download as download_module
from mil_asc.corpora import official
from mil_asc.corpora.download import RECORD, download, md5_of
from mil_asc.errors import UserError
from mil_asc.paper import facts

TOOL = Path(__file__).parents[2] / "tools" / "download.py"
TOP = "TINY-2000-development"
PIECE = 2**16  # what the downloader reads at once: a break loses at most this much


class Mirror(ThreadingHTTPServer):
    """Serves ``files`` (name -> bytes) and notes every request as (name, Range header or None).

    ``answers``: status codes of the next requests; ``breaks``: after how many bytes the next bodies break off
    (None: not at all); ``ranges``: "honoured", "ignored", "refused" (416) or "wrong"; ``length``: whether
    Content-Length is told; ``hold``: a body that breaks off waits for this event with its connection open;
    ``cut`` is set when a client hung up before the end of a body.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests, self.answers, self.breaks = {}, [], [], []
        self.ranges, self.length, self.reset = "honoured", True, False
        self.hold, self.held, self.cut = None, threading.Event(), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        mirror, name, asked = self.server, self.path.strip("/"), self.headers["Range"]
        mirror.requests.append((name, asked))
        code = mirror.answers.pop(0) if mirror.answers else 200 if name in mirror.files else 404
        if asked and mirror.ranges == "refused":
            code = 416
        if code == 302:
            self.send_response(302)
            self.send_header("Location", f"{mirror.url}/{name}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if code != 200:
            return self.send_error(code)
        body, start = mirror.files[name], 0
        if asked and mirror.ranges in ("honoured", "wrong"):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            start += 1 if mirror.ranges == "wrong" else 0
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if mirror.length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        stop = mirror.breaks.pop(0) if mirror.breaks else None
        try:
            self.wfile.write(body[start:] if stop is None else body[start : start + stop])
        except OSError:
            mirror.cut.set()
        if stop is not None and mirror.hold:
            mirror.held.set()
            mirror.hold.wait()
        if stop is not None and mirror.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    if server.hold:
        server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


def zipped(files, top=TOP):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{top}/{name}" if top else name, content)
    return buffer.getvalue()


def noise(count, seed):
    return np.random.default_rng(seed).bytes(count)


CONTENT = {
    "meta.zip": {"meta.csv": b"filename\tscene_label\n", "evaluation_setup/fold1_train.csv": b"filename\n"},
    "audio.1.zip": {"audio/a.wav": noise(200_000, 1), "audio/b.wav": noise(100_000, 2)},
    "audio.2.zip": {"audio/c.wav": noise(1000, 3)},
}


def table_of(archives):
    """A table of data sets with one set, ``tiny2000``, whose archives (suffix -> bytes) these are."""
    entries = {suffix: [len(data), hashlib.md5(data).hexdigest()] for suffix, data in archives.items()}
    return {"tiny2000": {"zenodo_record": 1, "archive_prefix": TOP, "files": 3, "archives": entries}}


class Tiny:
    """A set of three archives at a mirror, downloaded into ``folder``."""

    def __init__(self, mirror, folder, archives=None):
        archives = archives or {suffix: zipped(files) for suffix, files in CONTENT.items()}
        self.archives = {f"{TOP}.{suffix}": data for suffix, data in archives.items()}
        self.table, self.mirror, self.folder, self.lines = table_of(archives), mirror, folder, []
        mirror.files = dict(self.archives)

    def download(self, tries=2, **options):
        self.mirror.requests.clear()
        self.lines.clear()
        options = {"datasets": self.table, "base_url": self.mirror.url, "pause": 0.0, **options}
        return download("Tiny2000", self.folder, tries=tries, announce=self.lines.append, **options)

    def refused(self, **options):
        """The one line a download ends with."""
        with pytest.raises(UserError) as caught:
            self.download(**options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def path(self, suffix):
        return self.folder / f"{TOP}.{suffix}"

    def asked(self, suffix):
        """The Range headers of the requests for one archive."""
        return [asked for name, asked in self.mirror.requests if name == f"{TOP}.{suffix}"]


@pytest.fixture
def tiny(mirror, tmp_path):
    return Tiny(mirror, tmp_path / "sets")


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(target):
    assert {name: data for name, data in files_below(target).items() if name != RECORD} == {
        name: data for files in CONTENT.values() for name, data in files.items()
    }


def test_set_is_fetched_checked_and_unpacked(tiny):
    target = tiny.download()
    assert target == tiny.folder / TOP
    assert_whole(target)
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


def test_archives_named_in_only_are_taken_alone(tiny):
    target = tiny.download(only=["meta", "audio.2"])
    assert sorted(files_below(target)) == sorted([RECORD, *CONTENT["meta.zip"], *CONTENT["audio.2.zip"]])
    assert tiny.lines[-1].endswith("not there yet: audio.1")
    tiny.download(only=["audio"])
    assert [name for name, _ in tiny.mirror.requests] == [f"{TOP}.audio.1.zip"]
    assert_whole(target)


@pytest.mark.parametrize("only", [["audio.3"], ["audio.1", "Meta"], [""], []])
def test_unknown_archive_is_told_with_the_legal_ones(tiny, only):
    assert "there are meta, audio.1, audio.2" in tiny.refused(only=only)
    assert tiny.mirror.requests == []


def test_archives_are_removed_if_asked(tiny):
    target = tiny.download(remove_archives=True)
    assert_whole(target)
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
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == []


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:]])
def test_file_of_an_archives_name_with_other_content_is_put_aside(tiny, damage):
    tiny.folder.mkdir()
    path = tiny.path("audio.1.zip")
    path.write_bytes(damage(tiny.archives[path.name]))
    assert_whole(tiny.download())
    assert path.with_name(path.name + ".bad").read_bytes() == damage(tiny.archives[path.name])
    assert any("renamed" in line for line in tiny.lines)


def leave_part(tiny, count, filler=None):
    tiny.folder.mkdir()
    data = tiny.archives[f"{TOP}.audio.1.zip"]
    tiny.path("audio.1.zip.part").write_bytes(data[:count] if filler is None else filler * count)
    return len(data)


def test_partial_file_from_before_is_continued(tiny):
    leave_part(tiny, 12_345)
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=12345-"]


def test_redirection_keeps_the_range(tiny):
    leave_part(tiny, 12_345)
    tiny.mirror.answers = [200, 302]
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=12345-"] * 2


def test_partial_file_that_is_whole_is_only_checked(tiny):
    leave_part(tiny, 10**6)
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == []


def test_partial_file_that_is_too_long_is_started_over(tiny):
    leave_part(tiny, 10**6, filler=b"x")
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == [None]


@pytest.mark.parametrize("ranges", ["ignored", "refused"])
def test_server_without_ranges_starts_over(tiny, ranges):
    leave_part(tiny, 12_345, filler=b"x")
    tiny.mirror.ranges = ranges
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=12345-"] + [None] * (ranges == "refused")


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_connection_that_breaks_off_is_continued(tiny, reset):
    tiny.mirror.reset = reset
    tiny.mirror.breaks = [None, 100_000, 100_000]
    assert_whole(tiny.download())
    starts = [int(asked[6:-1]) if asked else 0 for asked in tiny.asked("audio.1.zip")]
    assert len(starts) == 3 and starts[0] == 0 <= starts[1] <= starts[2]
    if not reset:  # a reset may lose what had been sent
        assert starts == [0, PIECE, 2 * PIECE]


def test_connection_that_breaks_off_at_a_server_without_ranges_starts_over(tiny):
    tiny.mirror.ranges = "ignored"
    tiny.mirror.breaks = [None, 100_000, 200_000]
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == [None, f"bytes={PIECE}-", f"bytes={3 * PIECE}-"]


def test_what_was_there_is_forgotten_when_a_server_starts_over(tiny):
    leave_part(tiny, 150_000, filler=b"x")
    tiny.mirror.ranges = "ignored"
    tiny.mirror.breaks = [None, 100_000]
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=150000-", f"bytes={PIECE}-"]


def test_connection_that_breaks_off_again_and_again_ends_the_download_and_keeps_what_came(tiny):
    tiny.mirror.ranges = "ignored"
    tiny.mirror.breaks = [None] + [100_000] * 10
    message = tiny.refused(tries=3)
    assert "broke off" in message and f"{PIECE} of" in message and "goes on" in message
    assert len(tiny.asked("audio.1.zip")) == 4
    assert tiny.path("audio.1.zip.part").read_bytes() == tiny.archives[f"{TOP}.audio.1.zip"][:PIECE]
    tiny.mirror.ranges, tiny.mirror.breaks = "honoured", []
    assert_whole(tiny.download())
    assert tiny.asked("audio.1.zip") == [f"bytes={PIECE}-"]


def test_breaks_do_not_add_up_while_much_comes_between_them(mirror, tmp_path):
    large = {"meta.zip": zipped({"audio/a.wav": noise(5_000_000, 4), "audio/b.wav": b"", "audio/c.wav": b""})}
    tiny = Tiny(mirror, tmp_path / "sets", large)
    mirror.breaks = [1_200_000] * 4
    tiny.download(tries=1)
    assert len(mirror.requests) == 5


def test_bytes_that_come_a_second_time_are_no_progress(mirror, tmp_path):
    tiny = Tiny(mirror, tmp_path / "sets", {"meta.zip": zipped({"audio/a.wav": noise(2_000_000, 4)})})
    mirror.ranges = "ignored"
    mirror.breaks = [1_500_000, 100_000] * 5
    assert "broke off" in tiny.refused(tries=2)
    assert len(mirror.requests) == 3


def test_wrong_content_is_removed_and_fetched_again(tiny):
    data = tiny.archives[f"{TOP}.audio.1.zip"]
    tiny.mirror.files[f"{TOP}.audio.1.zip"] = lie = data[:-1] + b"x"
    message = tiny.refused()
    assert hashlib.md5(lie).hexdigest() in message and hashlib.md5(data).hexdigest() in message
    assert "removed" in message
    assert not list(tiny.folder.glob("*audio*"))
    tiny.mirror.files[f"{TOP}.audio.1.zip"] = data
    assert_whole(tiny.download())
    assert tiny.asked("meta.zip") == [] and tiny.asked("audio.1.zip") == [None]


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1]], ids=["longer", "shorter"])
def test_content_of_another_size_is_refused_at_once(tiny, change):
    data = tiny.archives[f"{TOP}.audio.1.zip"]
    tiny.mirror.files[f"{TOP}.audio.1.zip"] = change(data)
    assert f"has {len(change(data))} bytes, the official archive has {len(data)}" in tiny.refused()
    assert tiny.asked("audio.1.zip") == [None]
    assert not list(tiny.folder.glob("*audio*"))


def test_content_that_does_not_end_is_cut(tiny):
    tiny.mirror.files[f"{TOP}.audio.1.zip"] += bytes(2**26)
    tiny.mirror.length = False
    assert "sends more than the official" in tiny.refused()
    assert tiny.mirror.cut.wait(30)
    assert not list(tiny.folder.glob("*audio*"))


def test_answer_with_another_piece_is_refused(tiny):
    leave_part(tiny, 12_345)
    tiny.mirror.ranges = "wrong"
    assert "another piece" in tiny.refused()
    assert tiny.path("audio.1.zip.part").stat().st_size == 12_345


def test_missing_archive_is_told_at_once(tiny):
    del tiny.mirror.files[f"{TOP}.audio.1.zip"]
    message = tiny.refused()
    assert f"{tiny.mirror.url}/{TOP}.audio.1.zip answers 404 Not Found" in message
    assert tiny.asked("audio.1.zip") == [None]


def test_busy_server_is_asked_again(tiny):
    tiny.mirror.answers = [503, 503]
    assert_whole(tiny.download(tries=2))
    assert tiny.asked("meta.zip") == [None] * 3


def test_server_that_stays_busy_is_told(tiny):
    tiny.mirror.answers = [503] * 10
    assert "answers 503 Service Unavailable, tried 3 times" in tiny.refused(tries=2)
    assert len(tiny.mirror.requests) == 3


def test_no_server_is_told(tiny):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = tiny.refused(base_url=address, tries=1)
    assert f"no connection to {address}" in message and "refused" in message


@pytest.mark.parametrize("address", ["mirror.example/x", "ftp://mirror.example", "http://"])
def test_address_that_is_none_is_told(tiny, address):
    assert f"{address.rstrip('/')}/{TOP}.meta.zip cannot be fetched" in tiny.refused(base_url=address)


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
    ],
    ids=["up", "up-inside", "absolute", "drive", "drive-inside", "backslash", "link", "pipe", "twice", "bomb"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unsafe_archive_leaves_nothing(mirror, tmp_path, bad):
    data = archive_of(entry(f"{TOP}/good.txt", content=b"good"), bad)
    tiny = Tiny(mirror, tmp_path / "sets", {"meta.zip": data})
    assert "is unsafe" in tiny.refused()
    assert [path.name for path in tmp_path.rglob("*")] == ["sets", ".download.lock"]


def test_archive_that_cannot_be_read_is_told(mirror, tmp_path):
    tiny = Tiny(mirror, tmp_path / "sets", {"meta.zip": noise(1000, 6)})
    assert "meta.zip cannot be unpacked" in tiny.refused()


def test_damage_inside_an_archive_leaves_nothing_unpacked(mirror, tmp_path):
    data = bytearray(zipped({"audio/a.wav": noise(1000, 7), "audio/b.wav": noise(100_000, 8)}))
    data[60_000] ^= 1
    tiny = Tiny(mirror, tmp_path / "sets", {"audio.1.zip": bytes(data)})
    assert "audio.1.zip cannot be unpacked" in tiny.refused()
    assert files_below(tiny.folder / TOP) == {}


@pytest.mark.parametrize("top", ["", "another-name"])
def test_folder_around_everything_may_lack_or_have_another_name(mirror, tmp_path, top):
    tiny = Tiny(mirror, tmp_path, {suffix: zipped(files, top) for suffix, files in CONTENT.items()})
    assert_whole(tiny.download())


def test_two_folders_in_an_archive_are_kept(mirror, tmp_path):
    files = {"one/a.txt": b"1", "two/b.txt": b"2"}
    tiny = Tiny(mirror, tmp_path, {"doc.zip": zipped(files, top=""), "audio.1.zip": zipped({"audio/a.wav": b""})})
    assert files.items() <= files_below(tiny.download(only=["doc"])).items()


def test_disk_that_is_plainly_too_small_is_refused_before_anything_is_fetched(tiny):
    tiny.table["tiny2000"]["archives"]["audio.1.zip"][0] = 10**18
    message = tiny.refused()
    assert "2250000000.0 GB are needed" in message and str(tiny.folder) in message
    assert tiny.mirror.requests == []


@contextlib.contextmanager
def tiny_disk(folder, size):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mount is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_full_disk_keeps_what_came(mirror, tmp_path, monkeypatch):
    with tiny_disk(tmp_path / "disk", "200k") as disk:
        tiny = Tiny(mirror, disk)
        assert "GB are needed" in tiny.refused()
        with monkeypatch.context() as patch:  # another program fills the disk after the check
            patch.setattr(download_module, "_check_free", lambda *_: None)
            assert f"the disk of {disk} is full" in tiny.refused()
        kept = tiny.path("audio.1.zip.part").stat().st_size
        assert 2 * PIECE <= kept < 200 * 1024
        subprocess.run(["mount", "-o", "remount,size=400k", str(disk)], check=True)
        assert "GB are needed" in tiny.refused()  # the archive would fit, its content would not
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert_whole(tiny.download())
        assert tiny.asked("audio.1.zip") == [f"bytes={kept}-"]


def test_size_of_the_content_is_checked_against_the_disk(mirror, tmp_path):
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    with tiny_disk(tmp_path / "disk", "300k") as disk:
        tiny = Tiny(mirror, disk, {"meta.zip": zipped({"meta.csv": b"abcdefgh" * 60_000 + noise(10_000, 9)})})
        assert "for what is in" in tiny.refused()
        assert files_below(disk / TOP) == {}


def test_folder_that_cannot_be_made_is_told(tiny):
    tiny.folder.write_text("a file")
    assert str(tiny.folder) in tiny.refused()


def test_leftovers_of_a_killed_process_are_cleared(tiny):
    staging = tiny.folder / TOP / ".unpacking"
    staging.mkdir(parents=True)
    (staging / "evaluation_setup").write_bytes(b"a file in the way")
    assert_whole(tiny.download())


def test_recording_that_has_gone_since_is_noticed(tiny):
    target = tiny.download()
    (target / "audio" / "a.wav").unlink()
    message = tiny.refused()
    assert "holds 2 recordings, the official set has 3" in message and RECORD in message
    (target / RECORD).unlink()
    assert_whole(tiny.download())
    assert tiny.mirror.requests == []


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_record_is_told(tiny, text):
    target = tiny.download()
    (target / RECORD).write_text(text)
    assert f"{target / RECORD} is damaged" in tiny.refused()


def test_checksum_is_that_of_the_whole_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert md5_of(tmp_path / "file") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5
    (tmp_path / "file").write_bytes(b"a" * 3_000_001)
    assert md5_of(tmp_path / "file") == hashlib.md5(b"a" * 3_000_001).hexdigest()


@pytest.fixture
def main(tiny, monkeypatch):
    spec = importlib.util.spec_from_file_location("download_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(download_module, "read_datasets", lambda: tiny.table)
    return lambda *options: module.main([*options, f"--to={tiny.folder}", f"--base_url={tiny.mirror.url}"])


def test_tool_prints_the_option_for_training(tiny, main, capsys):
    assert main("TINY2000", "--only=meta,audio", "--remove_archives") == 0
    assert capsys.readouterr().out == f"--data_folder={tiny.folder / TOP}\n"
    assert_whole(tiny.folder / TOP)
    assert not list(tiny.folder.glob("*.zip"))


def test_tool_ends_with_one_line_and_1(tiny, main, capsys):
    tiny.mirror.answers = [404]
    assert main("tiny2000") == 1
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"error: .*404.*\n", err)


def run(*options):
    command = [sys.executable, TOOL, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_unknown_set_is_told_with_the_legal_ones(tmp_path):
    result = run("TAU2021", "--to", tmp_path / "sets")
    assert result.returncode == 1
    assert result.stderr == (
        "error: no set is called 'TAU2021'; there are tut2018m, tau2019, tau2020m, tau2022m (upper or lower case)\n"
    )
    assert not (tmp_path / "sets").exists()


def test_stopped_tool_keeps_what_came_and_a_second_one_is_refused_meanwhile(mirror, tmp_path):
    """TAU2020m's smallest audio archive, of which the mirror sends the first 200 kB."""
    size, _ = official.read_datasets()["tau2020m"]["archives"]["audio.16.zip"]
    if shutil.disk_usage(tmp_path).free < 3 * size:
        pytest.skip("the tool wants 1 GB free for this archive")
    name = "TAU-urban-acoustic-scenes-2020-mobile-development.audio.16.zip"
    mirror.files[name] = Zeros(size)
    mirror.hold, mirror.breaks = threading.Event(), [200_000]
    options = ["TAU2020m", "--to", tmp_path, "--only=audio.16", "--base_url", mirror.url]
    command = [sys.executable, TOOL, *map(str, options)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    try:
        part = tmp_path / f"{name}.part"
        assert mirror.held.wait(60)
        for _ in range(600):
            if part.exists() and part.stat().st_size >= 2 * PIECE:
                break
            time.sleep(0.05)
        second = run(*options)
        assert second.returncode == 1 and "another process is downloading into" in second.stderr
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err == "stopped; what has come is kept, the same command goes on from there\n"
    assert part.read_bytes() == bytes(3 * PIECE)


class Zeros:
    """Stands for so many zero bytes without taking their memory."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, span):
        return bytes(span.stop - span.start)


@pytest.mark.parametrize("name", sorted(official.read_datasets()))
def test_packaged_facts_are_well_formed(name):
    known = official.read_datasets()[name]
    assert name == name.lower()
    assert known["train"] + known["test"] + known["unused"] == known["files"]
    assert isinstance(known["zenodo_record"], int)
    assert known["archive_prefix"].endswith("-development")
    suffixes = list(known["archives"])
    audio = [suffix for suffix in suffixes if suffix.startswith("audio.")]
    assert suffixes == ["doc.zip", "meta.zip", *audio]
    assert audio == [f"audio.{n + 1}.zip" for n in range(len(audio))]
    for size, md5 in known["archives"].values():
        assert isinstance(size, int) and size > 1000
        assert isinstance(md5, str) and re.fullmatch("[0-9a-f]{32}", md5)
    checksums = [md5 for _, md5 in known["archives"].values()]
    assert len(set(checksums)) == len(checksums)


def test_official_address_of_an_archive():
    archives = download_module._list_archives(official.read_datasets()["tau2019"], None)
    assert archives[2].url == (
        "https://zenodo.org/records/2589280/files/TAU-urban-acoustic-scenes-2019-development.audio.1.zip?download=1"
    )
    assert len(archives) == 23


def test_packaged_tables_are_readable():
    assert {"table", "dataset", "accuracy_percent"} <= set(facts.read_table("paper_tables.csv")[0])
    assert {"system", "accuracy_percent"} <= set(facts.read_table("published_systems.csv")[0])
