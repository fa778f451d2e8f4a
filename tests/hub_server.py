"""A hub on this machine: speaks as much of the Hugging Face Hub's API as uploads and downloads of a model need."""

import base64
import json
import threading
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """``server.files``: path -> content of the one repository; ``server.asked``: (method, path) of every request."""

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self):
        body, path = self.body(), self.path
        self.server.asked.append(("POST", path))
        if path.endswith("/repos/create"):
            self.server.repository = json.loads(body)
            self.answer({"url": f"{self.server.address}/anna/sounds"})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [("lfs" if file["path"].endswith(("safetensors", "onnx")) else "regular") for file in files]
            self.answer(
                {"files": [{"path": f["path"], "uploadMode": m, "shouldIgnore": False} for f, m in zip(files, modes)]}
            )
        elif path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            action = {"actions": {"upload": {"href": f"{self.server.address}/put"}}}
            self.answer({"transfer": "basic", "objects": [one | action for one in objects]})
        elif "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    self.server.files[value["path"]] = self.server.blobs[value["oid"]]
            self.answer({"commitUrl": f"{self.server.address}/anna/sounds/commit/{COMMIT}", "commitOid": COMMIT})
        else:  # validate-yaml, branches
            self.answer({})

    def do_PUT(self):
        self.server.asked.append(("PUT", self.path))
        content = self.body()
        self.server.blobs[sha256(content).hexdigest()] = content
        self.answer(b"")

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        path, files = unquote(self.path.partition("?")[0]), self.server.files
        name = path.rpartition("/")[2]
        if "/resolve/" in path and name in files:
            headers = {"ETag": f'"{sha256(files[name]).hexdigest()}"', "X_Repo_Commit": COMMIT}
            self.answer(files[name], **headers)
        elif path.startswith("/api/models/anna/sounds/tree/"):
            self.answer(
                [{"type": "file", "path": n, "size": len(c), "oid": sha256(c).hexdigest()} for n, c in files.items()]
            )
        elif path.startswith("/api/models/anna/sounds"):
            siblings = [{"rfilename": name} for name in files]
            self.answer(
                {"id": "anna/sounds", "modelId": "anna/sounds", "sha": COMMIT, "siblings": siblings, "tags": []}
            )
        else:
            self.answer(
                {"error": "there is none"}, 404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found"
            )

    do_HEAD = do_GET

    def log_message(self, *words):
        """Nothing is printed."""


@contextmanager
def running_hub():
    """A server whose ``address`` is the endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.files, server.blobs, server.asked, server.repository = {}, {}, [], None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
