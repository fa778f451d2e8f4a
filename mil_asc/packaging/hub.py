"""Upload of a model folder to a hub."""

from __future__ import annotations

from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.packaging.folder import load_model_folder
from mil_asc.packaging.layout import CARD, CHECKSUMS, MOST_BYTES
from mil_asc.packaging.sources import check_revision, hub_errors, repository_of


def push(
    folder: str | Path,
    to: str,
    *,
    private: bool = False,
    revision: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Upload a model folder; returns the address of the commit.

    Arguments
    ---------
    folder : str or Path
        A model folder. It is loaded first, so that only complete models are uploaded; of other files in it, none is.
    to : str
        ``hf:user/model``; made if there is no such model.
    private : bool
        Whether only its owner sees a model that is made.
    revision : str, optional
        Branch; default: ``main``.
    endpoint : str, optional
        Address of the hub; default: that of huggingface_hub.
    token : str, optional
        Access token; default: that of huggingface_hub (``HF_TOKEN``, ``hf auth login``).

    Raises
    ------
    UserError
        The folder is no complete model folder, huggingface_hub is missing, or the hub refuses.
    ArgumentError
        ``to`` is no ``hf:user/model``, or ``revision`` can be no branch.
    """
    repository = repository_of(to)
    check_revision(revision)
    folder = Path(folder)
    load_model_folder(folder)
    for name in (CARD, CHECKSUMS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}, which a published model needs")
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UserError("push needs huggingface_hub: pip install huggingface_hub") from error
    api = HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            commit_message="Upload a mil_asc model",
            allow_patterns=list(MOST_BYTES),
        )
    except hub_errors() as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{folder} cannot be uploaded to {to}: {reason}") from error
    return str(commit.commit_url)
