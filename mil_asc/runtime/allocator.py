"""Settings that make glibc's allocator keep its pages; they must be set before torch is imported.

By default glibc returns the memory of every large activation to the system, and page faults bring it back. This takes
most of the time of a training step on a CPU.
"""

import os
import sys

TUNABLES = {
    "glibc.malloc.hugetlb": "1",
    "glibc.malloc.mmap_threshold": str(2**32),
    "glibc.malloc.trim_threshold": str(10 * 2**32),
    "glibc.malloc.top_pad": str(2**28),
}
SWITCH = "MIL_ASC_MALLOC"


def malloc_environment(environment=None):
    """The environment with glibc's tunables added; None if they are set already, switched off, or not supported."""
    environment = dict(os.environ if environment is None else environment)
    if environment.get(SWITCH, "keep-pages") != "keep-pages" or not sys.platform.startswith("linux"):
        return None
    if "glibc.malloc." in environment.get("GLIBC_TUNABLES", "") or "LD_PRELOAD" in environment:
        return None
    tunables = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
    environment["GLIBC_TUNABLES"] = ":".join(filter(None, [environment.get("GLIBC_TUNABLES"), tunables]))
    return environment


def keeps_pages():
    """True if this process was started with the tunables."""
    return all(name in os.environ.get("GLIBC_TUNABLES", "") for name in TUNABLES)
