"""Import this before torchaudio or SpeechBrain: it makes torchaudio work with any build of torch.

The wheel of torchaudio has a compiled part for one CUDA version. It does not load together with a torch that was built
for another version or for the CPU only. mil_asc does not need it: spectrograms and mel filters are plain Python code on
top of torch.
"""

import logging
import sys
import types

logger = logging.getLogger(__name__)


def import_torchaudio():
    """Import torchaudio, without its compiled part if that does not match the installed torch."""
    try:
        import torchaudio
    except (OSError, RuntimeError) as error:  # a library is missing, or is for another CUDA version
        logger.info("torchaudio is loaded without its compiled part: %s", error)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _without_compiled_part()
        import torchaudio
    return torchaudio


def _without_compiled_part():
    """A module like ``torchaudio._extension`` in a build that has no compiled part."""

    def refuse(function):
        def refused(*args, **kwargs):
            raise RuntimeError(f"{function.__name__} needs torchaudio's compiled part, which does not match this torch")

        return refused

    module = types.ModuleType("torchaudio._extension")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module.fail_if_no_align = refuse
    return module


torchaudio = import_torchaudio()
