"""Download of one official archive, with its check.

``requests`` (which SpeechBrain brings along) with urllib3's ``Retry`` carries the transfer. Continuing after a
break is done here: the packages that offer it need a newer Python, cannot continue what an earlier start left,
or append the whole file to its beginning where a server ignores ``Range``.
"""

import hashlib
import re
import time
from dataclasses import dataclass
from http.client import responses

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from mil_asc.corpora.progress import byte_bar
from mil_asc.errors import UserError

BUSY_CODES = (429, 500, 502, 503, 504)
TIMEOUT_SECONDS = (30, 60)  # to connect, and between two pieces
LONGEST_PAUSE = 120  # seconds
PIECE_BYTES, BLOCK_BYTES = 2**16, 2**20  # read at once from the network, and from the disk
PROGRESS_BYTES = 2**20  # a connection that brought fewer counts as a failed try


@dataclass(frozen=True)
class Archive:
    """One file of an official record. ``size`` in bytes; ``md5`` in hexadecimal digits."""

    suffix: str
    name: str
    url: str
    size: int
    md5: str

    @property
    def part(self):
        """What the archive is called in ``only``: its suffix without ``.zip``."""
        return self.suffix.removesuffix(".zip")


def fetch(archive, path, session, tries=6, pause=1.0):
    """Bring an archive to ``path``, from where an earlier start stopped, and check its bytes and checksum.

    Until both are correct it is called ``path`` plus ``.part``.

    Arguments
    ---------
    archive : Archive
        What to bring.
    path : Path
        Where to.
    session : requests.Session
        As ``open_session`` makes it.
    tries : int
        Connections in a row that may break off without bringing much.
    pause : float
        Time to wait after a break (in seconds); doubled each time, up to two minutes.

    Raises
    ------
    UserError
        A refusal, repeated breaks, wrong bytes.
    """
    partial = path.with_name(path.name + ".part")
    if size_of(partial) > archive.size:
        partial.unlink()
    _receive_all(archive, partial, session, tries, pause)
    found = md5_of(partial, f"{archive.part}, checking")
    if found != archive.md5:
        partial.unlink()
        raise UserError(
            f"{archive.name} from {archive.url} has the MD5 checksum {found}, the official archive has "
            f"{archive.md5}: it was removed, and the same command fetches it again"
        )
    partial.replace(path)


def _receive_all(archive, partial, session, tries, pause):
    """Write the rest of an archive, over as many connections as that takes."""
    have = furthest = size_of(partial)
    breaks = 0
    with byte_bar(f"{archive.part}, fetching", archive.size, have) as bar:
        while have < archive.size:
            reason = _receive(archive, partial, session, tries, bar)
            have = size_of(partial)
            if have > archive.size:
                partial.unlink()
                raise UserError(
                    f"{archive.url} sends more than the official {archive.size} bytes: nothing of it is kept"
                )
            if have < archive.size:
                breaks = 1 if have >= furthest + PROGRESS_BYTES else breaks + 1
                furthest = max(furthest, have)
                if breaks > tries:
                    raise UserError(
                        f"the connection to {archive.url} broke off again and again ({reason}); {have} of "
                        f"{archive.size} bytes are kept in {partial}: run the same command again to resume"
                    )
                bar.set_postfix_str(f"broken off, try {breaks} of {tries}")
                time.sleep(min(pause * 2 ** (breaks - 1), LONGEST_PAUSE))


def md5_of(path, label="checking"):
    """MD5 checksum of a file of any size, in hexadecimal digits; ``label`` names the progress bar."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, byte_bar(label, path.stat().st_size) as bar:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def is_official(path, archive, announce):
    """Whether the complete archive is at ``path``; another file of that name is renamed to ``.bad``."""
    if not path.exists():
        return False
    if size_of(path) == archive.size and md5_of(path, f"{archive.part}, checking") == archive.md5:
        return True
    aside = path.with_name(path.name + ".bad")
    path.replace(aside)
    announce(f"{path} is not the official archive (bytes or checksum differ): renamed to {aside.name}")
    return False


def open_session(tries, pause):
    """A session that repeats a request by itself while the server is busy or out of reach."""
    retry = Retry(
        total=tries,
        backoff_factor=pause,
        backoff_max=LONGEST_PAUSE,
        retry_after_max=LONGEST_PAUSE,
        status_forcelist=BUSY_CODES,
        allowed_methods=("GET",),
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # byte counts are those of the file
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _receive(archive, partial, session, tries, bar):
    """Write the rest of an archive, as much as comes in one answer; returns why no more came."""
    with _ask(archive, size_of(partial), session, tries) as response:
        start = _first_byte(archive, response, size_of(partial))
        with open(partial, "r+b" if partial.exists() else "wb") as file:
            file.truncate(start)
            file.seek(start)
            bar.n = start
            try:
                for piece in response.iter_content(PIECE_BYTES):
                    file.write(piece)
                    bar.update(len(piece))
                    if file.tell() > archive.size:
                        break
            except requests.RequestException as error:
                return _reason(error)
    return "it ended too early"


def _ask(archive, have, session, tries):
    """The server's answer to the request for all bytes from ``have`` on; a refusal is a ``UserError``."""
    later = "run the same command again to resume"
    try:
        response = session.get(archive.url, headers=_range(have), stream=True, timeout=TIMEOUT_SECONDS)
        if response.status_code == 416:  # some servers refuse any range
            response.close()
            response = session.get(archive.url, stream=True, timeout=TIMEOUT_SECONDS)
    except requests.ConnectionError as error:
        raise UserError(
            f"no connection to {archive.url}, tried {tries + 1} times ({_reason(error)}): {later}"
        ) from error
    except requests.RequestException as error:
        raise UserError(f"{archive.url} cannot be fetched: {_reason(error)}") from error
    code = response.status_code
    if code in (200, 206):
        return response
    response.close()
    answer = f"{archive.url} answers {code} {responses.get(code, '')}".rstrip()
    if code in BUSY_CODES:
        raise UserError(f"{answer}, tried {tries + 1} times; later on, {later}")
    raise UserError(f"{answer}; the address of a mirror can be given with --base_url")


def _range(have):
    return {"Range": f"bytes={have}-"} if have else {}


def _first_byte(archive, response, have):
    """Where in the archive the answer begins: 0 if the server ignores ranges."""
    start, total = 0, response.headers.get("Content-Length")
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) > have:
            raise UserError(f"{archive.url} answers with a different part of the file than was requested")
        start, total = int(match[1]), match[2]
    if total not in (None, "*", str(archive.size)):
        raise UserError(f"{archive.url} has {total} bytes, the official archive has {archive.size}: it was not fetched")
    return start


def _reason(error):
    """The innermost cause of an error of ``requests``, in a few words."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = next((a for a in reversed(error.args) if isinstance(a, str)), "") or type(error).__name__
    return " ".join(text.split())


def size_of(path):
    """Size of a file (in bytes); 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
