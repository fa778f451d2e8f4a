"""``mil-asc push``: upload a model folder to the Hugging Face Hub."""

from __future__ import annotations

import click


@click.command("push")
@click.argument("folder", type=click.Path())
@click.argument("to", metavar="hf:USER/MODEL")
@click.option("--private", is_flag=True, help="A model that is made is seen by its owner alone.")
@click.option("--revision", metavar="BRANCH", help="Branch; by default main.")
def command(folder: str, to: str, private: bool, revision: str | None) -> None:
    """Upload a model folder to the Hugging Face Hub.

    FOLDER was made by `mil-asc pack`. It is loaded first, so that only complete models are uploaded, and nothing else
    in it is. Needs huggingface_hub (pip install -e '.[hub]') and its login: `hf auth login` or HF_TOKEN.

    \b
    Examples:
      mil-asc push my-model hf:anna/street-sounds
      mil-asc classify street.wav --model hf:anna/street-sounds
    """
    from mil_asc.packaging.layout import check_files

    check_files(folder)  # before the import of what needs PyTorch
    from mil_asc.packaging.hub import push

    print(push(folder, to, private=private, revision=revision))
