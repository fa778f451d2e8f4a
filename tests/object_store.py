"""An object store on this machine, moto's server, and how tests put folders into it."""

import contextlib
import os

import pytest
import requests

REASON = 'needs s3fs and moto: pip install -e ".[remote,store]"'
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def packages():
    """Skip the test where moto or s3fs is missing."""
    for name in ("s3fs", "moto.server", "boto3", "flask"):
        pytest.importorskip(name, reason=REASON)


class ObjectStore:
    """A running server with one bucket."""

    def __init__(self, server, settings):
        import boto3

        self.server, self.settings = server, settings
        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket="sounds")

    def put(self, folder, prefix):
        """Every file below a local folder, below a prefix; returns the prefix's URL."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.client.upload_file(str(path), "sounds", f"{prefix}/{path.relative_to(folder).as_posix()}")
        return f"s3://sounds/{prefix}"

    def remove(self, key):
        """Remove one object."""
        self.client.delete_object(Bucket="sounds", Key=key)

    def stop(self):
        """End the server: nothing answers any more."""
        if self.server is not None:
            self.server.stop()
            self.server = None


@contextlib.contextmanager
def running():
    """An ``ObjectStore``, which the environment of this process and of those that it starts leads to."""
    packages()
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = dict.fromkeys(CREDENTIALS, "test") | {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        requests.post(
            f"{settings['AWS_ENDPOINT_URL']}/moto-api/reset", timeout=60
        )  # servers of a process share buckets
        store = ObjectStore(server, settings)
        try:
            yield store
        finally:
            store.stop()
            fsspec.get_filesystem_class("s3").clear_instance_cache()
