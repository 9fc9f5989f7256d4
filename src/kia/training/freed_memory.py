"""What becomes of memory that a step has freed."""

import ctypes
import sys

# of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees, on Linux with glibc.

    glibc gives large pieces back at once, and the system clears every page of the next ones: at
    `small` 27,000 pages and 3 % of a step (docs/decisions/0021). A step needs as much memory as
    the one before it, so what is kept is used again; the peak stays the same.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)
