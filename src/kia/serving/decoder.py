"""Decodes what strangers upload, in processes that a damaged file may kill (no torch)."""

import asyncio
import queue
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from kia.imaging.resize import Resize
from kia.imaging.workers import MAX_WAIT, LoadedImage, cause_of_death, start_worker

_Worker = tuple[Any, Connection]  # a process and the pipe to it


class Decoder:
    """Worker processes with limits of time and memory (`kia.imaging.workers`), never a file.

    Args:
        workers: Processes; as many images are decoded at a time.
        size: Side S of the square images, pixels.
        resize: How images become square.
    """

    def __init__(self, workers: int, size: int, resize: Resize) -> None:
        self._workers, self._arguments = workers, (size, resize)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="kia-decoder")
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def start(self) -> None:
        """Starts the processes."""
        for _ in range(self._workers):
            self._idle.put(start_worker())

    def close(self) -> None:
        """Ends the threads and processes."""
        self._threads.shutdown()
        while not self._idle.empty():
            _bury(self._idle.get())

    async def decode(self, content: bytes, name: str) -> LoadedImage:
        """Decodes the bytes of a file.

        Args:
            content: PNG, JPEG or DICOM.
            name: What to call it in errors; ends in ".dcm" if only DICOM is expected.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._decode, content, name)

    def _decode(self, content: bytes, name: str) -> LoadedImage:
        worker = self._idle.get()
        process, pipe = worker
        try:
            pipe.send((content, *self._arguments, name))
            loaded = pipe.recv() if pipe.poll(MAX_WAIT) else None
        except (EOFError, OSError):  # it died, of this image or before
            process.join()
            loaded = LoadedImage(None, f"{name}: {cause_of_death(process.exitcode)}")
        if loaded is None:
            loaded = LoadedImage(None, f"{name}: not decoded within {MAX_WAIT:.0f} s")
        elif process.is_alive():
            self._idle.put(worker)
            return loaded
        _bury(worker)
        self._idle.put(start_worker())
        return loaded


def _bury(worker: _Worker) -> None:
    process, pipe = worker
    process.kill()
    process.join()
    pipe.close()
