"""Import this before torchaudio or SpeechBrain: it lets torchaudio go with any build of torch.

torchaudio's wheel holds a compiled part for one CUDA version, which refuses to load beside a torch built for another
version or for the CPU alone. Nothing here uses it: spectrograms and mel filters are plain Python on top of torch.
"""

import logging
import sys
import types

logger = logging.getLogger(__name__)


def import_torchaudio():
    """Import torchaudio, without its compiled part where that does not fit the installed torch."""
    try:
        import torchaudio
    except (OSError, RuntimeError) as error:  # a library that is not there, or one for another CUDA version
        logger.info("torchaudio is used without its compiled part: %s", error)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _without_compiled_part()
        import torchaudio
    return torchaudio


def _without_compiled_part():
    """What ``torchaudio._extension`` is in a build that has no compiled part."""

    def refuse(function):
        def refused(*args, **kwargs):
            raise RuntimeError(f"{function.__name__} needs torchaudio's compiled part, which does not fit this torch")

        return refused

    module = types.ModuleType("torchaudio._extension")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module.fail_if_no_align = refuse
    return module


torchaudio = import_torchaudio()
