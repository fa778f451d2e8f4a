"""The files of a model folder: their names, and whether they are as they were written. Needs no PyTorch."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.results.run import MODEL_SETTINGS, place_of_run
from mil_asc.runtime.bounded_files import check_plain_file, read_bounded
from mil_asc.runtime.checksums import checksum
from mil_asc.runtime.files import set_aside

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
GRAPH = "model.onnx"
CALIBRATION = "calibration.json"
CARD = "README.md"
SETTINGS_COPY = "hyperparams.yaml"
CHECKSUMS = "checksums.sha256"
"""How to build the network; its weights; the network for ONNX Runtime; what its confidences mean and which sounds are
like its training data; the model card; the run's settings (for reading, never loaded); the checksums of all these."""
NEEDED = (CONFIG, WEIGHTS, CHECKSUMS)
MOST_BYTES = {
    CONFIG: 1_000_000,
    WEIGHTS: 1_000_000_000,
    GRAPH: 1_000_000_000,
    CALIBRATION: 2_000_000,
    CARD: 10_000_000,
    SETTINGS_COPY: 1_000_000,
    CHECKSUMS: 10_000,
}
"""All files of a model folder, and the most bytes of each. Other files in the folder are never opened."""


def is_model_folder(folder: str | Path) -> bool:
    """Whether a folder has a ``config.json``: that of a run has none."""
    return (Path(folder) / CONFIG).is_file()


def check_is_model(folder: Path) -> None:
    """A ``UserError`` unless a folder is, by the names of its files, a model folder, a run or a cross-validation."""
    if not is_model_folder(folder) and not (folder / MODEL_SETTINGS).exists() and not list(folder.glob("fold-*")):
        raise UserError(f"{folder} is neither a model folder (no {CONFIG}) nor a finished run (no {MODEL_SETTINGS})")


def left_aside(folder: str | Path) -> str:
    """Words for the end of a message that there is no such folder: what there is in its place.

    That is the old model of a replacement that was killed, or a debug run.
    """
    for old in set_aside(folder):
        if is_model_folder(old):
            return f"; its replacement was killed and left the old model as {old}: rename it, or pack again"
    debug = place_of_run(folder, debug=True)
    return f"; there is {debug}, a debug run" if debug.is_dir() else ""


def check_files(folder: str | Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """The SHA-256 checksums, by name, of a model folder's files; they must match those of ``checksums.sha256``.

    Arguments
    ---------
    folder : str or Path
        A model folder. Files that are not of ``MOST_BYTES`` are neither opened nor reported.
    without : tuple of str
        Files whose content is not read here, because the caller reads it with ``read_file``.

    Raises
    ------
    UserError
        One line: a file is missing, too large, no plain file, a link to a place outside of the folder, without a
        checksum, or does not match it; or the checksums name another file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder{left_aside(folder)}")
    for name in NEEDED:
        if not (folder / name).exists():
            raise UserError(f"{folder} is no complete model folder: {name} is missing")
    there = [name for name in MOST_BYTES if (folder / name).exists() or (folder / name).is_symlink()]
    for name in there:
        _check_place(folder, name)
        check_plain_file(folder / name, MOST_BYTES[name])
    sums = _read_checksums(folder)
    for name in there:
        if name != CHECKSUMS and name not in sums:
            raise UserError(f"{folder} is damaged: {CHECKSUMS} has no checksum of {name}")
    for name, expected in sums.items():
        if name not in there:
            raise UserError(f"{folder} is damaged: {name} is missing")
        if name not in without and _sum_of(folder / name) != expected:
            raise _damaged(folder, name)
    return sums


def read_file(folder: str | Path, name: str, sums: dict[str, str]) -> bytes:
    """The content of a model folder's file, which must match its checksum in ``sums`` (of ``check_files``)."""
    content = read_bounded(Path(folder) / name, MOST_BYTES[name])
    if sha256(content).hexdigest() != sums[name]:
        raise _damaged(folder, name)
    return content


def _sum_of(path: Path) -> str:
    try:
        return checksum(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _damaged(folder: str | Path, name: str) -> UserError:
    return UserError(f"{folder} is damaged: {name} does not match its checksum in {CHECKSUMS}")


def _read_checksums(folder: Path) -> dict[str, str]:
    text = read_bounded(folder / CHECKSUMS, MOST_BYTES[CHECKSUMS]).decode("utf-8", errors="replace")
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if found is None or found[2] not in MOST_BYTES or found[2] == CHECKSUMS or found[2] in sums:
            names = ", ".join(name for name in MOST_BYTES if name != CHECKSUMS)
            place = f"{folder / CHECKSUMS}, line {number}"
            raise UserError(f"{place}: {line[:120]!r} is no checksum of one of {names}, each once")
        sums[found[2]] = found[1]
    return sums


def _check_place(folder: Path, name: str) -> None:
    """Refuse links that lead out of the folder; those of huggingface_hub's cache lead to its ``blobs``."""
    if not (folder / name).is_symlink():
        return
    own = folder.resolve()
    target = Path(own / name).resolve()
    places = [own] + ([own.parent.parent / "blobs"] if own.parent.name == "snapshots" else [])
    if target.parent not in places:
        raise UserError(f"{folder / name} is a link to a place outside of the folder")
