"""How much memory a device still has for this process."""

import math
from pathlib import Path

import psutil
import torch

CGROUP = Path("/sys/fs/cgroup")
# limit, use and cache that can be dropped: of cgroups version 2, and of version 1
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def memory_in_use(device: torch.device) -> int:
    """Bytes that this process has taken; on a GPU what it holds there."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


def available_memory(device: torch.device) -> int:
    """Bytes that this process could have in all: what is free, and what it has taken already."""
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0])
    else:
        free = int(min(psutil.virtual_memory().available, container_room()))
    return free + memory_in_use(device)


def container_room(root: Path = CGROUP) -> float:
    """Bytes that the limit of a container (cgroup) leaves; infinite without a limit."""
    for limit, used, statistics, cache in _CGROUP_FILES:
        try:
            most = (root / limit).read_text().strip()
            taken = int((root / used).read_text())
            lines = (root / statistics).read_text().splitlines()
        except (OSError, ValueError):
            continue
        droppable = next((int(x.split()[1]) for x in lines if x.split()[0] == cache), 0)
        return math.inf if most == "max" else max(0, int(most) - taken + droppable)
    return math.inf
