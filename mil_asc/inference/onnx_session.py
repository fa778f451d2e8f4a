"""Sessions of ONNX Runtime whose memory is bounded, whatever a graph asks for."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import onnxruntime

from mil_asc.checks import check_count
from mil_asc.errors import UserError
from mil_asc.packaging.graph_file import GraphFile

MEMORY_SHARE = 0.5
"""Share of the computer's memory that all graphs of a process may take together for what they compute."""
MOST_FOLDED = 2 << 20
"""Largest constant that is computed when a graph is loaded (in bytes); larger ones are computed with each window."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
UNKNOWN_MEMORY = 4 << 30
_PLACE = re.compile(r"\S*/\S+\.(?:cc|h|cpp):\d+ ")


def open_session(graph: GraphFile, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of a checked graph on the CPU; a ``UserError`` of one line where the runtime refuses it.

    Arguments
    ---------
    graph : GraphFile
        Its constants are few (``mil_asc.packaging.graph_file``), so that loading it takes little memory.
    threads : int, optional
        Threads of the computation, by default one per core.
    """
    if os.environ.get("ORT_DISABLE_TELEMETRY") == "1":
        onnxruntime.disable_telemetry_events()  # it may have been imported before that was set
    _bound_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(MOST_FOLDED))
    if threads is not None:
        check_count("threads", threads)
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(graph.data, options, ["CPUExecutionProvider"])
    except Exception as error:  # whatever the runtime refuses a graph with, the file is at fault
        raise UserError(f"{graph.path} cannot be loaded by ONNX Runtime: {failure(error)}") from error


def metadata_of(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """The metadata of a graph, text by name; a ``UserError`` where it is no text."""
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise UserError("the metadata of the ONNX file is no UTF-8 text: it is damaged") from error


def failure(error: Exception) -> str:
    """What ONNX Runtime fails with, as one line without the place in its source."""
    text = _PLACE.sub("", " ".join(str(error).split()))
    if "Failed to allocate memory" in text or "bad_alloc" in text:
        return "it needs more memory than there is: take a shorter recording"
    if "Available memory of" in text:
        return f"the graph needs more than {MEMORY_SHARE:.0%} of the memory: take a shorter recording or another model"
    return f"{text:.200}"


def memory_bytes() -> int:
    """Memory of the computer, or of the container that the process runs in (in bytes)."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        found = UNKNOWN_MEMORY
    try:
        return min(found, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # there is none, or it is "max"
        return found


@functools.cache
def _bound_memory() -> None:
    """Register the one allocator of the process that these sessions share, unless the process has one already."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    limit = onnxruntime.OrtArenaCfg({"max_mem": int(MEMORY_SHARE * memory_bytes())})
    try:
        onnxruntime.create_and_register_allocator(place, limit)
    except Exception:  # of no common class; then the limit is that of whoever registered it
        return
