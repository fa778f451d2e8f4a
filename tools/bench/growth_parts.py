"""Parts of mil_asc that no command runs without sound, for ``tools/growth.py`` to run in a process of their own."""

from pathlib import Path

from mil_asc.corpora.json_manifests import read_manifests, write_manifests
from mil_asc.store.prepare import read_block

BLOCK = Path(__file__).resolve().parents[2] / "hparams/data/tau2022m.yaml"


def main(part, lists, manifests):
    """``lists``: read the lists, hold out locations; ``manifests``: also write manifests and read them."""
    corpus = read_block(BLOCK, lists, [])["corpus"]().hold_out(0.1)
    if part == "manifests":
        write_manifests(corpus, manifests, dict.fromkeys((clip.path for clip in corpus.clips), 1.0))
        assert len(read_manifests(manifests).clips) == len(corpus.clips)
    return 0
