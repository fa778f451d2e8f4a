"""From ``source=`` to a folder: a local path, the name of a shipped model, or ``hf:user/model``. Needs no PyTorch."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any

from mil_asc.errors import ArgumentError, UserError, is_storable
from mil_asc.packaging.layout import CONFIG, MOST_BYTES, left_aside
from mil_asc.runtime.files import size_text

SHIPPED = Path(__file__).parent / "shipped"
HUB = "hf:"
REVISION = re.compile(r"[^\W_][^\s~^:?*\[\\\x00-\x1f\x7f]{0,255}")
"""As git allows names of branches, and no more."""
REPOSITORY = re.compile(r"[\w\-.]{1,96}/[\w\-.]{1,96}", re.ASCII)


def shipped_models() -> list[str]:
    """Names of the models that come with the package.

    Example
    -------
    >>> isinstance(shipped_models(), list)
    True
    """
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def resolve_source(
    source: str | Path,
    revision: str | None = None,
    cache: str | Path | None = None,
    offline: bool = False,
    endpoint: str | None = None,
) -> Path:
    """The folder, or ONNX file, that a source names.

    Arguments
    ---------
    source : str or Path
        The path of a run's or a model's folder, or of an ONNX file; the name of a shipped model (a folder of this name
        comes first); or ``hf:user/model``. Only the last uses the network, and needs huggingface_hub.
    revision : str, optional
        Branch, tag or commit of a model on the hub.
    cache : str or Path, optional
        Folder for downloads; default: that of huggingface_hub.
    offline : bool
        Take a model of the hub from the cache alone. The environment variable ``HF_HUB_OFFLINE=1`` does so too.
    endpoint : str, optional
        Address of the hub; default: that of huggingface_hub (``HF_ENDPOINT``).

    Returns
    -------
    Path

    Raises
    ------
    UserError
        There is no such folder, shipped model, or model on the hub: one line with the names that there are.
    ArgumentError
        An argument is of another kind.

    Example
    -------
    >>> resolve_source("no-such-model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mil_asc.errors.UserError: no-such-model: there is no such folder and no shipped model of this name ...
    """
    if not isinstance(source, str | os.PathLike) or not str(source) or not is_storable(str(source)):
        raise ArgumentError(f"source must be a folder, a shipped model's name or hf:user/model, got {source!r:.80}")
    if isinstance(source, str) and source.startswith(HUB):
        return _download(source, revision, cache, offline, endpoint)
    if revision is not None:
        raise ArgumentError(f"revision is for models on the hub (hf:user/model), not for {str(source)!r:.80}")
    if os.path.isdir(source) or (os.path.isfile(source) and str(source).endswith(".onnx")):
        return Path(source)
    if os.path.exists(source):
        raise UserError(f"{source} is no folder: name a run's or a model's folder")
    if isinstance(source, str) and source in shipped_models():
        return SHIPPED / source
    names = f"({_alternatives(source)}){left_aside(source)}"
    raise UserError(f"{source}: there is no such folder and no shipped model of this name {names}")


def repository_of(source: str) -> str:
    """``user/model`` of ``hf:user/model``; an ``ArgumentError`` for anything else.

    Example
    -------
    >>> repository_of("hf:anna/street-sounds")
    'anna/street-sounds'
    """
    name = source[len(HUB) :] if isinstance(source, str) and source.startswith(HUB) else ""
    if not REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise ArgumentError(f"a model on the hub must be named like hf:user/model, got {source!r:.80}")
    return name


def check_revision(revision: str | None) -> None:
    """An ``ArgumentError`` unless it is None or may name a branch, a tag or a commit: an empty text would mean main.

    Example
    -------
    >>> check_revision("v1.0"), check_revision(None)
    (None, None)
    """
    if revision is None:
        return
    if not isinstance(revision, str) or not REVISION.fullmatch(revision) or ".." in revision:
        raise ArgumentError(f"revision must be the name of a branch, tag or commit such as v1.0, got {revision!r:.80}")


def _alternatives(source: str | Path) -> str:
    names = shipped_models()
    near = difflib.get_close_matches(str(source), names, n=2)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"shipped: {', '.join(names) or 'none'}{meant}; a model on the hub is named like hf:user/model"


def _download(source: str, revision: str | None, cache: str | Path | None, offline: bool, endpoint: str | None) -> Path:
    """The folder of a model on the hub in the local cache; only files of a model folder are downloaded."""
    name = repository_of(source)
    check_revision(revision)
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise UserError(f"{source} needs huggingface_hub: pip install huggingface_hub") from error
    options = {"revision": revision, "cache_dir": cache, "allow_patterns": list(MOST_BYTES), "endpoint": endpoint}
    try:
        from_cache = offline or not _is_on_hub(source, options)
        return Path(snapshot_download(name, local_files_only=from_cache, **options))  # type: ignore[call-overload]
    except LocalEntryNotFoundError as error:
        where = "not in the cache (offline)" if offline else "the hub cannot be reached, and it is not in the cache"
        raise UserError(f"{source}: {where}") from error
    except hub_errors() as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{source} cannot be downloaded: {reason}") from error


def _is_on_hub(source: str, options: dict[str, Any]) -> bool:
    """Whether the hub can be reached; a ``UserError`` if it has no such model, or files of an illegal size."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError, HfHubHTTPError, RepositoryNotFoundError

    try:
        files = snapshot_download(repository_of(source), dry_run=True, **options)
    except DryRunError as error:  # its own words hide the reason
        cause = error.__cause__
        if isinstance(cause, RepositoryNotFoundError):
            raise UserError(f"{source} cannot be downloaded: the hub has no such model, or it is private") from error
        if isinstance(cause, HfHubHTTPError):
            raise cause from None
        return False
    for file in files:
        most = MOST_BYTES.get(file.filename, 0)
        if file.file_size > most:
            size = f"{size_text(file.file_size)}, at most {size_text(most)} are legal"
            raise UserError(f"{source}: {file.filename} has {size}")
    return True


def hub_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises: refusals of the hub, a network that does not answer, a name or a file it refuses."""
    from huggingface_hub.errors import HTTPError  # the base of its HTTP client's errors

    return HTTPError, OSError, ValueError, RuntimeError
