"""A server of tiny official archives on this machine, which breaks off, lies and refuses when asked to."""

import contextlib
import hashlib
import io
import re
import socket
import struct
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mil_asc.corpora.download import RECORD, download
from mil_asc.errors import UserError

TOP = "TINY-2000-development"


PIECE = 2**16  # what the downloader reads at once: a break loses at most this much


class Mirror(ThreadingHTTPServer):
    """Serves ``files`` (name -> bytes) and notes every request as (name, Range header or None).

    ``answers``: status codes of the next requests; ``breaks``: after how many bytes the next bodies break off
    (None: not at all); ``ranges``: "honoured", "ignored", "refused" (416) or "wrong"; ``length``: whether
    Content-Length is sent; ``hold``: a body that breaks off waits for this event with its connection open;
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


@contextlib.contextmanager
def serving():
    """A ``Mirror`` that answers until the context is left."""
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
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


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_complete(target):
    assert {name: data for name, data in files_below(target).items() if name != RECORD} == {
        name: data for files in CONTENT.values() for name, data in files.items()
    }


def leave_part(tiny, count, filler=None):
    tiny.folder.mkdir()
    data = tiny.archives[f"{TOP}.audio.1.zip"]
    tiny.path("audio.1.zip.part").write_bytes(data[:count] if filler is None else filler * count)
    return len(data)


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
