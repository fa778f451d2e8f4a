"""Learning curves for TensorBoard."""

import contextlib
import os
import time

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Curves:
    """Scalars for TensorBoard, written immediately; ``SummaryWriter`` uses a thread, which hides write errors.

    Arguments
    ---------
    folder : Path
        Log folder of TensorBoard; every run of the program adds a file.
    """

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.file = open(folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}", "wb")
        self.records = RecordWriter(self.file)
        try:
            self._write(file_version="brain.Event:2")
        except OSError:
            with contextlib.suppress(OSError):  # what could not be written cannot be written now either
                self.close()
            raise

    def add_scalar(self, name, value, step):
        """Add a point to the curve ``name``."""
        self._write(step=step, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)]))

    def close(self):
        """Close the file."""
        self.file.close()

    def _write(self, **content):
        self.records.write(Event(wall_time=time.time(), **content).SerializeToString())
        self.file.flush()
