"""Archives from a real server on this machine: breaks, lies, refusals."""

import hashlib
import socket

import pytest
from mirrors import PIECE, TOP, Tiny, assert_complete, leave_part, noise, serving, zipped

from mil_asc.corpora.transfer import md5_of


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def tiny(mirror, tmp_path):
    return Tiny(mirror, tmp_path / "sets")


def test_partial_file_from_before_is_continued(tiny):
    leave_part(tiny, 12_345)
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=12345-"]


def test_redirection_keeps_the_range(tiny):
    leave_part(tiny, 12_345)
    tiny.mirror.answers = [200, 302]
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=12345-"] * 2


def test_complete_partial_file_is_only_checked(tiny):
    leave_part(tiny, 10**6)
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == []


def test_partial_file_that_is_too_long_is_started_over(tiny):
    leave_part(tiny, 10**6, filler=b"x")
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == [None]


@pytest.mark.parametrize("ranges", ["ignored", "refused"])
def test_server_without_ranges_starts_over(tiny, ranges):
    leave_part(tiny, 12_345, filler=b"x")
    tiny.mirror.ranges = ranges
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=12345-"] + [None] * (ranges == "refused")


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_connection_that_breaks_off_is_continued(tiny, reset):
    tiny.mirror.reset = reset
    tiny.mirror.breaks = [None, 100_000, 100_000]
    assert_complete(tiny.download())
    starts = [int(asked[6:-1]) if asked else 0 for asked in tiny.asked("audio.1.zip")]
    assert len(starts) == 3 and starts[0] == 0 <= starts[1] <= starts[2]
    if not reset:  # a reset may lose what had been sent
        assert starts == [0, PIECE, 2 * PIECE]


def test_connection_that_breaks_off_at_a_server_without_ranges_starts_over(tiny):
    tiny.mirror.ranges = "ignored"
    tiny.mirror.breaks = [None, 100_000, 200_000]
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == [None, f"bytes={PIECE}-", f"bytes={3 * PIECE}-"]


def test_partial_file_is_discarded_when_a_server_starts_over(tiny):
    leave_part(tiny, 150_000, filler=b"x")
    tiny.mirror.ranges = "ignored"
    tiny.mirror.breaks = [None, 100_000]
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == ["bytes=150000-", f"bytes={PIECE}-"]


def test_repeated_breaks_end_the_download_and_keep_what_came(tiny):
    tiny.mirror.ranges = "ignored"
    tiny.mirror.breaks = [None] + [100_000] * 10
    message = tiny.refused(tries=3)
    assert "broke off" in message and f"{PIECE} of" in message and "run the same command again" in message
    assert len(tiny.asked("audio.1.zip")) == 4
    assert tiny.path("audio.1.zip.part").read_bytes() == tiny.archives[f"{TOP}.audio.1.zip"][:PIECE]
    tiny.mirror.ranges, tiny.mirror.breaks = "honoured", []
    assert_complete(tiny.download())
    assert tiny.asked("audio.1.zip") == [f"bytes={PIECE}-"]


def test_breaks_are_not_counted_together_when_much_comes_between_them(mirror, tmp_path):
    large = {"meta.zip": zipped({"audio/a.wav": noise(5_000_000, 4), "audio/b.wav": b"", "audio/c.wav": b""})}
    tiny = Tiny(mirror, tmp_path / "sets", large)
    mirror.breaks = [1_200_000] * 4
    tiny.download(tries=1)
    assert len(mirror.requests) == 5


def test_bytes_received_twice_are_no_progress(mirror, tmp_path):
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
    assert_complete(tiny.download())
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


def test_answer_with_the_wrong_range_is_refused(tiny):
    leave_part(tiny, 12_345)
    tiny.mirror.ranges = "wrong"
    assert "a different part" in tiny.refused()
    assert tiny.path("audio.1.zip.part").stat().st_size == 12_345


def test_missing_archive_is_refused_at_once(tiny):
    del tiny.mirror.files[f"{TOP}.audio.1.zip"]
    message = tiny.refused()
    assert f"{tiny.mirror.url}/{TOP}.audio.1.zip answers 404 Not Found" in message
    assert tiny.asked("audio.1.zip") == [None]


def test_busy_server_is_asked_again(tiny):
    tiny.mirror.answers = [503, 503]
    assert_complete(tiny.download(tries=2))
    assert tiny.asked("meta.zip") == [None] * 3


def test_server_that_stays_busy_is_reported(tiny):
    tiny.mirror.answers = [503] * 10
    assert "answers 503 Service Unavailable, tried 3 times" in tiny.refused(tries=2)
    assert len(tiny.mirror.requests) == 3


def test_unreachable_server_is_reported(tiny):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = tiny.refused(base_url=address, tries=1)
    assert f"no connection to {address}" in message and "refused" in message


@pytest.mark.parametrize("address", ["mirror.example/x", "ftp://mirror.example", "http://"])
def test_malformed_address_is_refused(tiny, address):
    assert f"{address.rstrip('/')}/{TOP}.meta.zip cannot be fetched" in tiny.refused(base_url=address)


def test_checksum_covers_the_complete_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert md5_of(tmp_path / "file") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5
    (tmp_path / "file").write_bytes(b"a" * 3_000_001)
    assert md5_of(tmp_path / "file") == hashlib.md5(b"a" * 3_000_001).hexdigest()
