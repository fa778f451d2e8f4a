"""Files that only ffmpeg decodes: their samples, errors, and what is said where it is not installed."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tones import AMPLITUDE, HZ, amplitude_at, reason, sine, write

from mil_asc.audio import decode as module
from mil_asc.audio import ffmpeg
from mil_asc.audio.decode import decode, read_duration
from mil_asc.audio.ffmpeg import FFMPEG_SUFFIXES, has_ffmpeg
from mil_asc.errors import AudioError, UserError

requires_ffmpeg = pytest.mark.skipif(not has_ffmpeg(), reason="ffmpeg is not installed")


def convert(path, wav=None, rate=44100, options=()):
    """A sine (or ``wav``) in the format that the ending of the path names."""
    soundfile.write(path.with_suffix(".wav"), sine(2, rate) if wav is None else wav, rate)
    command = ["ffmpeg", "-v", "error", "-y", "-i", path.with_suffix(".wav"), *options, path]
    subprocess.run(command, check=True)
    return path


@requires_ffmpeg
@pytest.mark.parametrize("suffix", (*FFMPEG_SUFFIXES, ".M4A", ".opus"))
def test_compressed_file_is_decoded(tmp_path, suffix):
    path = convert(tmp_path / f"a b{suffix}")
    wav = decode(path)
    assert wav.dtype == np.float32 and 32000 <= len(wav) < 34000  # the codec's frames are not cut off in all formats
    assert amplitude_at(wav, HZ) == pytest.approx(AMPLITUDE, rel=0.03)
    assert read_duration(path) == pytest.approx(len(wav) / 16000, abs=1e-3)


@requires_ffmpeg
@pytest.mark.parametrize(
    "content, name, said",
    [
        ("wav", "x.m4a", "it looks like WAV, which the ending .m4a does not say: name it .wav"),
        ("flac", "x.WEBM", "it looks like FLAC, which the ending .WEBM does not say: name it .flac"),
        ("mp3", "x.aac", "it looks like MP3, which the ending .aac does not say: name it .mp3"),
        ("aac", "x.mp3", "it looks like AAC, which the ending .mp3 does not say: name it .aac"),
        ("m4a", "x.wav", "it looks like MP4, which the ending .wav does not say: name it .m4a"),
        ("webm", "x", "it looks like WebM, and its name has no ending: name it .webm"),
    ],
)
def test_ending_of_another_format_is_said(tmp_path, content, name, said):
    path = convert(tmp_path / f"a.{content}") if content != "wav" else write(tmp_path / "a.wav")
    path.rename(tmp_path / name)
    assert reason(tmp_path / name).endswith(f"; {said}")


@requires_ffmpeg
def test_channels_of_a_compressed_file_are_averaged(tmp_path):
    wav = np.stack([1.5 * sine(2, 44100), 0.5 * sine(2, 44100)], axis=1)
    assert amplitude_at(decode(convert(tmp_path / "a.m4a", wav)), HZ) == pytest.approx(AMPLITUDE, rel=0.03)


@requires_ffmpeg
@pytest.mark.parametrize("name", ("-a.m4a", "http:a.m4a", "concat:a.m4a|b.m4a", "é\nb.m4a"))
def test_name_is_never_taken_for_an_option_or_an_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    convert(tmp_path / "a.m4a").rename(tmp_path / name)
    assert len(decode(name)) > 32000


@requires_ffmpeg
@pytest.mark.parametrize("suffix, options", [(".m4a", ()), (".mp4", ("-movflags", "+faststart")), (".webm", ())])
def test_truncated_compressed_file_is_refused(tmp_path, suffix, options):
    path = convert(tmp_path / f"a{suffix}", options=options)
    path.write_bytes(path.read_bytes()[:-5000])
    assert reason(path).startswith("truncated: the header states ")


@requires_ffmpeg
def test_truncated_recording_of_unknown_length_is_refused(tmp_path):
    path = convert(tmp_path / "a.webm", options=("-live", "1"))
    path.write_bytes(path.read_bytes()[:-100])
    assert "ended prematurely" in reason(path)


@requires_ffmpeg
@pytest.mark.parametrize("content", (b"text" * 1000, b"\0" * 5000, bytes(range(256)) * 20))
@pytest.mark.parametrize("suffix", FFMPEG_SUFFIXES)
def test_what_ffmpeg_cannot_decode_is_a_bad_file(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert reason(path).startswith(("ffmpeg cannot decode it (", "truncated"))


@requires_ffmpeg
def test_playlist_does_not_make_ffmpeg_read_other_files(tmp_path):
    convert(tmp_path / "other.m4a")
    path = tmp_path / "a.m4a"
    path.write_text(f"ffconcat version 1.0\nfile {tmp_path}/other.m4a\n")
    assert reason(path).startswith("ffmpeg cannot decode it (")


@requires_ffmpeg
def test_silent_compressed_file_is_refused(tmp_path):
    assert reason(convert(tmp_path / "a.m4a", np.zeros(44100))) == "silent (every sample is zero)"


def program(folder, text):
    """An ffmpeg of our own."""
    path = folder / "bin/ffmpeg"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path.parent


@pytest.fixture
def m4a(tmp_path):
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x10ftypM4A \0\0\0\0")
    return path


@requires_ffmpeg
def test_play_list_is_refused_and_the_file_it_names_is_not_read(tmp_path):
    inner = convert(tmp_path / "inner.m4a", sine(2, 16000))
    path = tmp_path / "list.mp4"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{inner}\n#EXT-X-ENDLIST\n")
    said = reason(path)
    assert "not on whitelist" in said
    assert str(tmp_path) not in said


def test_time_limit(m4a, monkeypatch):
    monkeypatch.setenv("PATH", f"{program(m4a.parent, 'exec sleep 60')}:{os.environ['PATH']}")
    monkeypatch.setattr(ffmpeg, "TIME_LIMIT", 0.1)
    assert reason(m4a) == "ffmpeg did not decode it within 0.1 s"


def test_failure_without_a_word_is_a_bad_file(m4a, monkeypatch):
    monkeypatch.setenv("PATH", str(program(m4a.parent, "exit 3")))
    assert reason(m4a) == "ffmpeg cannot decode it (status 3)"


@pytest.fixture
def other_system(tmp_path, monkeypatch):
    """A system without files in memory; its folder of temporary files."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def test_other_systems_decode_the_same_through_a_temporary_file(m4a, monkeypatch, other_system):
    wav = write(m4a.with_suffix(".wav"), 1.5 * sine(2, 44100), 44100, subtype="FLOAT")
    program(m4a.parent, f"cat {wav}")
    monkeypatch.setenv("PATH", f"{m4a.parent / 'bin'}:{os.environ['PATH']}")
    np.testing.assert_array_equal(decode(m4a), decode(wav))
    assert read_duration(m4a) == 2.0
    assert list(other_system.iterdir()) == []


@requires_ffmpeg
def test_other_systems_refuse_what_ffmpeg_cannot_decode(m4a, other_system):
    assert reason(m4a).startswith("ffmpeg cannot decode it (") and list(other_system.iterdir()) == []


def test_missing_folder_of_temporary_files_is_not_an_error_of_the_recording(m4a, monkeypatch, other_system):
    monkeypatch.setenv("PATH", str(program(m4a.parent, "exit 0")))
    other_system.rmdir()
    with pytest.raises(UserError, match="ffmpeg needs a folder for temporary files: set TMPDIR") as caught:
        decode(m4a)
    assert not isinstance(caught.value, AudioError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_not_an_error_of_the_recording(m4a, monkeypatch, other_system, number):
    monkeypatch.setenv("PATH", str(program(m4a.parent, f"echo 'a.m4a: {os.strerror(number)}' >&2; exit 1")))
    with pytest.raises(AudioError) as caught:
        decode(m4a)
    assert caught.value.__cause__.errno == number and str(caught.value) == f"{m4a}: {os.strerror(number).lower()}"


@requires_ffmpeg
def test_recording_longer_than_the_limit_is_refused_and_not_decoded_to_its_end(tmp_path, monkeypatch):
    path = convert(tmp_path / "a.m4a", sine(10, 44100))
    monkeypatch.setattr(module, "MAX_HOURS", 1 / 3600)
    assert reason(path) == "longer than 1 s, which is the most that is allowed: cut it into parts"
    monkeypatch.setattr(module, "_check_header", lambda *_: None)
    assert read_duration(path) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("call", (decode, read_duration))
def test_file_is_refused_with_the_command_that_converts_it_where_ffmpeg_is_missing(m4a, monkeypatch, call):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AudioError) as caught:
        call(m4a)
    assert str(caught.value) == (
        f"{m4a}: needs ffmpeg, which is not installed here: install it, or convert the file (ffmpeg -i a.m4a a.wav)"
    )


@requires_ffmpeg
def test_decoded_file_is_at_most_what_the_process_may_write(tmp_path):
    """Hours of silence take a few kilobytes."""
    path = tmp_path / "a.webm"
    source = ("-f", "lavfi", "-i", "anullsrc=r=96000:cl=7.1", "-t", "60", "-c:a", "flac", "-f", "matroska")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, path], check=True)
    assert path.stat().st_size < 100_000
    program = "\n".join(
        (
            "import resource, sys",
            "from mil_asc.audio.decode import read_duration",
            "from mil_asc.errors import AudioError",
            "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))",
            "try:",
            "    print(read_duration(sys.argv[1]))",
            "except AudioError as error:",
            "    print(error)",
        )
    )
    said = [
        subprocess.run([sys.executable, "-c", program, path, str(most)], capture_output=True, text=True, check=True)
        for most in (100_000_000, 200_000_000)
    ]
    assert said[0].stdout == f"{path}: decoded, it takes more memory than is allowed: cut it into parts\n"
    assert float(said[1].stdout) == pytest.approx(60, abs=0.1)


def test_ffmpeg_ends_with_its_killed_process(m4a):
    """Here an ffmpeg of our own, which says its process number and sleeps."""
    folder = program(m4a.parent, f"echo $$ > {m4a.parent}/pid\nexec sleep 60")
    words = [sys.executable, "-c", "import sys; from mil_asc.audio.decode import decode; decode(sys.argv[1])", m4a]
    process = subprocess.Popen(words, env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"})
    number = m4a.parent / "pid"
    wait_for(lambda: number.is_file() and number.read_text().endswith("\n"))
    found = Path(f"/proc/{number.read_text().strip()}")
    assert found.exists()
    process.kill()
    process.wait()
    wait_for(lambda: not found.exists() or "\nState:\tZ" in (found / "status").read_text())


def wait_for(happened, seconds=30):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
