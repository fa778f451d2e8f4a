"""Feature-map extractors: one file each, all with the interface of ``mil_asc.model.extractors.base.Extractor``."""

import importlib
import pkgutil

from mil_asc.model.extractors.base import Extractor


def registered_extractors():
    """All extractor classes by the name of their file; imports the files of this package.

    Example
    -------
    >>> registered_extractors()["fuse"]
    <class 'mil_asc.model.extractors.fuse.FUSE'>
    """
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return dict(Extractor.registry)
