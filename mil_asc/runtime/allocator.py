"""Settings of glibc's allocator that make it keep its pages; light to import, for they must be set before torch is.

glibc hands every large activation back to the system and faults it in again, which takes most of the time
of a training step on a CPU.
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
    """The environment with glibc's tunables set, or None where they are set, switched off or of no use."""
    environment = dict(os.environ if environment is None else environment)
    if environment.get(SWITCH, "keep-pages") != "keep-pages" or not sys.platform.startswith("linux"):
        return None
    if "glibc.malloc." in environment.get("GLIBC_TUNABLES", "") or "LD_PRELOAD" in environment:
        return None
    ours = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
    environment["GLIBC_TUNABLES"] = ":".join(filter(None, [environment.get("GLIBC_TUNABLES"), ours]))
    return environment


def keeps_pages():
    """True where this process was started with the tunables."""
    return all(name in os.environ.get("GLIBC_TUNABLES", "") for name in TUNABLES)
