"""How numba compiles the kernels of this folder, and where it keeps their code.

numba takes kept code for current as long as the file of the kernel is the same, also when another file that the kernel
has parts of has changed. Code is therefore kept in a folder of its own for every state of the sources.
"""

import hashlib
import logging
import os
import tempfile
import threading
from functools import cache
from pathlib import Path

import filelock
import numba
from numba.core.caching import NullCache

logger = logging.getLogger(__name__)

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}
"""Of the fast arithmetic, what keeps infinities and NaN, by which a training that fails shows."""


MADE = []
"""All kernels and parts."""

_lock = threading.Lock()


def kernel(function):
    """Decorator: a kernel, which is called from Python."""
    return _compiled(function)


def part(function):
    """Decorator: a part of kernels, which becomes a part of their code: numbers given to it are constants there."""
    return _compiled(function, forceinline=True)


def _compiled(function, **options):
    folder = code_folder()
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder or numba.config.CACHE_DIR
    try:
        made = numba.njit(**OPTIONS, **options, cache=folder is not None)(function)
    finally:
        numba.config.CACHE_DIR = before
    MADE.append(made)
    return made


def prepare(made, arguments):
    """Load or compile a kernel for arguments of these types, which takes seconds; the code is kept if it can be."""
    types = tuple(map(made.typeof_pyval, arguments))
    if types in made.overloads:
        return
    with _lock:
        if _keeps_code():
            try:
                with filelock.FileLock(Path(code_folder()) / "lock"):  # numba's files must not be written by two
                    made.compile(types)
                return
            except Exception as error:  # whatever a damaged file makes of unpickling: said, and compiled without
                _do_without_kept_code(error)
        made.compile(types)


def _keeps_code():
    return code_folder() is not None and not isinstance(MADE[0]._cache, NullCache)


def _do_without_kept_code(error):
    logger.warning(
        "WARNING: compiled kernels in %s cannot be used (%.200s): they are compiled for this run alone; remove that "
        "folder, or name another one in NUMBA_CACHE_DIR",
        code_folder(),
        " ".join(str(error).split()) or type(error).__name__,
    )
    for one in MADE:
        one._cache = NullCache()


@cache
def code_folder():
    """The folder of compiled code for these sources: in ``NUMBA_CACHE_DIR``, beside them, or in the user's cache.

    None, with a warning, if none of them can be written.
    """
    name = f"kernels-{digest_of_sources()}"
    here = Path(__file__).parent / "__pycache__"
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    for place in filter(None, [numba.config.CACHE_DIR, here, Path(cache_home) / "mil_asc"]):
        try:
            if not (Path(place) / name).is_dir():
                logger.info("kernels for training on this CPU are compiled, in about 20 s; later runs load them")
            os.makedirs(Path(place) / name, exist_ok=True)
            with tempfile.TemporaryFile(dir=Path(place) / name):
                return str(Path(place) / name)
        except OSError:
            continue
    logger.warning("WARNING: no folder to keep compiled kernels in (set NUMBA_CACHE_DIR): each run compiles them")
    return None


def digest_of_sources(folder=Path(__file__).parent):
    """A checksum of all modules of a folder, names and content."""
    found = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
