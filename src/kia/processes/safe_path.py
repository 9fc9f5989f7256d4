"""Where modules come from: never the current folder, which may be a stranger's.

`python -m` and `python -c` look into the current folder first, so that a `numpy.py` of a downloaded
model would be run. What is named in PYTHONPATH, and what the user has installed, stays.
"""

import os
import sys
from pathlib import Path

_HOME = str(Path(__file__).parents[2])  # where kia itself is


def safe_path() -> list[str]:
    """`sys.path` without the current folder, unless PYTHONPATH names it or kia itself is there."""
    try:
        here = os.path.realpath(".")
    except OSError:  # it was removed
        here = ""
    named = {os.path.realpath(entry) for entry in _python_path() if entry}
    kept = []
    for entry in map(os.path.abspath, filter(None, sys.path)):
        if os.path.realpath(entry) != here or here in named:
            kept.append(entry)
    return kept if _HOME in kept else [*kept, _HOME]


def safe_environment() -> dict[str, str]:
    """The environment of a child: its own children start on a safe path too.

    An empty entry of PYTHONPATH (as of "$PYTHONPATH:/more" where there was none) is the current
    folder, and before Python's own library.
    """
    changed = dict(os.environ, PYTHONSAFEPATH="1")
    if "PYTHONPATH" in changed:
        changed["PYTHONPATH"] = os.pathsep.join(filter(None, _python_path()))
    return changed


def leave_folder() -> None:
    """Makes the path of this process, and of what it starts from now on, a safe one."""
    sys.path[:] = safe_path()
    os.environ.update(safe_environment())


def _python_path() -> list[str]:
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)
