"""`make lock`: requirements.lock, every package that a checkout is tested with, with its hashes.

The versions are those of constraints.txt; the hashes those of all files of each release on PyPI, so
that any processor and Python of Linux finds its own among them. torch is left out: PyPI has one
build of it and PyTorch's own index others, so it is installed by version alone (CONTRIBUTING.md).
"""

import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
INDEX = "https://pypi.org/simple"
LEFT_OUT = "torch"
WHERE = "sys_platform == 'linux' and implementation_name == 'cpython' and python_version < '3.15'"
PYTHONS = ("3.11", "3.12")
MACHINES = [
    {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    for python in PYTHONS
    for machine in ("x86_64", "aarch64")
]
BESIDE = ("pip", "setuptools")
"""What installs and builds, and no package asks for."""


def needs_of_torch() -> list[str]:
    """What the installed torch asks for, but for what comes with CUDA."""
    needed = [Requirement(text) for text in requires(LEFT_OUT) or ()]
    return [
        str(need)
        for need in needed
        if not need.name.startswith(("nvidia", "triton", "cuda"))
        and (need.marker is None or need.marker.evaluate({"extra": ""}))
    ]


def compiled(folder: Path) -> str:
    """The lock as uv writes it, with nothing of this machine in it."""
    project = (ROOT / "pyproject.toml").read_text()
    files = {
        "pyproject.toml": f'{project}\n[tool.uv]\nenvironments = ["{WHERE}"]\n',
        "constraints.txt": (ROOT / "constraints.txt").read_text(),
        "beside.in": "\n".join([*BESIDE, *needs_of_torch()]),
        "left_out.txt": LEFT_OUT,
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "beside.in"]
    command += ["--extra", "dev", "--universal", "--python-version", PYTHONS[0]]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    command += ["--constraints", "constraints.txt", "--excludes", "left_out.txt"]
    command += ["--default-index", INDEX]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"make lock: uv found no lock:\n{done.stderr}")
    return done.stdout


def unmarked(text: str) -> str:
    """The lock without markers that hold on every machine it is for."""
    lines = []
    for line in text.splitlines():
        name, semicolon, marker = line.removesuffix(" \\").partition(" ; ")
        if semicolon and all(Marker(marker).evaluate(machine) for machine in MACHINES):
            line = f"{name} \\"
        lines.append(line)
    return "\n".join(lines) + "\n"


def pins(text: str) -> dict[str, str]:
    """Name, as PyPI normalises it (PEP 503), → version of the lines NAME==VERSION."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def main() -> None:
    """Writes the lock; fails if constraints.txt does not have what is in it."""
    with tempfile.TemporaryDirectory() as folder:
        text = compiled(Path(folder))
    head = "# Written by `make lock`: constraints.txt with the hashes of PyPI, without torch.\n"
    (ROOT / "requirements.lock").write_text(head + unmarked(text))
    locked, known = pins(text), pins((ROOT / "constraints.txt").read_text())
    print(f"requirements.lock: {len(locked)} packages")
    if new := [f"{name}=={version}" for name, version in locked.items() if name not in known]:
        sys.exit(f"make lock: constraints.txt lacks {', '.join(new)}")
    if gone := sorted(known.keys() - locked.keys() - {LEFT_OUT}):
        sys.exit(f"make lock: nothing needs {', '.join(gone)}; take it out of constraints.txt")


if __name__ == "__main__":
    main()
