"""What becomes of memory that a batch has freed: it goes back to the system.

glibc keeps what is freed, and tensors of ever other sizes leave holes in it: a server that needs
370 MiB between batches had 700 after ten minutes. Training does the opposite, for its steps are
all alike (`kia.training.freed_memory`).
"""

import ctypes
import sys

_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE = 8 << 20  # bytes; glibc's own limit grows to 32 MiB
_ARENA_MAX = -8  # of malloc.h


def keep_no_large_pieces() -> None:
    """Pieces of 8 MiB and more go back as soon as they are freed, on Linux with glibc."""
    if mallopt := _of_glibc("mallopt"):
        mallopt(_MMAP_THRESHOLD, _LARGE)
        # one heap for all threads: each new one would keep what its own batch left
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Gives back all that is free now; takes 10 to 30 ms after a batch of 32."""
    if trim := _of_glibc("malloc_trim"):
        trim(0)


def _of_glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), name, None)  # other C libraries have none
