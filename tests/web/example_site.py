"""The page of ``examples/browser`` as its README puts it together, on a static server that keeps a record."""

import re
import shutil
import subprocess
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import browser
import pytest
import tiny

EXAMPLE = tiny.ROOT / "examples/browser"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
RUNTIME = re.search(r"npm pack --ignore-scripts (\S+)", README)[1]
RUNTIME_FILES = re.findall(r"package/(dist/\S+)", README)
BLANK = "<!DOCTYPE html><title>modules</title>"
"""A page without a policy, from which tests import single modules."""


def runtime_files(folder):
    """The files of onnxruntime-web that the README names, got by its command; skips without npm or its registry."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    done = subprocess.run(
        ["npm", "pack", "--ignore-scripts", RUNTIME], cwd=folder, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        pytest.skip(f"npm pack {RUNTIME} failed: {done.stderr.strip().splitlines()[-1]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return {name.split("/")[-1]: archive.extractfile(f"package/{name}").read() for name in RUNTIME_FILES}


def put_together(folder, runtime, model):
    """A copy of the example with the runtime's files and the bytes of a model; None leaves them out."""
    shutil.copytree(EXAMPLE, folder)
    (folder / "blank.html").write_text(BLANK, encoding="utf-8")
    if model is not None:
        (folder / "model.onnx").write_bytes(model)
    if runtime is not None:
        (folder / "ort").mkdir()
        for name, data in runtime.items():
            (folder / "ort" / name).write_bytes(data)


class _Recorded(SimpleHTTPRequestHandler):
    """A static host that notes method, path and length of the body of every request."""

    def log_message(self, form, *values):
        self.server.requests.append((self.requestline, int(self.headers.get("Content-Length", 0))))


@contextmanager
def static_host(folder):
    """The address of a static server of a folder, and the list of requests that it got."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Recorded, directory=folder)) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server.requests
        finally:
            server.shutdown()
            thread.join()


class PageVisit(browser.Visit):
    """The page in a window of its own."""

    def open(self, path="/"):
        """Loads it; returns when its model is ready, or when it said why there is none."""
        self.page.goto(self.address + path)
        self.page.wait_for_function(
            "() => !document.querySelector('#file').disabled || document.querySelector('#error').textContent"
        )
        return self

    def modules(self):
        """Loads a page that shows nothing, for ``page.evaluate`` to import modules."""
        self.page.goto(f"{self.address}/blank.html")
        return self.page
