"""Objects at URLs of several schemes: listed in order, fetched into files without a name, refused in one line."""

import contextlib
import functools
import http.server
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mil_asc.errors import UserError
from mil_asc.runtime.remote_files import (
    ObjectMissing,
    absolute,
    check_url,
    fetched,
    has_version,
    is_object,
    is_url,
    object_url,
    objects_below,
    refuse_one_slash,
    refuse_url,
)

fsspec = pytest.importorskip("fsspec", reason='needs fsspec: pip install -e ".[remote]"')
CONTENT = {"a.wav": "a", "b c%20#?.wav": "bb", "night/d.wav": "ddd", "night/deep #1/e.wav": "e", "z/f.wav": "f"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with its listings, and prints nothing."""

    def log_message(self, *arguments):
        return None


@pytest.fixture
def folder(tmp_path):
    for name, text in CONTENT.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    return tmp_path / "tree"


@contextlib.contextmanager
def served(folder):
    """The URL of a web server's listing."""
    pytest.importorskip("aiohttp", reason='needs aiohttp: pip install -e ".[remote]"')
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def in_memory(folder):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/place/tree", recursive=True)
    try:
        yield "memory://place/tree"
    finally:
        memory.rm("/place", recursive=True)


@pytest.fixture(params=["file", "http", "memory"])
def url(request, folder):
    places = {"file": lambda: contextlib.nullcontext(f"file://{folder}"), "http": lambda: served(folder)}
    with (places | {"memory": lambda: in_memory(folder)})[request.param]() as found:
        yield found


def text_of(url):
    with fetched(url) as path:
        return Path(path).read_text()


def test_objects_are_listed_in_order_and_fetched(url):
    found = list(objects_below(f"{url}/"))
    assert [each.name for each in found] == list(CONTENT)
    assert all(each.size in (None, len(CONTENT[each.name])) for each in found)
    assert {each.name: text_of(object_url(url, each.name)) for each in found} == CONTENT
    assert is_object(f"{url}/a.wav")


def test_what_is_missing_is_an_error_of_its_own(url):
    with pytest.raises(ObjectMissing, match="no such object"):
        text_of(f"{url}/lost.wav")
    with pytest.raises(ObjectMissing, match="no such object"):
        list(objects_below(f"{url}/lost"))


def test_changed_object_has_another_version(folder):
    before = {each.name: each.version for each in objects_below(f"file://{folder}")}
    (folder / "a.wav").write_text("b")
    os.utime(folder / "a.wav", (1, 1))
    after = {each.name: each.version for each in objects_below(f"file://{folder}")}
    assert [name for name in before if before[name] != after[name]] == ["a.wav"]


def test_versions_of_a_listing_and_of_an_object_are_compared(url):
    for each in objects_below(url):
        assert each.version is None or has_version(object_url(url, each.name), each.version)
    found = [each for each in objects_below(url) if each.version is not None]
    kinds = {each.version.partition(" ")[0] for each in found}
    for kind in kinds:
        assert not has_version(object_url(url, found[0].name), f"{kind} other")
    if found:
        assert has_version(object_url(url, found[0].name), "etag any")  # which these places do not state


def test_copy_has_no_name_and_is_gone_afterwards(folder, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with fetched(f"file://{folder}/night/d.wav", scratch) as path:
        assert Path(path).read_text() == "ddd" and os.listdir(scratch) == []
        assert os.path.realpath(path).startswith(str(scratch))
    assert not os.path.exists(path)


def test_copy_that_does_not_fit_is_one_line(folder, tmp_path):
    (folder / "large.wav").write_bytes(bytes(100_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(UserError, match="large.wav: .*File too large"):
            text_of(f"file://{folder}/large.wav")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_missing_folder_of_temporary_files_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match="set TMPDIR"), fetched(f"file://{folder}/a.wav", tmp_path / "none"):
        pass


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nothing://bucket/a", "fsspec knows no nothing://"),
        ("simplecache::s3://bucket/a", "is no URL such as"),
        ("file:///a::s3://bucket/a", "is no URL such as"),
        ("s3://me:secret@bucket/a", r"^s3://\.\.\.: a name or password before an @"),
        ("s3://me:sec/ret@bucket/a", r"^s3://\.\.\.: a name or password before an @"),
        ("https://token@host/a", r"^https://\.\.\.: a name or password before an @"),
        ("https://host/a?signature=secret", r"^https://host/a\?\.\.\.: what follows the \?"),
        ("https://me:p@ss@host/a", r"^https://\.\.\.: a name or password before an @"),
    ],
)
def test_urls_that_cannot_be_used(url, said):
    with pytest.raises(UserError, match=said) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("missing", "said"), [("fsspec", "URLs need fsspec"), ("s3fs", "s3fs")])
def test_missing_package_is_named_with_its_extra(missing, said):
    block = f"import sys; sys.modules[{missing!r}] = None\n"
    block += "from mil_asc.runtime.remote_files import check_url\ncheck_url('s3://bucket/a')"
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert "UserError: s3://bucket/a: " in last and said in last and 'pip install -e ".[remote]"' in last


def test_nothing_is_imported_before_a_url_is_used():
    block = "import sys, mil_asc.cli.found_recordings, mil_asc.store.build; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", block]).returncode == 0


def test_local_paths_are_no_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "C:").mkdir()
    assert not any(map(is_url, ["a.wav", "/a", "C:/a", "s3:/a", "", "a://"[1:], Path("s3://a")]))
    assert absolute("a") == str(tmp_path / "a")
    refuse_url("--to", "results/a")
    refuse_url("--to", "C:")
    for text in ("s3://bucket/a", Path("s3://bucket/a")):
        with pytest.raises(UserError, match="--to s3://[a-z].*a URL does not work here"):
            refuse_url("--to", text)


def test_a_url_with_one_slash_is_guessed(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"^s3:/sounds/a: no such file or folder; did you mean s3://sounds/a\?"):
        refuse_one_slash("s3:/sounds/a")
    refuse_one_slash("s3://sounds/a")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    refuse_one_slash("s3:/")
